"""Files to columns: CSV, TSV, JSONL and Parquet, with the line of whatever is wrong."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorabert.errors import InputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
PREFIX = "--data."
_DELIMITERS = ",;\t|"
_TOLD_DELIMITER = re.compile(r'"?sep=([^\w\s"]|\t)"?(?=[\r\n]|$)', re.IGNORECASE)  # the first line of a file made for Excel
_LARGEST_FIELD = 2**31 - 1


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and where they come from.

    Attributes:
        origin: the path or id, for messages.
        columns: values by column name, one list a column.
        lines: line of each row in the file, where the format has lines.
        declared: label names by column, where the source declares them in order.
        prefix: what the command's options for data begin with, for messages that advise one.
    """

    origin: str
    columns: dict[str, list[Any]]
    lines: list[int] | None = None
    declared: dict[str, list[str]] = field(default_factory=dict)
    prefix: str = PREFIX

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), []))

    def place(self, row: int) -> str:
        """A row as a person would look it up: its line, or its number counted from 1."""
        return f"line {self.lines[row]}" if self.lines else f"row {row + 1}"

    def places(self, rows: list[int], most: int = 5) -> str:
        """Some rows, the first few by place and the rest by number."""
        shown = ", ".join(self.place(row) for row in rows[:most])
        return shown + (f" and {len(rows) - most} more" if len(rows) > most else "")


def read(path: Path, encoding: str = "utf-8", prefix: str = PREFIX) -> Table:
    """Read a file of texts and labels by its suffix.

    Args:
        path: the file.
        encoding: of its characters, where the format has them.
        prefix: what the command's options for data begin with: `--` where it has `--encoding`, not `--data.encoding`.

    Raises:
        InputError: missing, empty, of an unknown format, in another encoding, or broken (with the line).
    """
    if not path.is_file():
        raise InputError("There is no such file", got=str(path), fix="Check the path, relative to the current folder")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} has a format that is not read", got=f"'{suffix}'", expected=f"one of {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        table = _parquet(path)
    else:
        text = decoded(_content(path), str(path), encoding, prefix)
        table = _jsonl(str(path), text) if suffix in (".jsonl", ".ndjson") else delimited(str(path), text, tabs=suffix == ".tsv")
    if not len(table):
        raise InputError(f"{path} holds no rows", expected="a header and at least a few labelled texts")
    return dataclasses.replace(table, prefix=prefix)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=str(error.strerror)) from None


def decoded(content: bytes, origin: str, encoding: str, prefix: str = PREFIX) -> str:
    """The text of a file's bytes, without a mark of their order.

    Args:
        content: the bytes.
        origin: where they come from, for messages.
        encoding: its name in Python.
        prefix: as `read` takes it.

    Raises:
        InputError: no such encoding, or bytes that are none in it (with the line).
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise InputError(
            "No such encoding", got=f"'{encoding}'", expected="utf-8, cp1252, utf-16 or another that Python knows"
        ) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        guess = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"
        raise InputError(
            f"{origin} is not in the encoding {encoding}",
            got=f"the byte 0x{content[error.start]:02x} in line {line}",
            fix=f"Save it as UTF-8, or name its encoding, perhaps {prefix}encoding {guess}",
        ) from None


def delimited(origin: str, text: str, *, tabs: bool = False) -> Table:
    """Parse CSV (comma, semicolon, tab or bar, whichever the header has most of, unless a line `sep=;` tells) or TSV.

    Raises:
        InputError: a row with more or fewer fields than the header, or a stray quote; with its line.
    """
    if told := _TOLD_DELIMITER.match(text):
        # The end of that line stays, and with it the lines of the rows.
        return _rows(origin, text[told.end() :], told[1], csv.QUOTE_MINIMAL)
    header = next(filter(_has_names, io.StringIO(text, newline=None)), "")
    delimiter = max(_DELIMITERS, key=header.count)
    return _tab_separated(origin, text) if tabs else _rows(origin, text, delimiter, csv.QUOTE_MINIMAL)


def _has_names(line: str) -> bool:
    """Whether a line can be the header: spreadsheets leave a first row that was emptied as a line of delimiters alone."""
    return bool(line.strip(_DELIMITERS + " \r\n"))


def _tab_separated(origin: str, text: str) -> Table:
    """Many TSV files are written without quoting: where each line is a row as it stands, no quote may join two of them."""
    try:
        plain = _rows(origin, text, "\t", csv.QUOTE_NONE)
    except InputError as broken:
        try:
            return _rows(origin, text, "\t", csv.QUOTE_MINIMAL)
        except InputError:
            raise broken from None
    try:
        quoted = _rows(origin, text, "\t", csv.QUOTE_MINIMAL)
    except InputError:
        return plain
    return quoted if len(quoted) == len(plain) else plain


def _rows(origin: str, text: str, delimiter: str, quoting: Any) -> Table:
    csv.field_size_limit(_LARGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        for fields in reader:
            if not any(header):
                header = [name.strip() for name in fields]
            elif fields:
                if len(fields) != len(header):
                    raise InputError(
                        f"{origin} has a broken row in line {start}",
                        got=f"{len(fields)} fields",
                        expected=f"{len(header)} as in the header ({', '.join(header)})",
                        fix="Put texts that hold the delimiter or line breaks in double quotes",
                    )
                rows.append(fields)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{origin} has a broken row in line {start}",
            got=str(error),
            fix='Put texts in double quotes and write a quote inside a text twice (""); look for a quote that is never closed',
        ) from None
    return Table(origin, _columns(origin, header, rows) if rows else {}, lines)


def _columns(origin: str, header: list[str], rows: list[list[str]]) -> dict[str, list[str]]:
    """Values by name, without the nameless empty columns that spreadsheets leave at the end."""
    named = zip(header, map(list, zip(*rows, strict=True)), strict=True)
    kept = [(name, values) for name, values in named if name or any(map(str.strip, values))]
    names = [name for name, _ in kept]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"{origin} has more than one column of the same name",
            got=", ".join(f"'{name}'" for name in repeated),
            fix="Give each column a name of its own in the header",
        )
    return dict(kept)


def _jsonl(origin: str, text: str) -> Table:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{origin} has a broken row in line {number}", got=str(error), expected="one JSON object a line"
            ) from None
        if not isinstance(row, dict):
            raise InputError(f"{origin} has a broken row in line {number}", got=type(row).__name__, expected="a JSON object")
        rows.append(row)
        lines.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table(origin, {name: [row.get(name) for row in rows] for name in names}, lines)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file", got=str(error).splitlines()[0]) from None
    features = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    declared = {name: kind["names"] for name, kind in features.items() if isinstance(kind, dict) and "names" in kind}
    return Table(str(path), table.to_pydict(), declared=declared)
