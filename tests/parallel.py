"""Trainings that several processes make as one would: `torchrun tests/parallel.py FOLDER` leaves what they came to."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from classifiers import classifier
from lorabert import processes
from lorabert.data.batching import BatchPlan
from lorabert.engine.training import fit
from trainings import BASE, Killed, kill_at, plan_of, train

PROCESSES = 3
# Of the batches of eight, and of the last of four, some process takes fewer texts than the others; of these some take none.
SMALL = BatchPlan([[np.array([3]), np.array([5, 9]), np.arange(10, 17), np.array([60])]] * 3)
VARIANTS = {
    "plain": ({}, {"target_modules": "all-linear"}),
    "small batches": ({"num_train_epochs": 3}, {"target_modules": "all-linear"}),
    "small batches accumulated": ({"num_train_epochs": 3, "gradient_accumulation_steps": 2}, {}),
    "clipped while accumulating": ({"max_grad_norm": 0.05, "gradient_accumulation_steps": 3}, {}),
    "dora with LoRA+": ({"loraplus_lr_ratio": 4.0, "learning_rate": 5e-4}, {"use_dora": True}),
    "full, decaying": ({"method": "full", "weight_decay": 0.2}, {"method": "full"}),
    "early stop": (
        {"num_train_epochs": 8, "learning_rate": 2e-2, "early_stopping_patience": 2, "save_strategy": "epoch",
         "lr_scheduler_type": "constant"},
        {"target_modules": "all-linear"},
    ),
}  # fmt: skip
STOCHASTIC = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch")


def variant(name, folder):
    """Events, weights and cost of a variant, by as many processes as there are."""
    changes, lora = VARIANTS[name]
    settings = dataclasses.replace(BASE, **changes)
    plan = SMALL if name.startswith("small") else plan_of(settings)
    return train(fit, folder / name, settings, model=classifier(**lora), plan=plan)


def keep(folder, name, outcome):
    events, weights, cost = outcome
    if processes.rank() == 0:
        save_file(weights, folder / f"{name}.safetensors")
        (folder / f"{name}.json").write_text(json.dumps({"events": events, "cost": dataclasses.asdict(cost)}))
    # Every process ends with the same weights, to the bit.
    flat = torch.cat([value.flatten() for value in weights.values()])
    assert all(torch.equal(flat, other) for other in processes.collect(flat)), name


def with_dropout(folder):
    """A straight run, and one that is killed on all processes and goes on."""
    keep(folder, "straight", train(fit, folder / "straight", STOCHASTIC, model=classifier(dropout=0.1)))
    try:
        train(fit, folder / "killed", STOCHASTIC, model=classifier(dropout=0.1), log=kill_at(20))
    except Killed:
        pass
    else:
        raise AssertionError("it was not killed")
    keep(folder, "resumed", train(fit, folder / "killed", STOCHASTIC, model=classifier(dropout=0.1), resume=True))


def not_added_up(folder):
    """The negative control: each process steps with its own gradients alone."""
    add_up, processes.add_up = processes.add_up, lambda tensor: tensor
    _, weights, _ = variant("plain", folder / "control")
    processes.add_up = add_up
    if processes.rank() == 0:
        save_file(weights, folder / "control.safetensors")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    with processes.joined("cpu"):
        for each in VARIANTS:
            keep(place, each, variant(each, place))
        with_dropout(place)
        not_added_up(place)
