"""Both ends of every number of a run's configuration: beyond them nothing sensible lies, and somewhere beyond nothing works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorabert.errors import InputError


@dataclass(frozen=True)
class Range:
    """The numbers between two ends.

    Attributes:
        low: the lower end.
        high: the upper end.
        open_low: the lower end itself does not belong to it.
        open_high: the upper end itself does not belong to it.
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies in it; what is no number does not."""
        above = self.low < value if self.open_low else self.low <= value
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if self.open_low and self.open_high:
            return f"above {_shown(self.low)} and below {_shown(self.high)}"
        if self.open_low:
            return f"above {_shown(self.low)}, and at most {_shown(self.high)}"
        return f"at least {_shown(self.low)}, and {'below' if self.open_high else 'at most'} {_shown(self.high)}"


_SEED = Range(0, 2**32 - 1)
_SHARE = Range(0, 1, open_low=True, open_high=True)
RANGES = {
    "model.max_length": Range(3, 65_536),
    "data.limit": Range(1, 10**9),
    "data.train_limit": Range(2, 10**9),
    "data.draw_seed": _SEED,
    "data.validation_share": Range(0, 1, open_high=True),
    "data.test_share": _SHARE,
    "data.split_seed": _SEED,
    "lora.r": Range(1, 4_096),
    "lora.lora_alpha": Range(0, 65_536, open_low=True),
    "lora.lora_dropout": Range(0, 1, open_high=True),
    "train.seed": _SEED,
    "train.learning_rate": _SHARE,
    "train.loraplus_lr_ratio": Range(0, 10_000, open_low=True),
    "train.num_train_epochs": Range(1, 1_000),
    "train.per_device_train_batch_size": Range(1, 65_536),
    "train.per_device_eval_batch_size": Range(1, 65_536),
    "train.gradient_accumulation_steps": Range(1, 65_536),
    "train.weight_decay": Range(0, 10),
    "train.warmup": Range(0, 10**6),
    "train.max_grad_norm": Range(0, 10**6),
    "train.logging_steps": Range(1, 10**9),
    "train.folds": Range(0, 100),
    "train.early_stopping_patience": Range(0, 1_000),
}


def check_probability(option: str, value: float | None) -> None:
    """Check an option that takes a probability, or nothing.

    Raises:
        InputError: it is none.
    """
    allowed = Range(0, 1)
    if value is not None and not allowed.holds(value):
        raise InputError(f"{option} takes a probability", got=_cut(value), expected=str(allowed))


def problems(sections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each number that is out of its range; those that are not set are left out."""
    found = []
    for key, allowed in RANGES.items():
        section, _, name = key.partition(".")
        value = sections[section][name]
        if value is not None and not allowed.holds(value):
            found.append(f"{key} {_cut(value)}, which must be {allowed}")
    return found


def _shown(end: float) -> str:
    return f"{end:,.0f}" if abs(end) >= 10_000 else f"{end:g}"


def _cut(value: float) -> str:
    """A number as it was given; of a very long one the beginning."""
    try:
        text = str(value)
    except ValueError:  # thousands of digits
        return "of thousands of digits"
    return text if len(text) <= 40 else f"{text[:40]}… ({len(text)} digits)"
