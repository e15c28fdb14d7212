"""fp16 with loss scaling: the arithmetic on a CPU, where users are refused it, against accelerate's optimizer and its scaler."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import accelerate
import numpy as np
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from transformers import get_scheduler

from classifiers import classifier
from lorabert.engine.training import fit
from lorabert.engine.training.optimising import Optimising
from lorabert.hardware import Placement
from trainings import BASE, Killed, furthest, kill_at, losses, plan_of, train

FP16 = Placement("cpu", "fp16", "a test")
SETTINGS = dataclasses.replace(BASE, warmup=0.3, max_grad_norm=0.5)
# Which of the steps overflow.
OVERFLOWS = [True, True, False, False, True, False, False, False]


def gradients(model, number, scale):
    """Reproducible gradients of a step, as a scaled loss would give them."""
    generator = torch.Generator().manual_seed(number)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=generator) * scale
    if OVERFLOWS[number]:
        next(p for p in model.parameters() if p.requires_grad).grad[0, 0] = float("inf")


def test_steps_that_overflow_are_skipped_as_the_trainer_skips_them():
    """The Trainer's own lines: unscale, clip, step, and the schedule only if accelerate did not skip the step."""
    ours, theirs = classifier(), classifier()
    optimising = Optimising(ours, SETTINGS, plan_of(SETTINGS), scaling=True)
    accelerate.Accelerator(cpu=True)
    trained = [p for p in theirs.parameters() if p.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=SETTINGS.learning_rate, weight_decay=0.0)
    schedule = get_scheduler("linear", adamw, num_warmup_steps=8, num_training_steps=26)
    optimizer = AcceleratedOptimizer(adamw, scaler=torch.amp.GradScaler("cpu"))
    # A scaler is there once it has scaled a loss.
    optimising.scaler.scale(torch.zeros(()))
    optimizer.scaler.scale(torch.zeros(()))
    skipped = 0
    for number in range(len(OVERFLOWS)):
        scale = optimizer.scaler.get_scale()
        assert optimising.scaler.get_scale() == scale
        assert optimising.learning_rate == pytest.approx(adamw.param_groups[0]["lr"])
        gradients(ours, number, scale)
        gradients(theirs, number, scale)
        optimising.step()
        optimizer.scaler.unscale_(adamw)
        torch.nn.utils.clip_grad_norm_(trained, SETTINGS.max_grad_norm)
        optimizer.step()
        if not optimizer.step_was_skipped:
            schedule.step()
        skipped += optimizer.step_was_skipped
        assert (optimising.steps, optimising.skipped) == (number + 1, skipped)
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (mine - other).abs().max() < 1e-6
    assert skipped == sum(OVERFLOWS)
    assert optimising.scaler.get_scale() == 65536 / 2 ** sum(OVERFLOWS)


def test_negative_control_without_skipping_the_weights_are_lost():
    model = classifier()
    optimising = Optimising(model, SETTINGS, plan_of(SETTINGS))
    gradients(model, 0, 1.0)
    optimising.step()
    assert not all(p.isfinite().all() for p in model.parameters())


def test_a_run_follows_fp32(tmp_path):
    exact, _, _ = train(fit, tmp_path / "fp32")
    half, weights, cost = train(fit, tmp_path / "fp16", placement=FP16)
    assert 0 < np.abs(losses(exact) - losses(half)).max() < 0.02
    assert all(weight.dtype == torch.float32 for weight in weights.values())
    assert cost.steps == 26


@pytest.fixture
def high_scale(monkeypatch):
    """A first scale that overflows for a few steps, and grows again every five."""
    made = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda *words, **more: made(*words, init_scale=2.0**24, growth_interval=5, **more)
    )


def test_a_scale_that_is_too_high_comes_down_and_the_run_goes_on(high_scale, tmp_path):
    events, weights, cost = train(
        fit, tmp_path, dataclasses.replace(BASE, num_train_epochs=6, learning_rate=5e-3), placement=FP16
    )
    rates = [event["learning_rate"] for event in events if event["event"] == "train"]
    waited = sum(one == other for one, other in pairwise(rates))
    assert waited > 2, "the schedule waits while steps are skipped"
    assert cost.steps == len(rates) == 78
    assert losses(events)[-13:].mean() < losses(events)[:13].mean()
    assert all(weight.isfinite().all() for weight in weights.values())


@pytest.mark.parametrize("step", [15, 30])
def test_killed_and_resumed_ends_bit_for_bit_the_same(high_scale, step, tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch")
    straight, weights, _ = train(fit, tmp_path / "straight", settings, model=classifier(dropout=0.1), placement=FP16)
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", settings, model=classifier(dropout=0.1), placement=FP16, log=kill_at(step))
    resumed, resumed_weights, _ = train(
        fit, tmp_path / "killed", settings, model=classifier(dropout=0.1), placement=FP16, resume=True
    )
    assert resumed == straight[-len(resumed) :]
    assert furthest(resumed_weights, weights) == 0
