"""One column as strings, with the rows that cannot be used and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lorabert.data.tables import Table, is_missing

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Cells:
    """One column as strings.

    Attributes:
        table: where it stands.
        values: one a row; of no meaning in the rows of `wrong`.
        empty: rows that hold nothing.
        wrong: rows that cannot be used, the empty ones among them, by what is wrong.
    """

    table: Table
    values: list[str]
    empty: list[int]
    wrong: dict[str, list[int]]

    def problems(self) -> list[str]:
        """What is wrong, with the places."""
        return [f"{what} in {self.table.places(rows)}" for what, rows in self.wrong.items() if rows]

    def rows(self, kept: list[int]) -> list[str]:
        """The values of some rows."""
        return [self.values[row] for row in kept]

    def usable(self) -> list[int]:
        """The rows that can be used, in order."""
        unusable = set().union(*self.wrong.values())
        return [row for row in range(len(self.values)) if row not in unusable]


def has_lone_surrogate(value: Any) -> bool:
    """Half of a character, which JSON can spell and no tokenizer can read."""
    return isinstance(value, str) and _HALF.search(value) is not None


def texts_in(table: Table, name: str) -> Cells:
    """A column of texts, each as it stands: what is one text to a reader may be two to a tokenizer, which decides that itself."""
    values = table.columns[name]
    empty = [row for row, value in enumerate(values) if is_missing(value)]
    odd = [row for row, value in enumerate(values) if isinstance(value, (list, dict, bytes)) or has_lone_surrogate(value)]
    wrong = {f"no text in column '{name}'": empty, f"something other than a text in column '{name}'": odd}
    return Cells(table, [str(value) for value in values], empty, wrong)
