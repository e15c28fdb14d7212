"""Columns of equal length, and where their rows stand."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PREFIX = "--data."


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and where they come from.

    Attributes:
        origin: the path or id, for messages.
        columns: values by column name, one list a column.
        lines: line of each row in the file, where the format has lines.
        declared: label names by column, where the source declares them in order.
        prefix: what the command's options for data begin with, for messages that advise one.
        repeated: names that more than one column has, of which the first is kept; none of them can be used.
        notes: what was decided in reading, one sentence each.
        broken: rows that are none and were left out: what is wrong with them, by place.
    """

    origin: str
    columns: dict[str, list[Any]]
    lines: list[int] | None = None
    declared: dict[str, list[str]] = field(default_factory=dict)
    prefix: str = PREFIX
    repeated: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compose the characters of the names: two spellings that are one to Unicode name one column."""
        composed = {name: unicodedata.normalize("NFC", name) for name in self.columns}
        if list(composed) == list(composed.values()):
            return
        columns: dict[str, list[Any]] = {}
        for name, values in self.columns.items():
            columns.setdefault(composed[name], values)
        twice = {name for name in columns if list(composed.values()).count(name) > 1}
        declared = {composed.get(name, name): names for name, names in self.declared.items()}
        for attribute, value in (("columns", columns), ("declared", declared), ("repeated", self.repeated | twice)):
            object.__setattr__(self, attribute, value)

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), []))

    def place(self, row: int) -> str:
        """A row as a person would look it up: its line, or its number counted from 1."""
        return at(self.lines[row]) if self.lines else f"row {row + 1}"

    def places(self, rows: list[int], most: int = 5) -> str:
        """Some rows, the first few by place and the rest by number."""
        return listed([self.place(row) for row in rows[:most]], len(rows))

    def broken_rows(self) -> str:
        """How many rows were left out, and where; nothing if none was."""
        return f"{len(self.broken):,} broken rows: {listed(list(self.broken)[:5], len(self.broken))}" if self.broken else ""


def at(line: int) -> str:
    """A line as a person would look it up."""
    return f"line {line}"


def listed(places: list[str], number: int) -> str:
    """The first few places, and how many more there are."""
    return ", ".join(places) + (f" and {number - len(places)} more" if number > len(places) else "")


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: no value, NaN, or only white space."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, (float, Decimal)) and math.isnan(value))
