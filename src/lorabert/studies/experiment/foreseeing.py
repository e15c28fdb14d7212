"""When a run will end: measured on a few of its own steps before anything long begins, refined as it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lorabert import processes
from lorabert.config import RunConfig, decided
from lorabert.data import batching
from lorabert.data.encoding import EncodedSplit, encode_split
from lorabert.data.pacing import Pace
from lorabert.data.sources import SPLITS, Splits
from lorabert.data.splitting import sample
from lorabert.errors import Unsupported
from lorabert.hardware import Placement

# Batches that are looked at, of at most so many texts, and texts whose lengths are measured in each split.
_BATCHES, _MOST_TEXTS, _LENGTHS = 8, 64, 512
# A text that is only read costs about half of one that is trained on: there is no way back through the base.
READING = 0.5
# The frozen base reads at most this many training texts for its linear baseline, so that it stays cheap.
FROZEN_BASE_TEXTS = 4_000


@dataclass(frozen=True)
class Work:
    """What a run has to do, in tokens.

    Attributes:
        trained: tokens that are trained on, every epoch counted.
        read: tokens that are only read: for baselines, validation and the last answers.
    """

    trained: float
    read: float

    def seconds(self, pace: Pace) -> float:
        """What it takes at a pace, shared by the processes of the run."""
        return pace.seconds_per_token * (self.trained + READING * self.read) / processes.count()


@dataclass(frozen=True)
class Foreseen:
    """What was measured before a run, and what follows from it.

    Attributes:
        work: what is to be done.
        pace: of the run's own steps.
        engine: that took them.
        again: takes steps in another precision.
        sample: the texts that they were taken on.
    """

    work: Work
    pace: Pace
    engine: str
    again: Callable[[Placement], Pace]
    sample: EncodedSplit

    @property
    def seconds(self) -> float:
        """What the run will take."""
        return self.work.seconds(self.pace)


def foresee(model: Any, tokenizer: Any, splits: Splits, settings: RunConfig, placement: Placement) -> Foreseen:
    """Measure a few steps of a run on a sample of its texts; the model and all random states are as before.

    Args:
        model: as `models.methods.apply` made it.
        tokenizer: the base's.
        splits: the texts.
        settings: the resolved configuration.
        placement: where the run computes.
    """
    length = decided(settings.model.max_length)
    texts = {
        name: encode_split(part.rows(sample(len(part), _LENGTHS, seed=0)), tokenizer, length, quiet=True)
        for name in SPLITS
        if len(part := getattr(splits, name))
    }
    means = {name: float(part.lengths.mean()) for name, part in texts.items()}
    work = work_of(settings, {name: len(getattr(splits, name)) for name in SPLITS}, means)
    return measured(model, texts["train"], settings, placement, work, pad_id=tokenizer.pad_token_id)


def measured(model: Any, texts: EncodedSplit, settings: RunConfig, placement: Placement, work: Work, *, pad_id: int) -> Foreseen:
    """Measure a few steps of a model on some encoded texts."""
    train = settings.train
    plan = batching.plan(
        texts.lengths,
        batch_size=min(train.per_device_train_batch_size, _MOST_TEXTS),
        num_epochs=1,
        seed=train.seed,
        group_by_length=train.train_sampling_strategy == "group_by_length",
    )
    engine, pace, again = _paced(model, texts, plan.epochs[0][:_BATCHES], settings, placement, pad_id)
    return Foreseen(work, pace, engine, again, texts)


def work_of(settings: RunConfig, examples: dict[str, int], mean_tokens: dict[str, float]) -> Work:
    """The tokens that a run trains on and reads, of so many examples of so many tokens."""
    epochs, train = decided(settings.train.num_train_epochs), settings.train
    tokens = {name: examples[name] * mean_tokens.get(name, 0.0) for name in SPLITS}
    # Each fold trains on all texts but a share of 1 / k, and answers that.
    trained = epochs * tokens["train"] * max(1, train.folds)
    read = tokens["validation"] * (epochs + 1) + tokens["test"] + (tokens["train"] if train.folds else 0)
    if train.baselines:
        read += min(examples["train"], FROZEN_BASE_TEXTS) * mean_tokens["train"] + tokens["test"]
    return Work(trained, read)


def _paced(
    model: Any, texts: EncodedSplit, batches: list[np.ndarray], settings: RunConfig, placement: Placement, pad_id: int
) -> tuple[str, Pace, Callable[[Placement], Pace]]:
    """The engine that will train, the pace of its steps, and what takes more of them; all random states are as before."""
    from lorabert.engine import reference, training

    def fast(where: Placement) -> Pace:
        with torch.random.fork_rng():
            return training.pace(model, texts, batches, where)

    def slow(where: Placement) -> Pace:
        with torch.random.fork_rng():
            return reference.pace(model, texts, batches, where, pad_id=pad_id)

    if settings.train.engine != "reference":
        try:
            if settings.train.engine == "auto":
                training.refuse_unproven(placement)
            return "fast", fast(placement), fast
        except Unsupported:  # who asked for it by name hears of it when training begins
            pass
    return "reference", slow(placement), slow


def left(seconds: float, now: float | None = None) -> str:
    """How long something takes, and when it ends, for people."""
    now = time.time() if now is None else now
    begun, ends = time.localtime(now), time.localtime(now + seconds)
    day = "" if begun.tm_yday == ends.tm_yday else time.strftime(" on %Y-%m-%d", ends)
    about = duration(seconds)
    return f"{about[0].upper()}{about[1:]} left: ends near {time.strftime('%H:%M', ends)}{day}"


def told(seconds: float, shorter: Sequence[str] = ()) -> str:
    """When a run ends, and what would make it shorter, for people."""
    return "\n  ".join([left(seconds), *(["It would be shorter with"] if shorter else []), *(f"  {line}" for line in shorter)])


def duration(seconds: float) -> str:
    """Some seconds as one says them: less than a minute, about 12 min, about 3 h 20 min, about 4 days."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"about {hours} h {minutes} min" if minutes else f"about {hours} h"
    return f"about {hours} h" if hours < 72 else f"about {round(hours / 24)} days"
