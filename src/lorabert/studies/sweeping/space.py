"""What a sweep searches over: options of a run, each with a range or with values to choose from."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from lorabert import documents
from lorabert.config import DEFAULT_LEARNING_RATE, RunConfig, from_dict
from lorabert.errors import InputError

MOST_TRIALS, MOST_AT_ONCE = 100_000, 1_000
SECTIONS = ("model", "lora", "train")
_SHAPE = "section.key=LOW..HIGH, section.key=LOW..HIGH:log or section.key=A,B,C"
_RANGE = re.compile(r"(?P<low>[^,\[\]]+?)\.\.(?P<high>[^,\[\]:]+)(?::(?P<scale>\w+))?")
# A comma inside brackets separates the items of one value, such as [query,value].
_COMMA = re.compile(r",(?![^\[]*\])")
_LORA_SPACE = (
    "lora.r=4,8,16,32",
    "lora.lora_alpha=8,16,32,64",
    "lora.lora_dropout=0..0.2",
    "lora.target_modules=auto,all-linear",
)


@dataclass(frozen=True)
class Range:
    """Every number between two ends.

    Attributes:
        key: section.key.
        low: lowest value, itself included.
        high: highest value, itself included.
        log: whether to draw evenly over the logarithm.
    """

    key: str
    low: float
    high: float
    log: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value of the option lies in the range."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"low": .., "high": .., "log": ..}`."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choices:
    """Some values of one option.

    Attributes:
        key: section.key.
        values: at least two, each of the option's own type.
    """

    key: str
    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether a value of the option is one of them."""
        return value in self.values

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"choices": [..]}`."""
        return {"choices": list(self.values)}


Dimension = Range | Choices


def default(base: RunConfig) -> list[str]:
    """What is searched over when nothing is named: the learning rate, the epochs and, for lora, LoRA's own options.

    The rates reach from a fifth to six times the method's default. Epochs that the recipe auto fits to the data are left to it.
    """
    rate = DEFAULT_LEARNING_RATE[base.train.method]
    rates = f"train.learning_rate={rate / 5:g}..{rate * 6:g}:log"
    fitted = base.train.recipe == "auto" and base.train.num_train_epochs is None
    always = [rates] if fitted else [rates, "train.num_train_epochs=2..5"]
    return [*always, *_LORA_SPACE] if base.train.method == "lora" else always


def parse(words: Sequence[str], base: RunConfig) -> list[Dimension]:
    """Read what the command line names, and check every end and every choice against the option's type and limits.

    Args:
        words: such as `train.learning_rate=1e-4..3e-3:log`, `lora.r=4,8,16` or `lora.target_modules=auto,[query,key]`.
        base: the configuration that the trials share.

    Raises:
        InputError: a word that cannot be read, an unknown option, a value it cannot take, or an option named twice.
    """
    dimensions = [_dimension(word, base) for word in words]
    keys = [dimension.key for dimension in dimensions]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InputError("An option is searched twice", got=", ".join(f"`{key}`" for key in twice), fix="Name each option once")
    return dimensions


def _dimension(word: str, base: RunConfig) -> Dimension:
    key, equals, values = word.partition("=")
    section, dot, _ = key.partition(".")
    if not equals or not dot or not values.strip():
        raise InputError("A search cannot be read", got=f"`{word}`", expected=_SHAPE, fix="See `lorabert sweep --help`")
    known = [f"{part.name}.{knob.name}" for part in fields(base) for knob in fields(getattr(base, part.name))]
    if key not in known:
        near = get_close_matches(key, known, n=1)
        raise InputError(
            "Unknown option", got=f"`{key}`", fix=f"Did you mean `{near[0]}`?" if near else "See `lorabert train --help`"
        )
    if section == "data":
        raise InputError(
            "Trials on other data cannot be compared", got=f"`{key}`", expected=f"an option of {', '.join(SECTIONS)}",
            fix="Make one sweep for each",
        )  # fmt: skip
    if found := _RANGE.fullmatch(values.strip()):
        return _range(key, found, base)
    taken = [_taken(base, key, value) for value in _COMMA.split(values)]
    chosen = tuple(value for index, value in enumerate(taken) if value not in taken[:index])
    if len(chosen) < 2:
        raise InputError(f"`{key}` has one value, which is nothing to search over", got=f"`{word}`",
                         fix=f"Give several values, or fix it with --{key} {values}")  # fmt: skip
    return Choices(key, chosen)


def _range(key: str, found: re.Match[str], base: RunConfig) -> Range:
    low, high = (_taken(base, key, found[end]) for end in ("low", "high"))
    written = f"`{key}={found[0]}`"
    if any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in (low, high)):
        raise InputError(f"`{key}` is not a number and has no range", got=written, expected=f"{key}=A,B,C")
    if not low < high:
        raise InputError(f"The range of `{key}` is empty", got=written, expected="the lower end first, and two different ends")
    if found["scale"] not in (None, "log"):
        raise InputError(f"The range of `{key}` has an unknown scale", got=f"`{found['scale']}`", expected="log, or nothing")
    if found["scale"] and low <= 0:
        raise InputError(f"A logarithmic range of `{key}` cannot reach {low:g}", got=written, expected="a lower end above 0")
    return Range(key, low, high, bool(found["scale"]))


def _taken(base: RunConfig, key: str, text: str) -> Any:
    """The value that an option takes from a text, in the option's own type."""
    text = text.strip()
    section, _, name = key.partition(".")
    values = _listed(key, text) if text.startswith("[") else text
    return getattr(getattr(with_values(base, {key: values}), section), name)


def _listed(key: str, text: str) -> Any:
    """A list as YAML writes it."""
    try:
        return documents.load(text)
    except documents.DocumentError as error:
        raise InputError(f"`{key}` has a list that cannot be read", got=f"'{text[:80]}': {error}") from None


def with_values(base: RunConfig, values: dict[str, Any]) -> RunConfig:
    """The configuration with some options set, resolved and checked.

    Where the method is set and the learning rate is not, a rate that is only the old method's default gives way to the new
    method's.

    Raises:
        InputError: an unknown option, or a value it cannot take.
    """
    sections = base.to_dict()
    is_default = base.train.learning_rate == DEFAULT_LEARNING_RATE[base.train.method]
    if "train.method" in values and is_default:
        sections["train"]["learning_rate"] = None
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    return from_dict(sections)


def grid(dimensions: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Every combination of the dimensions' values.

    Raises:
        InputError: a dimension is a range, which has no end of values.
    """
    for dimension in dimensions:
        if isinstance(dimension, Range):
            raise InputError("A grid needs values, not a range", got=f"`{dimension.key}={dimension.low:g}..{dimension.high:g}`",
                             expected=f"{dimension.key}=A,B,C", fix="Name the values, or use --search with --trials")  # fmt: skip
    chosen = [dimension.values for dimension in dimensions if isinstance(dimension, Choices)]
    if math.prod(map(len, chosen)) > MOST_TRIALS:
        raise InputError("The grid has too many combinations", got=f"{math.prod(map(len, chosen)):,}",
                         expected=f"at most {MOST_TRIALS:,}", fix="Use --search with --trials")  # fmt: skip
    return [dict(zip((each.key for each in dimensions), values, strict=True)) for values in itertools.product(*chosen)]
