"""LoRA+ against PEFT's own optimizer for it: which weights take the other rate, and fifty steps with it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from peft.optimizers import create_loraplus_optimizer

import tolerances
from classifiers import PACKED_FAMILIES, classifier
from lorabert.engine import reference
from lorabert.engine.training import fit
from lorabert.engine.training.optimising import Optimising
from trainings import BASE, Killed, furthest, kill_at, losses, plan_of, same_events, train

PLUS = dataclasses.replace(BASE, num_train_epochs=4, loraplus_lr_ratio=16.0, weight_decay=0.1, learning_rate=5e-4)
KINDS = {
    "plain": {},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "biases": {"bias": "all"},
    "norms": {"modules_to_save": ["LayerNorm"]},
}


@pytest.mark.parametrize("family", PACKED_FAMILIES)
@pytest.mark.parametrize("lora", KINDS.values(), ids=KINDS)
def test_the_groups_are_pefts(family, lora):
    if family == "distilbert" and "modules_to_save" in lora:
        lora = {"modules_to_save": ["sa_layer_norm"]}
    model = classifier(family, **lora)
    theirs = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=PLUS.learning_rate, loraplus_lr_ratio=16, loraplus_weight_decay=PLUS.weight_decay
    )
    ours = Optimising(model, PLUS, plan_of(PLUS)).adamw
    expected = {
        id(p): (group["lr"], group["weight_decay"]) for group in theirs.param_groups for p in group["params"]
    }  # fmt: skip
    got = {
        id(p): (PLUS.learning_rate * group["ratio"], group["weight_decay"])
        for group in ours.param_groups
        for p in group["params"]
    }  # fmt: skip
    assert got == expected
    assert len(set(got.values())) == 3


@pytest.mark.parametrize("lora", KINDS.values(), ids=KINDS)
def test_fifty_steps(lora, tmp_path):
    def model():
        return classifier(**lora)

    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", PLUS, model=model())
    got, weights, cost = train(fit, tmp_path / "fast", PLUS, model=model())
    assert cost.steps == 52
    same_events(got, expected)
    assert furthest(weights, expected_weights, but=("key.bias",)) < tolerances.FP32_FINAL_WEIGHTS


def test_negative_control_without_it_both_engines_end_elsewhere(tmp_path):
    plain = dataclasses.replace(PLUS, loraplus_lr_ratio=1.0)
    for name, engine in (("fast", fit), ("reference", reference.fit)):
        one, one_weights, _ = train(engine, tmp_path / f"{name} 1", plain)
        other, other_weights, _ = train(engine, tmp_path / f"{name} 16", PLUS)
        assert abs(losses(one) - losses(other)).max() > 1000 * tolerances.FP32_LOSS_TRAJECTORY
        assert furthest(one_weights, other_weights) > 10 * tolerances.FP32_FINAL_WEIGHTS
        rates = [[event.get("learning_rate") for event in events] for events in (one, other)]
        assert rates[0] == rates[1], "the logged rate is that of A"


@pytest.mark.parametrize("engine", [fit, reference.fit], ids=["fast", "reference"])
def test_killed_and_resumed_ends_bit_for_bit_the_same(engine, tmp_path):
    settings = dataclasses.replace(PLUS, save_strategy="epoch")
    _, weights, _ = train(engine, tmp_path / "straight", settings)
    with pytest.raises(Killed):
        train(engine, tmp_path / "killed", settings, log=kill_at(20))
    resumed, resumed_weights, _ = train(engine, tmp_path / "killed", settings, resume=True)
    assert resumed[0]["step"] == 14
    assert furthest(resumed_weights, weights) == 0
