"""Files to columns, with the line of whatever is wrong: CSV, TSV, JSON, JSONL and Parquet, packed or not, and plain texts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lorabert.config import DataConfig
from lorabert.data.tables import documents, opening, parquet
from lorabert.data.tables.decoding import decoded, lines_of
from lorabert.data.tables.delimited import delimited
from lorabert.data.tables.opening import SUFFIXES, suffix_of
from lorabert.data.tables.table import PREFIX, Table, is_missing
from lorabert.errors import InputError

__all__ = ["PREFIX", "SUFFIXES", "Table", "decoded", "delimited", "is_missing", "lines_of", "read", "suffix_of"]

_AS_IT_COMES = DataConfig()


def read(path: Path, data: DataConfig = _AS_IT_COMES, prefix: str = PREFIX, *, labelled: bool = True) -> Table:
    """Read a file of texts, and mostly labels, by its suffix.

    Args:
        path: the file.
        data: how to read it: encoding, header, whether to leave out what is broken; and the columns that are named, by which
            a header is known.
        prefix: what the command's options for data begin with: `--` where it has `--encoding`, not `--data.encoding`.
        labelled: labels are wanted, so that a plain file with a text a line will not do.

    Raises:
        InputError: missing, empty, of an unknown format, in another encoding, or broken (with the line).
    """
    file = opening.opened(path)
    if file.suffix == ".parquet":
        table = parquet.table(str(path), file.content)
    else:
        text = decoded(file.content, str(path), data.encoding, prefix)
        file = dataclasses.replace(file, content=b"")  # parsing takes room enough
        table = _of_text(str(path), text, file.suffix, data, prefix, labelled)
    table, empty = _without_empty_end(table)
    if not len(table):
        raise InputError(f"{path} holds no rows", expected="a header and at least a few labelled texts")
    notes = [*file.notes, *table.notes]
    if empty:
        notes.append(f"{path}: {empty:,} empty rows at its end were left out")
    return dataclasses.replace(table, prefix=prefix, notes=tuple(notes))


def _of_text(origin: str, text: str, suffix: str, data: DataConfig, prefix: str, labelled: bool) -> Table:
    if suffix in (".csv", ".tsv"):
        return delimited(origin, text, data, prefix, tabs=suffix == ".tsv")
    if suffix in (".jsonl", ".ndjson"):
        return documents.of_lines(origin, text, data, prefix)
    if suffix == ".json":
        return documents.of_document(origin, text, data, prefix)
    if labelled:
        raise InputError(
            f"{origin} is plain text, which says no labels",
            fix="If its lines hold a text and a label with a tab or a comma between them, name it .tsv or .csv",
        )
    texts = [line.rstrip("\r\n") for line in lines_of(text)]
    return Table(origin, {"text": texts}, list(range(1, len(texts) + 1)))


def _without_empty_end(table: Table) -> tuple[Table, int]:
    """Without the rows at the end in which every cell is empty, as spreadsheets leave them; and how many there were."""
    rows = kept = len(table)
    while kept and all(is_missing(values[kept - 1]) for values in table.columns.values()):
        kept -= 1
    if kept == rows:
        return table, 0
    columns = {name: values[:kept] for name, values in table.columns.items()}
    return dataclasses.replace(table, columns=columns, lines=table.lines and table.lines[:kept]), rows - kept
