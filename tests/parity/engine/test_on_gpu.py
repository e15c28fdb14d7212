"""The fast engine on a CUDA GPU against the Trainer on the same GPU, by `pytest -m gpu`; it has not been run yet."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tolerances
from classifiers import METHODS, classifier, padded, stream
from lorabert.data.packing import pack
from lorabert.engine import reference
from lorabert.engine.packed import Bits, PackedClassifier, logits
from lorabert.engine.training import fit, fitting
from lorabert.hardware import Placement
from trainings import BASE, Killed, furthest, kill_at, same_events, train

GPU = "cuda"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
EXACT = Placement(GPU, "fp32", "a test")


@pytest.mark.parametrize(("method", "lora"), METHODS.values(), ids=METHODS)
def test_every_loss_and_the_final_weights(method, lora, tmp_path):
    expected, expected_weights, _ = train(
        reference.fit, tmp_path / "reference", model=classifier(method=method, **lora), placement=EXACT
    )
    got, weights, cost = train(fit, tmp_path / "fast", model=classifier(method=method, **lora), placement=EXACT)
    same_events(got, expected, 10 * tolerances.FP32_LOSS_TRAJECTORY)  # a GPU adds up in another order each time
    assert furthest(weights, expected_weights, but=("key.bias",)) < 2 * tolerances.FP32_FINAL_WEIGHTS
    assert not cost.kernels


def test_negative_control_another_seed_ends_elsewhere(tmp_path):
    _, weights, _ = train(fit, tmp_path / "one", placement=EXACT)
    _, others, _ = train(fit, tmp_path / "other", dataclasses.replace(BASE, seed=1), placement=EXACT)
    assert furthest(weights, others) > 10 * tolerances.FP32_FINAL_WEIGHTS


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_killed_and_resumed_ends_where_it_would_have(precision, tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch")
    placement = Placement(GPU, precision, "a test")
    _, weights, _ = train(fit, tmp_path / "straight", settings, model=classifier(dropout=0.1), placement=placement)
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", settings, model=classifier(dropout=0.1), placement=placement, log=kill_at(30))
    _, resumed, _ = train(fit, tmp_path / "killed", settings, model=classifier(dropout=0.1), placement=placement, resume=True)
    assert furthest(resumed, weights) < tolerances.FP32_FINAL_WEIGHTS


def test_replayed_steps_draw_the_dropout_that_others_draw(tmp_path, monkeypatch):
    _, weights, _ = train(fit, tmp_path / "recorded", model=classifier(dropout=0.1), placement=EXACT)
    monkeypatch.delitem(fitting._GRAPHS, GPU)
    _, expected, _ = train(fit, tmp_path / "as they come", model=classifier(dropout=0.1), placement=EXACT)
    assert furthest(weights, expected) < tolerances.FP32_FINAL_WEIGHTS


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_errs_no_more_than_transformers_own(half):
    model, split = classifier(target_modules="all-linear").to(GPU).eval(), stream(np.random.default_rng(3).integers(1, 40, 64))
    batch = {name: values.to(GPU) for name, values in padded(split, np.arange(64)).items() if name != "labels"}
    packed = pack(split, np.arange(64))
    exact = model(**batch).logits
    with torch.autocast(GPU, half):
        theirs = model(**batch).logits.float() - exact
    ours = PackedClassifier(model, half)(packed, Bits(0, GPU)) - exact[torch.from_numpy(packed.rows).to(GPU)]
    assert ours.square().mean() < tolerances.HALF_ERROR_RATIO**2 * theirs.square().mean()
    labels = torch.from_numpy(packed.labels).to(GPU)
    F.cross_entropy(ours + exact[torch.from_numpy(packed.rows).to(GPU)], labels).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_prediction_as_on_a_cpu():
    model, split = classifier(target_modules="all-linear"), stream([1, 30, 7, 7, 7, 19, 2, 30, 11] * 3)
    expected = logits(PackedClassifier(model, merged=True), split, batch_size=4)
    got = logits(PackedClassifier(model.to(GPU), merged=True), split, batch_size=4)
    assert np.abs(got - expected).max() < 10 * tolerances.FP32_LOGITS
