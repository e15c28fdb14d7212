"""Adapters read from their folders into one forward, against the same folders loaded one by one through PEFT."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

import tiny
import tolerances
from lorabert.config import LoraConfig, ModelConfig
from lorabert.data.sources import Split
from lorabert.engine import kernels
from lorabert.engine.multilora import Shared, read
from lorabert.engine.prediction import Classifier
from lorabert.errors import Unsupported
from lorabert.models import bases, methods
from lorabert.shipping import adapters

TEXTS, _ = tiny.reviews(12, 2, longest=40)
KINDS = {
    "two": ("lora", 2, {}),
    "five": ("lora", 5, {"target_modules": "all-linear", "r": 3, "use_rslora": True}),
    "dora": ("lora", 3, {"target_modules": "all-linear", "use_dora": True}),
    "head": ("head", 2, {}),
}


def adapter_folder(base, folder, method, labels, **lora):
    """A saved adapter whose weights are not those it starts with."""
    torch.manual_seed(labels)
    names = [f"label {number}" for number in range(labels)]
    loaded = bases.load(base, names)
    model = methods.apply(loaded, method, LoraConfig(**lora)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    classifier = Classifier(model, bases.load_tokenizer(base.folder), names, 32)
    adapters.save(folder, classifier, base, loaded, lambda _: ({}, ""))
    return folder


@pytest.fixture(scope="module", params=["bert", "roberta", "distilbert", "electra"])
def base(request, tmp_path_factory):
    folder = tiny.build_base(tmp_path_factory.mktemp("bases") / request.param, family=request.param, with_pooler=False)
    return bases.find(ModelConfig(name=str(folder)))


@pytest.fixture(scope="module")
def folders(base, tmp_path_factory):
    place = tmp_path_factory.mktemp("adapters")
    return {name: adapter_folder(base, place / name, method, labels, **lora) for name, (method, labels, lora) in KINDS.items()}


@pytest.fixture(scope="module")
def shared(base):
    return Shared(bases.load(base, ["one"]).model)


def test_the_base_is_cast_and_joined_once_and_not_at_every_forward(shared):
    assert all(place.frozen is not None for layer in shared.base.layers for place in layer.projections)


@pytest.mark.parametrize("ready", [False, True], ids=["as they are", "made ready"])
def test_each_row_gets_what_its_adapter_alone_gives(base, folders, shared, ready):
    tokenizer = bases.load_tokenizer(base.folder)
    requests, expected = [], []
    for number, folder in enumerate([*folders.values(), folders["two"]]):
        classifier, _ = adapters.load(folder)
        texts = TEXTS[number : 2 * number + 1]
        split = Classifier(None, tokenizer, [], 32).encode(Split(texts, None, np.zeros(len(texts), np.int64)))
        adapter = read(folder, shared)
        requests.append((shared.base.ready(adapter) if ready else adapter, split))
        expected.append(np.concatenate([classifier.logits([text]) for text in texts]))
    got = shared.logits(requests)
    for mine, theirs in zip(got, expected, strict=True):
        assert np.abs(mine - theirs).max() < tolerances.FP32_LOGITS_OF_FRESH_BASES * max(1.0, np.abs(theirs).max())
    swapped = shared.logits([(requests[-1][0], requests[0][1]), (requests[3][0], requests[0][1])])
    assert np.abs(swapped[0] - got[0]).max() < tolerances.FP32_LOGITS_OF_FRESH_BASES * np.abs(got[0]).max()
    assert np.abs(swapped[1] - got[0]).max() > 100 * tolerances.FP32_LOGITS_OF_FRESH_BASES


@pytest.mark.parametrize("compiled", [False, True], ids=["PyTorch's steps", "compiled steps"])
@pytest.mark.parametrize("name", KINDS)
def test_an_adapter_made_ready_answers_as_before_with_fewer_products(base, folders, shared, name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(kernels, "usable", lambda *tensors: False)
    elif kernels.state().library is None:
        pytest.skip(kernels.state().reason)
    adapter = read(folders[name], shared)
    ready = shared.base.ready(adapter)
    # Query, key and value read one input; DoRA's parts are never taken together.
    assert (len(ready.low_ranks) + len(ready.prepared) < len(adapter.low_ranks)) == (name in ("two", "five"))
    assert bool(ready.prepared) == (compiled and name in ("two", "five"))
    split = Classifier(None, bases.load_tokenizer(base.folder), [], 32).encode(Split(TEXTS, None, np.zeros(12, np.int64)))
    mine, theirs = (shared.logits([(each, split)])[0] for each in (ready, adapter))
    assert np.abs(mine - theirs).max() < tolerances.FP32_LOGITS_OF_FRESH_BASES * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize(
    ("method", "lora"),
    [("full", {}), ("bitfit", {}), ("lora", {"bias": "all"}), ("lora", {"init_lora_weights": "olora"})],
    ids=["full", "bitfit", "biases", "olora"],
)
def test_what_changes_the_base_is_refused(base, shared, method, lora, tmp_path):
    folder = adapter_folder(base, tmp_path / "adapter", method, 2, **lora)
    with pytest.raises(Unsupported):
        read(folder, shared)


def test_an_adapter_without_a_head_is_refused(folders, shared, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(folders["two"], tmp_path / "adapter")
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({name: value for name, value in tensors.items() if "lora" in name}, folder / "adapter_model.safetensors")
    with pytest.raises(Unsupported, match="no head"):
        read(folder, shared)


def test_ranks_that_differ_by_layer_are_refused(folders, shared, tmp_path):
    folder = shutil.copytree(folders["two"], tmp_path / "adapter")
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "rank_pattern": {"query": 4}}))
    with pytest.raises(Unsupported, match="differs by layer"):
        read(folder, shared)
