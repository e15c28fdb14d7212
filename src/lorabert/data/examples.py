"""The rows of a table as texts, labels and groups."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorabert.data.cells import Cells, texts_in
from lorabert.data.columns import Columns
from lorabert.data.labels import labels_in
from lorabert.data.tables import Table, is_missing
from lorabert.errors import InputError


@dataclass(frozen=True)
class Examples:
    """Rows that can be used: texts, perhaps second texts, label names, groups to keep together.

    Attributes:
        kept: the row of the table that each was.
        notes: what was decided in reading them, one sentence each.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: list[str]
    groups: list[Any]
    table: Table
    kept: list[int]
    notes: tuple[str, ...] = ()

    def together(self) -> list[tuple[str, ...]]:
        """Each text, or both of a pair."""
        return list(zip(self.texts, self.pairs, strict=True)) if self.pairs else [(text,) for text in self.texts]

    @property
    def skipped(self) -> int:
        """The number of rows that were left out because they cannot be used."""
        return len(self.table.broken) + len(self.table) - len(self.kept)


@dataclass(frozen=True)
class Texts:
    """Texts without labels, and their second texts where they are pairs.

    Attributes:
        places: where each stands in its file.
        notes: what was decided in reading them, one sentence each.
    """

    texts: list[str]
    pairs: list[str] | None
    places: list[str]
    notes: tuple[str, ...]


def examples(table: Table, columns: Columns, known: Sequence[str] | None = None, *, skip: bool = False) -> Examples:
    """Take the texts and labels out of a table.

    Args:
        table: where they stand.
        columns: those in use.
        known: label names that are known already, as `labels_in` takes them.
        skip: leave out the rows that cannot be used.

    Raises:
        InputError: texts or labels that are empty, missing or of the wrong type, with their lines.
    """
    assert columns.label is not None
    texts, labels = texts_in(table, columns.text), labels_in(table, columns.label, known)
    pairs = texts_in(table, columns.text_pair) if columns.text_pair else None
    used = [cells for cells in (texts, pairs, labels) if cells]
    kept, notes = _usable(table, used, "used", "a text and a label in every row", skip)
    first, second = texts.rows(kept), pairs.rows(kept) if pairs else None
    groups = _groups(table, columns.group) if columns.group else list(zip(texts.values, (pairs or texts).values, strict=True))
    return Examples(first, second, labels.rows(kept), [groups[row] for row in kept], table, kept, notes)


def texts_of(table: Table, columns: Columns, *, skip: bool = False) -> Texts:
    """The texts of a table that needs no labels, and their second texts where there is a column of them.

    Args:
        table: where they stand.
        columns: those in use.
        skip: leave out the rows that cannot be used.

    Raises:
        InputError: texts that are empty or of the wrong type.
    """
    texts = texts_in(table, columns.text)
    pairs = texts_in(table, columns.text_pair) if columns.text_pair else None
    kept, notes = _usable(table, [cells for cells in (texts, pairs) if cells], "labelled", "a text in every row", skip)
    return Texts(texts.rows(kept), pairs.rows(kept) if pairs else None, [table.place(row) for row in kept], notes)


def _usable(table: Table, used: list[Cells], what: str, expected: str, skip: bool) -> tuple[list[int], tuple[str, ...]]:
    """The rows that can be used, all of them unless some may be skipped, and what is to be said of the others."""
    problems = [problem for cells in used for problem in cells.problems()]
    kept = sorted(set.intersection(*(set(cells.usable()) for cells in used))) if problems else list(range(len(table)))
    if problems and not (skip and kept):
        raise InputError(
            f"{table.origin} has rows that cannot be {what}",
            got="; ".join(problems),
            expected=expected,
            fix=f"Mend or remove these rows, or leave them out with {table.prefix}skip_bad_rows true; "
            "`lorabert data check FILE` shows the whole file",
        )
    left_out = [*filter(None, [table.broken_rows()]), *problems]
    return kept, (*table.notes, *(f"{table.origin}: left out {rows}" for rows in left_out))


def _groups(table: Table, name: str) -> list[Any]:
    """The group of each row; a row without one is a group of its own.

    Raises:
        InputError: something that cannot name a group.
    """
    values = table.columns[name]
    odd = [row for row, value in enumerate(values) if isinstance(value, (list, dict))]
    if odd:
        raise InputError(f"{table.origin}: the column '{name}' cannot name groups", got=f"lists in {table.places(odd)}")
    return [("row", row) if is_missing(value) else _composed(value) for row, value in enumerate(values)]


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value
