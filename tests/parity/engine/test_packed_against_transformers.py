"""The packed forward against the padded one of Transformers + PEFT: logits, loss and every gradient."""

from __future__ import annotations

import dataclasses

import numpy as np
import peft
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

import tiny
import tolerances
from classifiers import PACKED_FAMILIES, WITH_SEGMENTS, classifier, padded, stream
from lorabert.data.batching import padding_share
from lorabert.data.packing import ALIKE, CLOSE, pack
from lorabert.engine.packed import Bits, PackedClassifier, logits
from lorabert.errors import Unsupported

# peft 0.18 would lose the biases of lora_only, and is refused.
BIAS = "lora_only" if Version(peft.__version__) >= Version("0.19") else "none"
ALL_LINEAR = {"target_modules": "all-linear", "bias": BIAS, "use_rslora": True}
SOME = {"target_modules": ["layer.1.attention.self.key", "layer.1.output.dense"]}
DORA = {"target_modules": "all-linear", "use_dora": True}
METHODS = [("lora", {}), ("lora", ALL_LINEAR), ("lora", DORA), ("full", {}), ("bitfit", {}), ("head", {})]
RAGGED = [1, 30, 7, 7, 7, 19, 2, 30, 11]


def theirs(model, split, rows, scale=1.0):
    """Logits, loss and gradients of the padded forward, rows in the order given; as fp16 has it, under a scaled loss."""
    batch = padded(split, rows)
    labels = batch.pop("labels")
    model.zero_grad()
    answers = model.eval()(**batch).logits
    loss = F.cross_entropy(answers, labels)
    (loss * scale).backward()
    return answers.detach(), loss.item(), gradients(model, scale)


def ours(model, split, rows, dtype=torch.float32, scale=1.0):
    batch = pack(split, rows)
    model.zero_grad()
    # A stream of bits is given although all rates are 0, so that the training path itself is compared.
    answers = PackedClassifier(model, dtype)(batch, Bits(0))
    loss = F.cross_entropy(answers, torch.from_numpy(batch.labels))
    (loss * scale).backward()
    order = np.argsort(batch.rows)[np.argsort(np.argsort(rows))]
    return answers.detach()[torch.from_numpy(order)], loss.item(), gradients(model, scale)


def gradients(model, scale):
    return {name: p.grad / scale for name, p in model.named_parameters() if p.grad is not None}


def largest_difference(left, right):
    zero = torch.zeros(())
    scale = max(float(value.abs().max()) for value in right.values())
    return max(float((left.get(name, zero) - right.get(name, zero)).abs().max()) for name in left | right) / scale


@pytest.mark.parametrize("family", PACKED_FAMILIES)
@pytest.mark.parametrize(("method", "lora"), METHODS, ids=["lora", "all-linear", "dora", "full", "bitfit", "head"])
def test_logits_loss_and_every_gradient(family, method, lora):
    longest = tiny.FAMILIES[family].max_length
    split = stream([*RAGGED, longest], pairs=family in WITH_SEGMENTS)
    model, rows = classifier(family, method, **lora), np.arange(len(split))
    expected, expected_loss, expected_gradients = theirs(model, split, rows)
    got, loss, got_gradients = ours(model, split, rows)
    assert expected.std() > 1e-2
    assert (got - expected).abs().max() < tolerances.FP32_LOGITS * max(1.0, float(expected.abs().max()))
    assert loss == pytest.approx(expected_loss, abs=tolerances.FP32_LOGITS)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert set(got_gradients) <= trained
    assert largest_difference(got_gradients, expected_gradients) < tolerances.FP32_GRADIENTS


@pytest.mark.parametrize("part", ["lora_A", "lora_B", "classifier"])
def test_negative_control_a_perturbed_weight_changes_the_logits(part):
    split, rows = stream(RAGGED), np.arange(len(RAGGED))
    model = classifier(target_modules="all-linear")
    before, _, _ = ours(model, split, rows)
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if part in name and p.requires_grad).add_(0.01)
    after, _, _ = ours(model, split, rows)
    assert (after - before).abs().max() > 10 * tolerances.FP32_LOGITS


def test_negative_control_texts_attend_to_themselves_alone():
    split = stream(RAGGED)
    model = classifier()
    before, _, _ = ours(model, split, np.arange(len(split)))
    split.ids[split.offsets[1] : split.offsets[2]] = 7
    after, _, _ = ours(model, split, np.arange(len(split)))
    changed = (after - before).abs().amax(1) > 0
    assert changed.nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize(
    "lengths", [[1], [30], [1, 1, 1], [9] * 5, [30, 1], list(range(1, 31))], ids=lambda lengths: f"{len(lengths)}x{lengths[0]}"
)
def test_batch_shapes(lengths):
    split, model, rows = stream(lengths), classifier(target_modules="all-linear"), np.arange(len(lengths))
    expected, _, expected_gradients = theirs(model, split, rows)
    got, _, got_gradients = ours(model, split, rows)
    assert (got - expected).abs().max() < tolerances.FP32_LOGITS
    assert largest_difference(got_gradients, expected_gradients) < tolerances.FP32_GRADIENTS


def test_a_subset_of_layers_needs_no_graph_below_them():
    split, model, rows = stream(RAGGED), classifier(**SOME), np.arange(len(RAGGED))
    _, _, expected_gradients = theirs(model, split, rows)
    _, _, got_gradients = ours(model, split, rows)
    assert largest_difference(got_gradients, expected_gradients) < tolerances.FP32_GRADIENTS
    packed = PackedClassifier(model)
    seen = []
    lower = packed.base.layers[0]
    packed.base.layers[0] = lambda *arguments: seen.append(lower(*arguments)) or seen[0]
    packed(pack(split, rows))
    assert seen[0].grad_fn is None


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_a_padding_token_inside_a_text_takes_robertas_position(family):
    split, model = stream([8, 12, 5]), classifier(family)
    split.ids[[2, 10, 11]] = model.config.pad_token_id
    rows = np.arange(3)
    expected, _, _ = theirs(model, split, rows)
    got, _, _ = ours(model, split, rows)
    assert (got - expected).abs().max() < tolerances.FP32_LOGITS


@pytest.mark.parametrize("family", WITH_SEGMENTS)
def test_negative_control_token_types_are_read(family):
    model, rows = classifier(family), np.arange(len(RAGGED))
    with_types, _, _ = ours(model, stream(RAGGED, pairs=True), rows)
    without, _, _ = ours(model, stream(RAGGED), rows)
    assert (with_types - without).abs().max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), ratio=st.sampled_from([0.0, 0.5, 0.75, 1.0]),
       layout=st.sampled_from([CLOSE, ALIKE]))  # fmt: skip
def test_packed_equals_one_by_one(lengths, ratio, layout):
    split, packed = stream(lengths), PackedClassifier(classifier())
    with torch.inference_mode():
        batch = pack(split, np.arange(len(lengths)), dataclasses.replace(layout, block_ratio=ratio))
        together = packed(batch)
        alone = torch.cat([packed(pack(split, np.array([row]))) for row in batch.rows])
    assert (together - alone).abs().max() < tolerances.FP32_LOGITS


@pytest.mark.parametrize("lora", [ALL_LINEAR, DORA], ids=["lora", "dora"])
def test_prediction_in_the_original_order_with_merged_adapters(lora):
    split, model = stream(RAGGED * 3), classifier(target_modules="all-linear")
    expected, _, _ = theirs(model, split, np.arange(len(split)))
    got = logits(PackedClassifier(model, merged=True), split, batch_size=4)
    assert np.abs(got - expected.numpy()).max() < tolerances.FP32_LOGITS


def test_attention_rectangles_hold_each_token_once_and_little_padding():
    lengths = np.clip(np.random.default_rng(0).lognormal(3.2, 0.5, 400).astype(int), 3, 128)
    split = stream(lengths)
    batches = np.split(np.arange(400), 25)
    padding = tokens = 0
    for rows in batches:
        batch = pack(split, rows)
        assert [block.first for block in batch.blocks[1:]] == [block.last for block in batch.blocks[:-1]]
        assert (batch.blocks[0].first, batch.blocks[-1].last) == (0, len(rows))
        real = int(batch.lengths.sum())
        assert len(np.unique(batch.cells)) == real + 1
        assert sorted(batch.rows) == sorted(rows)
        padding, tokens = padding + batch.blocks[-1].end - real, tokens + real
    waste = padding / (padding + tokens)
    assert waste < 0.12
    assert waste < padding_share(split.lengths, batches) / 3


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("family", PACKED_FAMILIES)
def test_half_precision_errs_no_more_than_transformers_own(family, half, record_property):
    model = classifier(family, target_modules="all-linear")
    # These texts keep off the kink of DistilBERT's ReLU: a unit that a rounding turns on or off has another gradient altogether.
    split = stream(np.random.default_rng(3).integers(1, 40, 64))
    rows = np.arange(64)
    exact, _, exact_gradients = theirs(model, split, rows)
    with torch.autocast("cpu", half):
        expected, _, expected_gradients = theirs(model, split, rows, 1024.0)
    got, _, got_gradients = ours(model, split, rows, half, 1024.0)
    their_error, our_error = rms(expected.float() - exact), rms(got - exact)
    record_property("logits", (our_error, their_error))
    assert our_error < tolerances.HALF_ERROR_RATIO * their_error
    theirs_off, ours_off = off(expected_gradients, exact_gradients), off(got_gradients, exact_gradients)
    assert ours_off < tolerances.HALF_ERROR_RATIO * theirs_off


def rms(values):
    return float(values.float().square().mean().sqrt())


def off(left, right):
    return rms(torch.cat([(left[name].float() - right[name]).flatten() for name in right if name in left]))


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet", "modernbert"])
def test_unknown_architectures_are_refused(family):
    with pytest.raises(Unsupported, match=family):
        PackedClassifier(classifier(family))


def test_lora_bias_is_refused():
    model = classifier()
    layer = next(module for module in model.modules() if hasattr(module, "lora_B"))
    layer.lora_B["default"].bias = torch.nn.Parameter(torch.zeros(layer.out_features))
    with pytest.raises(Unsupported, match="lora_bias"):
        PackedClassifier(model)
