"""An export is the function that its adapter is: every family, every method, any batch size, every length."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import tiny
import tolerances
from adapted import LABELS, trained
from lorabert.config import METHODS
from lorabert.data.sources import Split
from lorabert.engine.prediction import Classifier
from lorabert.models import bases
from lorabert.models.families import FAMILIES
from lorabert.shipping.exporting import graphs, parity, quantising
from lorabert.shipping.exporting.merging import merged
from lorabert.shipping.exporting.running import opened

PAIRED = ("bert", "electra", "albert", "deberta-v2", "roberta")


def asked(max_length: int, *, pairs: bool) -> Split:
    """Texts from no word at all to one that is cut."""
    return parity.fixed_texts(max_length, pairs=pairs)


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Relative to the largest logit."""
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())


EACH_TIME = ("bert", "roberta", "distilbert", "electra")
ALL = [pytest.param(family, marks=() if family in EACH_TIME else pytest.mark.slow) for family in sorted(tiny.FAMILIES)]


@pytest.fixture(scope="module", params=ALL)
def traced(request, base_folder, tmp_path_factory):
    """A family's classifier before merging, its graph and the 8-bit graph, and what the classifier answers."""
    family, folder = request.param, tmp_path_factory.mktemp(request.param)
    made = trained(base_folder(family), max_length=tiny.FAMILIES[family].max_length, r=4)[0]
    texts = asked(made.max_length, pairs=family in PAIRED)
    answers = made.logits(texts.texts, texts.pairs)
    other = trained(base_folder(family), seed=1, max_length=made.max_length, r=4)[0].logits(texts.texts, texts.pairs)
    plain = merged(made)
    (folder / "int8").mkdir()
    graphs.write(plain, plain.encode(texts.rows([1, 2])), folder / "model.onnx")
    quantising.write(folder / "model.onnx", folder / "int8" / "model.onnx")
    for file in bases.tokenizer_files(base_folder(family)):
        for place in (folder, folder / "int8"):
            (place / file.name).write_bytes(file.read_bytes())
    return family, folder, texts, answers, other, plain


def test_a_graph_gives_the_adapters_logits_at_every_length_alone_and_in_a_batch(traced):
    family, folder, texts, answers, other, plain = traced
    assert largest_difference(answers, other) > 1e-2  # another adapter gives other answers
    graph = opened(folder, "onnx", LABELS, plain.max_length)
    encoded = graph.encode(texts)
    assert encoded.lengths.min() <= (2 if texts.pairs is None else 4)
    assert encoded.lengths.max() == plain.max_length == tiny.FAMILIES[family].max_length
    for batch_size in (1, 5, len(texts)):
        logits = graph.logits_of(encoded, batch_size=batch_size)
        assert largest_difference(answers, logits) < tolerances.EXPORTED_LOGITS
        assert largest_difference(other, logits) > 1e-2


def test_eight_bits_keep_the_head_as_it_is_and_take_every_matrix_of_the_encoder(traced):
    family, folder, texts, answers, _, plain = traced
    logits = opened(folder / "int8", "onnx-int8", LABELS, plain.max_length).logits(texts.texts, texts.pairs)
    assert 0 < largest_difference(answers, logits) < tolerances.INT8_LOGITS  # it is quantised, and well
    before, after = (onnx.load(place / "model.onnx").graph for place in (folder, folder / "int8"))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.initializer}
    assert len(arrays) == len(after.initializer)
    products = [node for node in after.node if node.op_type in ("MatMul", "Gemm") and arrays.keys() & set(node.input)]
    head = [module.weight for name, module in plain.model.named_modules() if is_head(family, name) and hasattr(module, "weight")]
    head = [weight.detach().numpy() for weight in head if weight.ndim == 2]
    kept = [arrays[name] for node in products for name in node.input if name in arrays and arrays[name].ndim == 2]
    assert len(kept) == len(head) == 2
    for weight in head:
        assert any(array.dtype == np.float32 and same(array, weight) for array in kept)
    whole = [node for node in before.node if node.op_type == "MatMul" and fixed(before, node)]
    eight = [node for node in after.node if node.op_type == "MatMulNBits"]
    assert len(eight) == len(whole) > 0
    assert {attribute.i for node in eight for attribute in node.attribute if attribute.name == "bits"} == {8}


def is_head(family: str, name: str) -> bool:
    """Whether a module is the classification head's, or the pooler that is a part of it."""
    return any(part in name.split(".") for part in (*FAMILIES[family].head, "pooler"))


def same(array: np.ndarray, weight: np.ndarray) -> bool:
    """Whether a graph's matrix is a layer's, either way round."""
    return any(array.shape == form.shape and np.array_equal(array, form) for form in (weight, weight.T))


def fixed(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether a product's matrix is a weight."""
    return bool({tensor.name for tensor in graph.initializer} & set(node.input))


def test_an_answer_does_not_depend_on_what_shares_its_batch(traced):
    _, folder, texts, _, _, plain = traced
    for place, name in ((folder, "onnx"), (folder / "int8", "onnx-int8")):
        graph = opened(place, name, LABELS, plain.max_length)
        encoded = graph.encode(texts)
        alone = np.concatenate([graph.logits_of(encoded.rows(np.array([row])), batch_size=1) for row in range(len(encoded))])
        assert largest_difference(alone, graph.logits_of(encoded, batch_size=len(encoded))) < tolerances.EXPORTED_LOGITS


def test_a_graph_takes_what_the_tokenizer_makes_and_says_nothing_of_this_machine(traced):
    family, folder, *_ = traced
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    shapes = {declared.name: declared.shape for declared in session.get_inputs()}
    assert set(shapes) == {"input_ids", "attention_mask", *(["token_type_ids"] if tiny.FAMILIES[family].token_types else [])}
    assert all(shape == ["batch", "length"] for shape in shapes.values())
    assert [declared.name for declared in session.get_outputs()] == ["logits"]
    content = (folder / "model.onnx").read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content
    assert str(Path.home()).encode() not in content or str(Path.home()) == "/"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_merging_any_method_gives_the_adapters_logits(base_folder, family, method):
    if (family, method) == ("modernbert", "bitfit"):
        pytest.skip("ModernBERT has no biases")
    assert_merges(base_folder(family), method)


@pytest.mark.parametrize(
    "lora",
    [
        {"use_rslora": True, "r": 3},
        {"use_dora": True},
        {"bias": "all"},
        {"target_modules": "all-linear"},
        {"modules_to_save": ["word_embeddings"]},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
    ],
    ids=str,
)
def test_merging_any_kind_of_lora_gives_the_adapters_logits(tiny_base, lora):
    assert_merges(tiny_base, "lora", **lora)


def assert_merges(folder: Path, method: str, **lora: object) -> None:
    made, base, _ = trained(folder, method, **lora)
    texts = asked(32, pairs=False).texts
    answers = made.logits(texts)
    untrained = Classifier(bases.load(base, LABELS).model.eval(), made.tokenizer, LABELS, 32)
    assert largest_difference(answers, untrained.logits(texts)) > 1e-2
    plain = merged(made)
    assert not [name for name, _ in plain.model.named_parameters() if "lora" in name or "modules_to_save" in name]
    assert largest_difference(answers, plain.logits(texts)) < tolerances.EXPORTED_LOGITS
