"""JSON: an object a line, a list of objects, or columns."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from lorabert.config import DataConfig
from lorabert.data.tables.table import PREFIX, Table, at, listed
from lorabert.errors import InputError

_DEEPEST = 100  # what nests deeper is no row of a table, and more than some readers of it take
_TOO_DEEP = f"lists or objects in each other, more than {_DEEPEST} deep"
_LONGEST_NUMBER = 300
_SHAPES = 'a list of objects such as [{"text": "...", "label": "..."}], that list under one key, or a list of values by column'


def of_lines(origin: str, text: str, data: DataConfig, prefix: str = PREFIX) -> Table:
    """Read JSONL: one object a line.

    Raises:
        InputError: a line that is none, with its number.
    """
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    broken: dict[int, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.isspace():
            continue
        try:
            row = _loaded(line)
            if not isinstance(row, dict):
                raise ValueError(_kind(row))
            if _nests_too_deep(row):
                raise ValueError(_TOO_DEEP)
        except ValueError as error:
            broken[number] = str(error)
            if not data.skip_bad_rows:
                break
            continue
        rows.append(row)
        lines.append(number)
    if broken and not data.skip_bad_rows:
        [(number, what)] = broken.items()
        document = number == 1 and what == "a list"
        raise InputError(
            f"{origin} has a broken row in line {number}",
            got=what,
            expected="one JSON object a line",
            fix="If the whole file is one list, name it .json"
            if document
            else f"Mend it, or leave such rows out with {prefix}skip_bad_rows true",
        )
    return Table(origin, _columns(origin, rows), lines, broken={at(number): what for number, what in broken.items()})


def of_document(origin: str, text: str, data: DataConfig, prefix: str = PREFIX) -> Table:
    """Read a JSON document that holds rows or columns; or JSONL, which some programs give that name too.

    Raises:
        InputError: it is no JSON, or holds no table.
    """
    try:
        document = _loaded(text)
    except ValueError as error:
        if "\n" in text.strip() and text.lstrip().startswith("{") and _is_object(text.lstrip().split("\n", 1)[0]):
            return of_lines(origin, text, data, prefix)
        raise InputError(f"{origin} is not readable as JSON", got=str(error), expected=_SHAPES) from None
    rows = _rows(document)
    if (
        rows is None
        and isinstance(document, dict)
        and document
        and all(not isinstance(v, (list, dict)) for v in document.values())
    ):
        rows = [document]  # JSONL of a single line
    if rows is None:
        raise InputError(f"{origin} holds no table", got=_described(document), expected=_SHAPES)
    for wrong, what in ((lambda row: not isinstance(row, dict), "no objects"), (_nests_too_deep, _TOO_DEEP)):
        if odd := [f"row {number}" for number, row in enumerate(rows, start=1) if wrong(row)]:
            raise InputError(f"{origin} has rows that are {what}", got=listed(odd[:5], len(odd)), expected=_SHAPES)
    return Table(origin, _columns(origin, rows))


def _is_object(line: str) -> bool:
    try:
        return isinstance(_loaded(line), dict)
    except ValueError:
        return False


def _rows(document: Any) -> list[Any] | None:
    """The rows of a document in one of the shapes that programs write tables in, or None."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict) or not document:
        return None
    columns, data = document.get("columns"), document.get("data")
    if (
        isinstance(columns, list)
        and isinstance(data, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in data)
    ):
        return [dict(zip(map(str, columns), row, strict=True)) for row in data]  # pandas' "split"
    lists = [value for value in document.values() if isinstance(value, list)]
    tables = [value for value in lists if value and all(isinstance(row, dict) for row in value)]
    if isinstance(data, list) and data in tables:
        return data  # pandas' "table" among others
    if len(tables) == 1 and len(lists) == 1:
        return tables[0]
    if len(lists) == len(document) > len(tables) and len({len(value) for value in lists}) == 1:
        return [dict(zip(document, row, strict=True)) for row in zip(*lists, strict=True)]
    return _by_index(document)


def _is_row(row: Any, width: int) -> bool:
    return isinstance(row, list) and len(row) == width


def _by_index(document: dict[str, Any]) -> list[Any] | None:
    """Rows of {"text": {"0": ...}}, which pandas writes unless told otherwise, or of {"0": {"text": ...}}."""
    parts = list(document.values())
    if not all(isinstance(part, dict) and part for part in parts):
        return None
    if all(part.keys() == parts[0].keys() for part in parts) and all(map(str.isdigit, parts[0])):
        return [{name: part[index] for name, part in document.items()} for index in parts[0]]
    return parts if all(map(str.isdigit, document)) else None


def _described(document: Any) -> str:
    if not isinstance(document, dict):
        return _kind(document)
    keys = ", ".join(f"'{key[:40]}' ({_kind(value)})" for key, value in list(document.items())[:5])
    return f"an object with {keys}" if keys else "an empty object"


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _loaded(text: str) -> Any:
    """A JSON value.

    Raises:
        ValueError: it is none, or nests deeper than can be read.
    """
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def _whole_number(digits: str) -> int | str:
    """A whole number; one of more digits than any quantity has stays the text that it is."""
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _nests_too_deep(row: dict[str, Any]) -> bool:
    """Whether a cell holds more than what prints and compares without end of the stack."""
    level: list[Any] = [value for value in row.values() if isinstance(value, (list, dict))]
    for _ in range(_DEEPEST):
        inner = (part for value in level for part in (value.values() if isinstance(value, dict) else value))
        level = [part for part in inner if isinstance(part, (list, dict))]
        if not level:
            return False
    return True


def _columns(origin: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    if odd := next((name for name in names if not name.isprintable() and not _is_encodable(name)), None):
        raise InputError(f"{origin} has a column whose name is no text", got=ascii(odd[:80]))
    composed = {name: unicodedata.normalize("NFC", name) for name in names}
    if list(composed.values()) != list(
        names
    ):  # as a file that was joined from two: one name, two spellings, a row has one of them
        rows = [{composed[name]: value for name, value in row.items()} for row in rows]
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(composed.values())}


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
