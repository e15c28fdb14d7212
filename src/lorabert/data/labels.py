"""What the values of a label column mean: one name for a class however a file writes it, and the order of the classes.

| written | name | why |
|---|---|---|
| `é` as one character or as two | `é` | they are one character (Unicode's NFC) |
| `1`, `1.0`, `+1`, ` 1`, the number 1 or 1.0, a decimal 1.00 | `1` | pandas writes 1.0 beside a missing value, databases 1.00 |
| `true`, `TRUE`, `True`, true, where the column holds nothing else | `True` | pandas, JSON and spreadsheets differ in it |
| `1.5`, `007`, `1e3`, `1_000`, `1.` | as written | a half star; ids, hashes and names, which a number would lose |
| the number 1.5 | refused | more often a measurement than a class; written as text it is a name |
| `neg`, `NEG`, `neg` and a character without width | as written | who can say that they are one? `lookalikes` names them |

White space of ASCII around a label is no part of it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from lorabert.data.cells import Cells, has_lone_surrogate
from lorabert.data.tables import Table, is_missing
from lorabert.errors import InputError, quoted

_SPACE = " \t\r\n\v\f"
_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]*)(?:\.0+)?")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_BOOLEANS = {"true": "True", "false": "False"}


def labels_in(table: Table, name: str, known: Sequence[str] | None = None) -> Cells:
    """A column of labels; an integer that a source declares a name for becomes that name.

    Args:
        table: where it stands.
        name: the column.
        known: the names that an adapter or the train split has. A label that is one of them in another spelling becomes it, so
            that an adapter that learnt `0.0` reads 0, 0.0 and `0`.
    """
    values, declared = table.columns[name], table.declared.get(name)
    empty = [row for row, value in enumerate(values) if is_missing(value)]
    odd = [row for row, value in enumerate(values) if not is_missing(value) and not _usable(value)]
    strange = [row for row, value in enumerate(values) if declared and _usable(value) and not _declares(declared, value)]
    wrong = {
        f"no label in column '{name}'": empty,
        f"a label that is no name or whole number in column '{name}'": odd,
        f"a number that stands for no class of column '{name}'": strange,
    }
    unusable = {*empty, *odd, *strange}
    written = ["" if row in unusable else _written(value, declared) for row, value in enumerate(values)]
    names = _spelled_alike({label for row, label in enumerate(written) if row not in unusable})
    if known:
        names = {label: _among(label, name, known) for label, name in names.items()}
    return Cells(table, [names.get(label, "") for label in written], empty, wrong)


def _usable(value: Any) -> bool:
    if isinstance(value, str):
        return not has_lone_surrogate(value)
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) or (isinstance(value, Real) and math.isfinite(value) and float(value).is_integer())


def _declares(declared: list[str], value: Any) -> bool:
    return isinstance(value, str) or 0 <= value < len(declared)


def _written(value: Any, declared: list[str] | None) -> str:
    """A label as the file has it, a number by its digits, without white space around it."""
    if isinstance(value, str):
        return value.strip(_SPACE)
    if declared:
        return declared[int(value)]
    return str(value) if isinstance(value, bool) else str(int(value))


def _spelled_alike(written: set[str]) -> dict[str, str]:
    """The name of each label of one column."""
    names = {label: one_spelling(label) for label in written}
    if all(name.lower() in _BOOLEANS for name in names.values()):
        names = {label: _BOOLEANS[name.lower()] for label, name in names.items()}
    return names


def one_spelling(label: str) -> str:
    """A label's name: composed characters, and a whole number by its digits alone."""
    name = unicodedata.normalize("NFC", label)
    if number := _WHOLE.fullmatch(name):
        sign, digits = number.groups()
        return f"-{digits}" if sign == "-" and digits != "0" else digits
    return name


def _among(written: str, name: str, known: Sequence[str]) -> str:
    """The known name that a label is, as it is written or in another spelling; its own where it is none of them."""
    for spelling in (written, name):
        if spelling in known:
            return spelling
    same = [other for other in known if _meaning(other) == _meaning(name)]
    return same[0] if len(same) == 1 else name


def _meaning(name: str) -> str:
    name = one_spelling(name)
    return _BOOLEANS.get(name.lower(), name)


def label_names(labels: list[str], table: Table, column: str) -> list[str]:
    """The classes in order: as the source declares them, numbers by value, names alphabetically.

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
        return [unicodedata.normalize("NFC", name) for name in declared]
    return sorted(present, key=lambda name: (Decimal(name), name)) if all(map(_NUMBER.fullmatch, present)) else sorted(present)


def fractions(names: Iterable[str]) -> str:
    """A sentence for labels that may be a quantity; empty where they are not all numbers, or all whole."""
    listed = sorted(set(names))
    if not all(map(_NUMBER.fullmatch, listed)) or all(map(_WHOLE.fullmatch, listed)):
        return ""
    broken = [name for name in listed if "." in name]
    if not broken:
        return ""
    return f"the labels are numbers with fractions ({quoted(broken, 3)}): each of the {len(listed)} is a class of its own"
