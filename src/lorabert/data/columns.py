"""Which column is the text and which the label, and what their values mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorabert.config import DataConfig
from lorabert.data.tables import Table, is_missing
from lorabert.errors import InputError

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "message", "tweet", "body", "document", "article",
              "utterance", "query", "post", "description", "title", "headline", "input")  # fmt: skip
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "topic", "intent", "emotion", "stars",
               "rating", "y", "output")  # fmt: skip
PAIR_NAMES = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"),
              ("question", "sentence"), ("text", "text_pair"))  # fmt: skip

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Columns:
    """Names of the columns in use."""

    text: str
    text_pair: str | None
    label: str
    group: str | None


@dataclass(frozen=True)
class Examples:
    """Rows that can be used: texts, perhaps second texts, raw labels as strings, groups to keep together.

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

    @property
    def skipped(self) -> int:
        """The number of rows that were left out because they cannot be used."""
        return len(self.table.broken) + len(self.table) - len(self.kept)


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


def find(table: Table, data: DataConfig) -> Columns:
    """The columns that were named, or that the usual names and the shape of the table tell.

    Raises:
        InputError: a named column is not there, or none can be told; the message lists those there are.
    """
    there = list(table.columns)
    text, pair = data.text, data.text_pair
    if text is None and pair is None:
        lowered = {name.lower(): name for name in there}
        text, pair = next(((lowered[one], lowered[two]) for one, two in PAIR_NAMES if {one, two} <= set(lowered)), (None, None))
    label = data.label or _by_name(LABEL_NAMES, there, taken=(text, pair, data.group))
    text = text or _by_name(TEXT_NAMES, there, taken=(label, pair, data.group))
    others = [name for name in there if name not in (text, label, pair, data.group)]
    if text is None and label is not None and len(others) == 1:
        text = others[0]
    elif label is None and text is not None and len(others) == 1:
        label = others[0]
    elif text is None and label is None and len(others) == 2:
        label, text = sorted(others, key=lambda name: len(set(map(str, table.columns[name]))))
    for role, name in (("text", text), ("label", label), ("text_pair", pair), ("group", data.group)):
        _require(table, role, name, optional=role in ("text_pair", "group"))
    assert text is not None
    assert label is not None
    return Columns(text, pair, label, data.group)


def _by_name(usual: tuple[str, ...], there: list[str], taken: Sequence[str | None]) -> str | None:
    lowered = {name.lower(): name for name in there if name not in taken}
    return next((lowered[name] for name in usual if name in lowered), None)


def _require(table: Table, role: str, name: str | None, *, optional: bool) -> None:
    there = ", ".join(f"'{column}'" for column in table.columns)
    if name is None and not optional:
        raise InputError(
            f"{table.origin}: no column looks like the {role}",
            got=f"the columns {there}",
            fix=f"Name it with {table.prefix}{role} COLUMN",
        )
    if name is not None and name not in table.columns:
        raise InputError(
            f"{table.origin} has no column '{name}'",
            got=f"the columns {there}",
            fix=f"Name one of them with {table.prefix}{role}",
        )
    if name in table.repeated:
        raise InputError(
            f"{table.origin} has more than one column of the same name",
            got=f"'{name}', which is the {role}",
            fix="Give each column a name of its own in the header",
        )


def examples(table: Table, columns: Columns, *, skip: bool = False) -> Examples:
    """Take the texts and labels out of a table.

    Args:
        table: the table.
        columns: those in use.
        skip: leave out the rows that cannot be used.

    Raises:
        InputError: texts or labels that are empty, missing or of the wrong type, with their lines.
    """
    texts, labels = texts_in(table, columns.text), labels_in(table, columns.label)
    pairs = texts_in(table, columns.text_pair) if columns.text_pair else None
    used = [cells for cells in (texts, pairs, labels) if cells]
    kept, notes = _usable(table, used, "used", "a text and a label in every row", skip)
    first, second = texts.rows(kept), pairs.rows(kept) if pairs else None
    groups = _groups(table, columns.group) if columns.group else list(zip(texts.values, (pairs or texts).values, strict=True))
    return Examples(first, second, labels.rows(kept), [groups[row] for row in kept], table, kept, notes)


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
    return [("row", row) if is_missing(value) else value for row, value in enumerate(values)]


def texts_in(table: Table, name: str) -> Cells:
    """A column of texts."""
    values = table.columns[name]
    empty = [row for row, value in enumerate(values) if is_missing(value)]
    odd = [row for row, value in enumerate(values) if isinstance(value, (list, dict, bytes)) or has_lone_surrogate(value)]
    wrong = {f"no text in column '{name}'": empty, f"something other than a text in column '{name}'": odd}
    return Cells(table, [str(value) for value in values], empty, wrong)


def has_lone_surrogate(value: Any) -> bool:
    """Half of a character, which JSON can spell and no tokenizer can read."""
    return isinstance(value, str) and _HALF.search(value) is not None


def labels_in(table: Table, name: str) -> Cells:
    """A column of labels; an integer that a source declares a name for becomes that name."""
    values, declared = table.columns[name], table.declared.get(name)
    empty = [row for row, value in enumerate(values) if is_missing(value)]
    odd = [row for row, value in enumerate(values) if not is_missing(value) and not _is_label(value)]
    strange = [row for row, value in enumerate(values) if declared and _is_label(value) and not _declares(declared, value)]
    wrong = {
        f"no label in column '{name}'": empty,
        f"a label that is no name or whole number in column '{name}'": odd,
        f"a number that stands for no class of column '{name}'": strange,
    }
    unusable = {*empty, *odd, *strange}
    return Cells(table, ["" if row in unusable else _name_of(value, declared) for row, value in enumerate(values)], empty, wrong)


def _declares(declared: list[str], value: Any) -> bool:
    return isinstance(value, str) or 0 <= int(value) < len(declared)


def _is_label(value: Any) -> bool:
    if isinstance(value, str):
        return not has_lone_surrogate(value)
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _name_of(value: Any, declared: list[str] | None) -> str:
    if isinstance(value, str):
        return value.strip()
    return declared[int(value)] if declared else str(value) if isinstance(value, bool) else str(int(value))


def label_names(labels: list[str], table: Table, column: str) -> list[str]:
    """The classes in order: as the source declares them, whole numbers by value, names alphabetically.

    Raises:
        InputError: a single class, or a different label in every row.
    """
    declared = table.declared.get(column)
    present = set(labels)
    if len(present) < 2:
        raise InputError(
            f"{table.origin}: the column '{column}' holds one class only",
            got=f"'{next(iter(present))}' in all {len(labels)} rows",
            expected="at least two classes",
        )
    if len(present) == len(labels) > 20:
        raise InputError(
            f"{table.origin}: the column '{column}' has another value in each of its {len(present)} rows",
            expected="labels that repeat",
            fix=f"Name the right column with {table.prefix}label",
        )
    if declared:
        return declared
    return sorted(present, key=lambda name: (int(name), name)) if all(map(_is_integer, present)) else sorted(present)


def _is_integer(name: str) -> bool:
    return name.removeprefix("-").isascii() and name.removeprefix("-").isdigit()


def pair_column(named: str | None, trained_on: str | None) -> str | None:
    """The column of second texts that an adapter reads: the one that was named, or the one it was trained on.

    Raises:
        InputError: one was named for an adapter of single texts.
    """
    if named and not trained_on:
        raise InputError("This adapter labels single texts", got="--text_pair", fix="Leave it out")
    return named or trained_on


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


def texts_of(table: Table, text: str | None, text_pair: str | None, usual: str | None = None, *, skip: bool = False) -> Texts:
    """The texts of a table that needs no labels, and their second texts where a column for them is named.

    Args:
        table: that needs no labels.
        text: column of the texts; if None the usual one, or the one that its name or the shape of the table tells.
        text_pair: column of the second texts.
        usual: column of the texts where it is there and no other was named.
        skip: leave out the rows that cannot be used.

    Raises:
        InputError: no such column, or texts that are empty or of the wrong type.
    """
    there = list(table.columns)
    usual, alone = usual if usual in there else None, there[0] if len(there) == 1 else None
    name = text or usual or _by_name(TEXT_NAMES, there, taken=()) or alone
    _require(table, "text", name, optional=False)
    _require(table, "text_pair", text_pair, optional=True)
    assert name is not None
    texts, pairs = texts_in(table, name), texts_in(table, text_pair) if text_pair else None
    kept, notes = _usable(table, [cells for cells in (texts, pairs) if cells], "labelled", "a text in every row", skip)
    return Texts(texts.rows(kept), pairs.rows(kept) if pairs else None, [table.place(row) for row in kept], notes)
