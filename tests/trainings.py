"""Small trainings for the engine's tests: the data, the settings, a run and its losses, and what to compare."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tolerances
from classifiers import PAD_ID, classifier, stream
from lorabert.config import TrainConfig
from lorabert.data import batching
from lorabert.hardware import Placement

CPU = Placement("cpu", "fp32", "a test")
BASE = TrainConfig(
    learning_rate=2e-3, num_train_epochs=2, per_device_train_batch_size=8, logging_steps=1, save_strategy="no", warmup=0.1
)
STOPPING = dataclasses.replace(
    BASE, num_train_epochs=8, learning_rate=2e-2, early_stopping_patience=2, save_strategy="epoch", lr_scheduler_type="constant"
)
LENGTHS = np.random.default_rng(3).integers(1, 40, 100)
TRAIN, VALIDATION = stream(LENGTHS, learnable=True), stream(LENGTHS[:30], seed=9, learnable=True)


def train(
    engine, folder, settings=BASE, *, model=None, plan=None, resume=False, placement=CPU, log=None, data=(TRAIN, VALIDATION)
):
    """A run's log, the weights it ends with, and its Fit."""
    model = model or classifier(target_modules="all-linear")
    plan = plan or plan_of(settings)
    events = []

    def note(event):
        events.append(event)
        if log:
            log(event)

    cost = engine(model, *data, plan, settings, placement, pad_id=PAD_ID, checkpoints=folder, resume=resume, log=note)
    weights = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    return events, weights, cost


def plan_of(settings):
    return batching.plan(
        TRAIN.lengths,
        batch_size=settings.per_device_train_batch_size,
        num_epochs=settings.num_train_epochs,
        seed=settings.seed,
    )


def losses(events, kind="train"):
    return np.array([event["loss"] for event in events if event["event"] == kind])


def furthest(left, right, *, but=()):
    """The largest difference of any weight but those whose names, without what PEFT puts into them, end so."""
    assert left.keys() == right.keys()
    names = [name for name in left if not name.replace(".modules_to_save.default", "").endswith(but)]
    return max(float((left[name] - right[name]).abs().max()) for name in names)


def same_events(got, expected, tolerance=tolerances.FP32_LOSS_TRAJECTORY):
    """The same reports in the same order, with the same keys, steps and rates, and losses within the tolerance."""
    assert [event.keys() for event in got] == [event.keys() for event in expected]
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours["event"], ours["step"], ours["epoch"]) == (theirs["event"], theirs["step"], theirs["epoch"])
        assert ours.get("learning_rate") == pytest.approx(theirs.get("learning_rate"))
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=tolerance)


class Killed(Exception):
    """Stands in for a kill."""


def kill_at(step):
    def log(event):
        if event["event"] == "train" and event["step"] == step:
            raise Killed

    return log
