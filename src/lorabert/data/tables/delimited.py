"""CSV and TSV: the delimiter, the header, and the rows that are broken."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lorabert.config import DataConfig
from lorabert.data.tables import headers
from lorabert.data.tables.decoding import lines_of
from lorabert.data.tables.table import PREFIX, Table, at, listed
from lorabert.errors import InputError

_DELIMITERS = ",;\t|"
_TOLD_DELIMITER = re.compile(r'"?sep=([^\w\s"]|\t)"?(?=[\r\n]|$)', re.IGNORECASE)  # the first line of a file made for Excel
_LARGEST_FIELD = 2**31 - 1
# A quote that is never closed takes all lines after it; those are read again, but not for every such quote of a large file.
_READ_AGAIN = 4


@dataclass
class _Rows:
    """Rows of equal length as they stand in a file.

    Attributes:
        header: names of the columns.
        rows: those that can be used.
        lines: line of each.
        broken: what is wrong with the others, by line.
    """

    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)


def delimited(origin: str, text: str, data: DataConfig, prefix: str = PREFIX, *, tabs: bool = False) -> Table:
    """Parse CSV (comma, semicolon, tab or bar, whichever makes rows of one length of it, unless a line `sep=;` tells) or TSV.

    Args:
        origin: where it comes from, for messages.
        text: the file's.
        data: says what its first row is, which columns are named, and whether broken rows are left out.
        prefix: what the command's options for data begin with.
        tabs: it is TSV.

    Raises:
        InputError: a row with more or fewer fields than the header, or a stray quote, with its line; a first row that looks
            like data.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    if told := _TOLD_DELIMITER.match(text):
        # The end of that line stays, and with it the lines of the rows.
        found = _parsed(lines_of(text[told.end() :]), told[1], csv.QUOTE_MINIMAL, data)
    else:
        lines = lines_of(text)
        found = _tab_separated(lines, data) if tabs else _by_the_best_delimiter(lines, data)
    if found.broken and not data.skip_bad_rows:
        raise _broken(origin, found, data, prefix)
    if found.rows and data.header == "auto":
        headers.check(origin, found.header, found.rows, data, prefix)
        _leave_out_repeated_headers(origin, found, data, prefix)
    columns, repeated = _columns(found)
    broken = {at(line): found.broken[line] for line in sorted(found.broken)}
    return Table(origin, columns, found.lines, repeated=repeated, broken=broken)


def _by_the_best_delimiter(lines: list[str], data: DataConfig) -> _Rows:
    """A header may hold one delimiter more often than the one that it is written with: the rows decide."""
    fields = {delimiter: len(_first_row(lines, delimiter)) for delimiter in _DELIMITERS}
    likely = sorted((delimiter for delimiter in _DELIMITERS if fields[delimiter] > 1), key=lambda one: -fields[one]) or [","]
    best = _parsed(lines, likely[0], csv.QUOTE_MINIMAL, data)
    for delimiter in likely[1:] if best.broken else ():
        other = _parsed(lines, delimiter, csv.QUOTE_MINIMAL, data)
        if not other.broken:
            return other
    return best


def _first_row(lines: list[str], delimiter: str) -> list[str]:
    """The fields of the first row that is not empty."""
    try:
        return next((row for row in csv.reader(lines, delimiter=delimiter, strict=True) if _holds_something(row)), [])
    except csv.Error:
        return []


def _holds_something(row: list[str]) -> bool:
    """Whether a row can be the header: spreadsheets leave a first row that was emptied as a line of delimiters alone."""
    return any(cell.strip(_DELIMITERS + " ") for cell in row)


def _tab_separated(lines: list[str], data: DataConfig) -> _Rows:
    """Many TSV files are written without quoting: where each line is a row as it stands, no quote may join two of them."""
    plain = _parsed(lines, "\t", csv.QUOTE_NONE, data)
    quoted = _parsed(lines, "\t", csv.QUOTE_MINIMAL, data)
    if quoted.broken or (len(quoted.rows) != len(plain.rows) and not plain.broken):
        return plain
    return quoted


def _parsed(lines: list[str], delimiter: str, quoting: Any, data: DataConfig) -> _Rows:
    found = _Rows()
    rows = [(line, row) for line, row in _read(lines, delimiter, quoting, found.broken) if row]
    while rows and not _holds_something(rows[0][1]):
        del rows[0]
    if data.header == "none":
        width = max(Counter(len(row) for _, row in rows).items(), key=lambda item: (item[1], item[0]))[0] if rows else 0
        found.header = [f"column_{number + 1}" for number in range(width)]
    elif rows:
        found.header = [name.strip() for name in rows.pop(0)[1]]
    width = len(found.header)
    for line, row in rows:
        if len(row) != width and not any(map(str.strip, row[width:])):
            row = row[:width]  # what a spreadsheet leaves to the right
            row += [""] * (width - len(row)) if not any(map(str.strip, row)) else []
        if len(row) == width:
            found.rows.append(row)
            found.lines.append(line)
        else:
            found.broken[line] = f"{len(row)} fields"
    return found


def _read(lines: list[str], delimiter: str, quoting: Any, broken: dict[int, str]) -> Iterator[tuple[int, list[str]]]:
    """Each row with its line, counted from 1; after a broken one, which is put among the `broken`, from the next line on."""
    start, read = 0, 0
    while start < len(lines) and read <= _READ_AGAIN * len(lines):
        numbers = range(start, len(lines))
        reader = csv.reader(map(lines.__getitem__, numbers), delimiter=delimiter, quoting=quoting, strict=True)
        begun = start
        try:
            for row in reader:
                yield begun + 1, row
                begun = start + reader.line_num
            return
        except csv.Error as error:
            broken[begun + 1] = str(error)
            read += start + reader.line_num - begun
            start = begun + 1
    if start < len(lines):
        broken.setdefault(start + 1, "too many quotes that are never closed")


def _broken(origin: str, found: _Rows, data: DataConfig, prefix: str) -> InputError:
    first, *more = sorted(found.broken)
    wide = "as in most rows" if data.header == "none" else f"as in the header ({_shown(found.header)})"
    of_length = found.broken[first].endswith(" fields")
    mend = (
        "Put texts that hold the delimiter or line breaks in double quotes"
        if of_length
        else 'Put texts in double quotes and write a quote inside a text twice (""); look for a quote that is never closed'
    )
    others = f", and {len(more)} more: {listed([at(line) for line in more[:5]], len(more))}" if more else ""
    return InputError(
        f"{origin} has a broken row in line {first}{others}",
        got=found.broken[first],
        expected=f"{len(found.header)} {wide}" if of_length else "",
        fix=f"{mend}; or leave such rows out with {prefix}skip_bad_rows true",
    )


def _shown(names: list[str]) -> str:
    shown = ", ".join(names)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _leave_out_repeated_headers(origin: str, found: _Rows, data: DataConfig, prefix: str) -> None:
    """Files that were put one after the other hold the header again, which is no example."""
    again = [row for row, fields in enumerate(found.rows) if [cell.strip() for cell in fields] == found.header]
    if not again or len(found.header) == 1:
        return
    if not data.skip_bad_rows:
        raise InputError(
            f"{origin} has its header again in {listed([at(found.lines[row]) for row in again[:5]], len(again))}",
            fix=f"Remove it there, or leave such rows out with {prefix}skip_bad_rows true",
        )
    found.broken |= {found.lines[row]: "the header again" for row in again}
    kept = [row for row in range(len(found.rows)) if row not in set(again)]
    found.rows, found.lines = [found.rows[row] for row in kept], [found.lines[row] for row in kept]


def _columns(found: _Rows) -> tuple[dict[str, list[str]], frozenset[str]]:
    """Values by name, and the names that several columns have.

    Of the columns without a name the empty ones, which spreadsheets leave at the end, are dropped, and the others are named
    by their position.
    """
    if not found.rows:
        return {}, frozenset()
    columns: dict[str, list[str]] = {}
    repeated = set()
    for number, (name, values) in enumerate(zip(found.header, map(list, zip(*found.rows, strict=True)), strict=True), start=1):
        if not name and not any(map(str.strip, values)):
            continue
        name = name or f"column_{number}"
        if name in columns:
            repeated.add(name)
        columns.setdefault(name, values)
    return columns, frozenset(repeated)
