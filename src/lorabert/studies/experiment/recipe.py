"""The recipe: what the options that nobody set become, from a few facts of the data and the base, with the reasons in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorabert.config import COURSE, RunConfig

# Fine-tuning that takes too few steps ends where it began, or at the commonest class (Mosbach et al. 2021; Zhang et al. 2021).
STEPS = 150
EPOCHS = 3
# What auto gives whatever the data.
ALWAYS: dict[str, Any] = {"lora.target_modules": "all-linear", "train.warmup": 0.1}
# Texts are read to a length that leaves so many of them whole, where the training then reads no more tokens than this.
WHOLE = 0.95
TOKENS = 6_000_000
_LENGTHS = (64, 128, 256, 512)
_LEAST_LENGTH = 128


@dataclass(frozen=True)
class Facts:
    """What a recipe may know; the test split is not in it.

    Attributes:
        texts: training examples.
        classes: labels among them.
        lengths: tokens of some of the training texts, whole.
        longest: tokens that the base can read, None without a limit.
        probe: whether the head can start from a linear probe of the frozen base.
    """

    texts: int
    classes: int
    lengths: Sequence[int]
    longest: int | None
    probe: bool


@dataclass(frozen=True)
class Recipe:
    """What came of the options that were open.

    Attributes:
        name: auto or course.
        settings: the configuration, nothing open in it.
        chosen: by `section.key`, what the recipe set; what was set by hand is not in it.
        because: the reasons, a sentence each.
    """

    name: str
    settings: RunConfig
    chosen: dict[str, Any]
    because: list[str]

    def record(self) -> dict[str, Any]:
        """What run.json holds."""
        return {"name": self.name, "because": self.because, "chosen": self.chosen}

    def __str__(self) -> str:
        """One paragraph for people."""
        if not self.chosen:
            return f"Recipe {self.name}: every option was set by hand."
        keys = ", ".join(f"{key} {_shown(value)}" for key, value in self.chosen.items())
        return f"Recipe {self.name}: {keys}. " + " ".join(self.because)


def decide(settings: RunConfig, facts: Facts) -> Recipe:
    """Fill in every option that was left open.

    A pure function: the same settings and facts give the same recipe. What was set by hand stays.

    Args:
        settings: checked; what is None in `config.COURSE`'s keys is open.
        facts: of the training split and the base.
    """
    if settings.train.recipe == "course":
        return _filled(settings, COURSE, {"train.recipe": "The course project's values, whatever the data."})
    decided = {
        "model.max_length": _max_length(facts),
        "lora.target_modules": (ALWAYS["lora.target_modules"], _LAYERS if settings.train.method == "lora" else ""),
        "train.num_train_epochs": _epochs(settings, facts),
        "train.warmup": (ALWAYS["train.warmup"], _WARMUP),
        "train.head_init": _head(facts),
        "train.calibration": ("temperature", _SURE),
    }
    return _filled(settings, {key: value for key, (value, _) in decided.items()}, {key: why for key, (_, why) in decided.items()})


_SURE = "A temperature from texts that were not trained on makes its probabilities as high as it is right."
_WARMUP = "The learning rate rises over the first tenth of the steps, so that no early step goes astray."
_LAYERS = "LoRA sits on all linear layers, which learns more from few texts than query and value alone."


def _filled(settings: RunConfig, values: dict[str, Any], because: dict[str, str]) -> Recipe:
    chosen = {key: value for key, value in values.items() if _value(settings, key) is None}
    reasons = [why for key, why in because.items() if why and (key in chosen or key == "train.recipe")]
    return Recipe(settings.train.recipe, settings.with_values(chosen), chosen, reasons)


def _value(settings: RunConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def _max_length(facts: Facts) -> tuple[int, str]:
    """The shortest of a few lengths that leaves nearly all texts whole, if reading so many tokens is affordable."""
    limit = facts.longest or _LENGTHS[-1]
    lengths = sorted({min(length, limit) for length in _LENGTHS})
    sample = sorted(facts.lengths)
    needed = sample[min(len(sample) - 1, math.ceil(WHOLE * len(sample)) - 1)] if sample else _LEAST_LENGTH
    wanted = next((length for length in lengths if length >= needed), lengths[-1])
    affordable = [length for length in lengths if length <= _LEAST_LENGTH or _tokens(facts, length) <= TOKENS]
    length = min(wanted, affordable[-1])
    share = sum(tokens <= length for tokens in sample) / max(1, len(sample))
    kept = f"{share:.0%} of the texts are whole at {length} tokens"
    if length < wanted:
        return length, f"{kept}; more would take much longer (--model.max_length {wanted} reads {_share(sample, wanted)} whole)."
    return length, f"{kept}{', the longest that the base can read' if share < WHOLE else ''}."


def _share(sample: Sequence[int], length: int) -> str:
    return f"{sum(tokens <= length for tokens in sample) / max(1, len(sample)):.0%}"


def _tokens(facts: Facts, length: int) -> float:
    """Tokens that the training reads at a length."""
    mean = sum(min(tokens, length) for tokens in facts.lengths) / max(1, len(facts.lengths))
    return mean * facts.texts * EPOCHS


def _epochs(settings: RunConfig, facts: Facts) -> tuple[int, str]:
    """Epochs that come to enough optimizer steps."""
    together = settings.train.per_device_train_batch_size * settings.train.gradient_accumulation_steps
    each = max(1, math.ceil(facts.texts / together))
    epochs = max(EPOCHS, math.ceil(STEPS / each))
    steps = f"{facts.texts:,} texts come to {epochs * each:,} steps in {epochs} passes"
    return epochs, f"{steps}; fewer than {STEPS} learn little." if epochs > EPOCHS else f"{steps}, which is enough."


def _head(facts: Facts) -> tuple[str, str]:
    if facts.probe:
        return "probe", "The head starts as a linear probe of the frozen base, so training begins where that ends."
    return "random", "The head starts random: its layers are not known to this version."


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
