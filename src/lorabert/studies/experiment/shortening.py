"""What would make a long run shorter, and what it would then take: only what machine and configuration leave open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lorabert import hardware
from lorabert.config import RunConfig, decided
from lorabert.data import batching
from lorabert.engine import kernels
from lorabert.hardware import Placement
from lorabert.studies.experiment.foreseeing import Foreseen, duration

LONG_SECONDS = 600.0
_QUICK_SECONDS = 300.0
# What changes less than this is not worth a line.
_WORTH = 0.9
_SMALL_BASE, _SMALL_LAYERS, _SMALL_WIDTH = "minilm-l6", 6, 384


def shorter(foreseen: Foreseen, settings: RunConfig, placement: Placement, model: Any, examples: int) -> list[str]:
    """Options that would make a run shorter, with what it would take; nothing for one that is short already.

    Args:
        foreseen: what was measured of it.
        settings: the resolved configuration.
        placement: where it computes.
        model: the model that it trains.
        examples: of its training split.
    """
    if foreseen.seconds <= LONG_SECONDS:
        return []
    shares = [
        *_less_work(foreseen, settings, examples),
        *_other_arithmetic(foreseen, settings, placement),
        *_shorter_texts(foreseen, settings),
        *_smaller_base(settings, model.config),
    ]
    worth = sorted((share, option) for option, share in shares if share < _WORTH)
    lines = [f"{option}: {duration(share * foreseen.seconds)}" for share, option in worth]
    return lines + list(_unused(foreseen, placement))


def _less_work(foreseen: Foreseen, settings: RunConfig, examples: int) -> Iterator[tuple[str, float]]:
    """Fewer passes, fewer examples, no baselines, and the share of the time that is left then."""
    train, work = settings.train, foreseen.work
    whole = foreseen.seconds
    if (epochs := decided(train.num_train_epochs)) > 1:
        yield "--train.num_train_epochs 1", 1 / epochs
    few = int(examples * _QUICK_SECONDS / whole)
    digits = 10 ** max(0, len(str(few)) - 1)
    if 100 <= (few := few // digits * digits) < examples:
        yield f"--data.limit {few} (for a first look)", few / examples
    if train.baselines and train.method != "head":
        bare = type(work)(work.trained, 0.0)
        yield "--train.baselines false", bare.seconds(foreseen.pace) / whole


def _other_arithmetic(foreseen: Foreseen, settings: RunConfig, placement: Placement) -> Iterator[tuple[str, float]]:
    """Half precision where the device has it, measured; and for the padded engine texts of like length."""
    half = hardware.placed(placement.device, "auto")  # type: ignore[arg-type]
    if placement.precision == "fp32" and half.precision != "fp32":
        pace = foreseen.again(half)
        yield f"--train.precision {half.precision} (measured)", pace.seconds_per_token / foreseen.pace.seconds_per_token
    if foreseen.engine == "reference" and settings.train.train_sampling_strategy == "random":
        lengths, size = foreseen.sample.lengths, settings.train.per_device_train_batch_size
        plans = [batching.plan(lengths, batch_size=size, num_epochs=1, seed=0, group_by_length=g) for g in (False, True)]
        filled, grouped = (1 - batching.padding_share(lengths, plan.epochs[0]) for plan in plans)
        yield "--train.train_sampling_strategy group_by_length", filled / grouped


def _shorter_texts(foreseen: Foreseen, settings: RunConfig) -> Iterator[tuple[str, float]]:
    """Half of max_length, with the share of the texts that it would cut."""
    lengths, half = foreseen.sample.lengths, decided(settings.model.max_length) // 2
    if half >= 16:
        cut = float(np.mean(lengths > half))
        yield f"--model.max_length {half} (cuts {cut:.0%} of the texts)", float(np.minimum(lengths, half).sum() / lengths.sum())


def _smaller_base(settings: RunConfig, base: Any) -> Iterator[tuple[str, float]]:
    """The asset that is small; the products of a layer grow with the square of its width."""
    layers, width = getattr(base, "num_hidden_layers", 0), getattr(base, "hidden_size", 0)
    if settings.model.name != _SMALL_BASE and layers and width:
        yield f"--model.name {_SMALL_BASE}", _SMALL_LAYERS * _SMALL_WIDTH**2 / (layers * width**2)


def _unused(foreseen: Foreseen, placement: Placement) -> Iterator[str]:
    """What this machine has, or could have, and the run does not use."""
    cores = os.cpu_count() or 1
    if placement.device != "cpu":
        return
    if torch.get_num_threads() < cores // 2:
        yield f"more threads: it uses {torch.get_num_threads()} on {cores} cores (OMP_NUM_THREADS)"
    if foreseen.engine == "fast" and kernels.state().library is None:
        yield f"compiled steps, which are not used: {kernels.state().reason}"
