"""Kinds of values in a JSON document that somebody else may have written, by type and range.

A check takes a value and where it stands, and gives what is wrong with it, a sentence each. Keys that are not known are left
alone, as a later version may have written them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Check = Callable[[Any, str], Iterator[str]]
LONGEST_NAME = 4096


def wrong(value: Any, where: str, expected: str) -> str:
    """What stands there, cut where it is long, and what should."""
    shown = ascii(value)
    return f"{where} is {shown if len(shown) <= 60 else shown[:57] + '...'}, not {expected}"


def text(longest: int = LONGEST_NAME, pattern: str = ".*", what: str = "") -> Check:
    """A text of at most so many characters, of a pattern."""

    def check(value: Any, where: str) -> Iterator[str]:
        fits = isinstance(value, str) and len(value) <= longest and "\0" not in value and re.fullmatch(pattern, value, re.DOTALL)
        if not fits:
            yield wrong(value, where, what or f"a text of at most {longest:,} characters")

    return check


def whole(least: int, most: int) -> Check:
    """A whole number in a range; true and false are none."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            yield wrong(value, where, f"a whole number from {least:,} to {most:,}")

    return check


def number(value: Any, where: str) -> Iterator[str]:
    """A finite number."""
    # Logits are compared in fp32, where a larger one is infinite, and no difference from infinity is too large.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or abs(value) > 1e30:
        yield wrong(value, where, "a finite number")


def positive(value: Any, where: str) -> Iterator[str]:
    """A finite number above zero, such as what is divided by."""
    found = list(number(value, where))
    yield from found
    if not found and not value > 0:
        yield wrong(value, where, "a number above zero")


def loss(value: Any, where: str) -> Iterator[str]:
    """A number of a training, which may have come to an infinity or to none at all."""
    if not isinstance(value, float):
        yield from number(value, where)


def anything(_: Any, __: str) -> Iterator[str]:
    """Whatever stands there."""
    yield from ()


def one_of(*values: Any) -> Check:
    """One of a few values; 1 and true are two."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not any(value is each or (type(value) is type(each) and value == each) for each in values):
            yield wrong(value, where, " or ".join(map(ascii, values)))

    return check


def optional(inner: Check) -> Check:
    """A value or null."""

    def check(value: Any, where: str) -> Iterator[str]:
        if value is not None:
            yield from inner(value, where)

    return check


def rows(inner: Check, least: int, most: int, *, distinct: bool = False) -> Check:
    """A list of values of one kind."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield wrong(value, where, "a list")
            return
        if not least <= len(value) <= most:
            yield f"{where} has {len(value):,} entries, not {least:,} to {most:,}"
            return
        for index, each in enumerate(value):
            if problem := next(inner(each, f"{where}[{index}]"), None):
                yield problem  # one tells enough
                return
        if distinct and len(set(value)) < len(value):
            yield f"{where} has {next(each for each in value if value.count(each) > 1)!a} twice"

    return check


def named(key: Check, inner: Check, most: int) -> Check:
    """Values of one kind under names of one kind."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict) or len(value) > most:
            yield wrong(value, where, f"an object of at most {most:,} entries")
            return
        for name, each in value.items():
            yield from key(name, f"a name in {where}")
            yield from inner(each, f"{where}[{name[:60]!a}]")

    return check


def record(needed: Mapping[str, Check], further: Mapping[str, Check] | None = None) -> Check:
    """An object with the keys needed, and perhaps others."""

    def check(value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield wrong(value, where, "an object")
            return
        under = f"{where}." if where else ""
        for key, inner in needed.items():
            yield from inner(value[key], under + key) if key in value else iter([f"{under}{key} is missing"])
        for key, inner in (further or {}).items():
            yield from inner(value[key], under + key) if key in value else iter(())

    return check


def any_object(value: Any, where: str) -> Iterator[str]:
    """An object of whatever."""
    if not isinstance(value, dict):
        yield wrong(value, where, "an object")


def neutral(value: Any, where: str) -> Iterator[str]:
    """What leaves something off in every version: null, false, 0, or an empty text, list or object."""
    if value:
        yield wrong(value, where, "left out")
