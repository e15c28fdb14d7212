"""What a file of labelled texts holds, and what is wrong with it, before anything is trained on it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import DataConfig
from lorabert.data import tables
from lorabert.data.columns import Columns, find, label_names, labels_in, texts_in
from lorabert.data.encoding import whole_lengths
from lorabert.data.sources import Split, asset_tables, columns_of
from lorabert.data.tables import Table
from lorabert.errors import InputError


def check_files(
    paths: list[Path], data: DataConfig, tokenizer: Any, max_length: int, prefix: str = tables.PREFIX
) -> dict[str, Any]:
    """Report on one file, or on a train and a test file and what stands in both.

    Args:
        paths: one or two files.
        data: names of the columns, and how the files are read.
        tokenizer: counts the tokens.
        max_length: where texts would be cut.
        prefix: what the command's options for data begin with, as `tables.read` takes it.

    Returns:
        `parts`, one report a file, and `problems` and harmless `notes`, one sentence each.

    Raises:
        InputError: a file cannot be read, or has no column for the text or the label; the second has to have the first one's.
    """
    lenient = dataclasses.replace(data, skip_bad_rows=True)  # they are named among the problems
    return _check([tables.read(path, lenient, prefix) for path in paths], data, tokenizer, max_length)


def check_asset(name: str, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """Report on the splits of a data asset, as `check_files` does on files."""
    return _check(list(asset_tables(name).values()), DataConfig(), tokenizer, max_length)


@dataclass(frozen=True)
class _Part:
    """One table as training would read it.

    Attributes:
        table: the file or the split.
        columns: those in use.
        texts: each text, or both of a pair, by its row, where they can be used.
        labels: label names by row, where they can be used.
        empty_texts: number of rows that lack a text.
        empty_labels: number of rows that lack a label.
        unusable: what training would refuse, with the places.
    """

    table: Table
    columns: Columns
    texts: dict[int, tuple[str, ...]]
    labels: dict[int, str]
    empty_texts: int
    empty_labels: int
    unusable: list[str]


def _check(read: list[Table], data: DataConfig, tokenizer: Any, max_length: int) -> dict[str, Any]:
    columns = find(read[0], data)
    parts = [_part(table, columns_of(table, columns)) for table in read]
    problems = [problem for part in parts for problem in _problems(part)]
    if len(parts) == 2:
        problems += _problems_between(*parts)
    return {
        "parts": [_report(part, tokenizer, max_length) for part in parts],
        "problems": problems,
        "notes": [note for table in read for note in table.notes],
    }


def _part(table: Table, columns: Columns) -> _Part:
    texts = [texts_in(table, name) for name in (columns.text, columns.text_pair) if name]
    labels = labels_in(table, columns.label)
    whole = sorted(set.intersection(*(set(cells.usable()) for cells in texts)))
    return _Part(
        table,
        columns,
        texts={row: tuple(cells.values[row] for cells in texts) for row in whole},
        labels={row: labels.values[row] for row in labels.usable()},
        empty_texts=len(set().union(*(cells.empty for cells in texts))),
        empty_labels=len(labels.empty),
        unusable=[problem for cells in (*texts, labels) for problem in cells.problems()],
    )


def _problems(part: _Part) -> list[str]:
    origin = part.table.origin
    problems = [f"{origin}: {problem}" for problem in (part.table.broken_rows(), *part.unusable) if problem]
    if part.labels:
        try:
            label_names(list(part.labels.values()), part.table, part.columns.label)
        except InputError as refused:
            problems.append(str(refused))
    if rare := [name for name, count in Counter(part.labels.values()).items() if count < 5]:
        problems.append(f"{origin}: {len(rare)} classes have fewer than 5 examples: {', '.join(rare[:5])}")
    if conflicting := _conflicting(part):
        problems.append(f"{origin}: {conflicting:,} texts stand there with different labels")
    return problems


def _conflicting(part: _Part) -> int:
    """Number of texts that occur with more than one label."""
    seen: dict[tuple[str, ...], set[str]] = {}
    for row in part.texts.keys() & part.labels.keys():
        seen.setdefault(part.texts[row], set()).add(part.labels[row])
    return sum(len(found) > 1 for found in seen.values())


def _problems_between(train: _Part, test: _Part) -> list[str]:
    problems = []
    if shared := set(train.texts.values()) & set(test.texts.values()):
        problems.append(
            f"{len(shared):,} texts stand in both {train.table.origin} and {test.table.origin}: a leak from train to test"
        )
    if strange := set(test.labels.values()) - set(train.labels.values()):
        problems.append(f"{test.table.origin} has labels that {train.table.origin} lacks: {', '.join(sorted(strange)[:5])}")
    return problems


def _report(part: _Part, tokenizer: Any, max_length: int) -> dict[str, Any]:
    texts = list(part.texts.values())
    pairs = [pair for _, pair in texts] if part.columns.text_pair else None
    split = Split([text for text, *_ in texts], pairs, np.zeros(len(texts), np.int64))
    lengths = whole_lengths(split, tokenizer) if texts else np.zeros(1, np.int64)
    truncated = int((lengths > max_length).sum())
    return {
        "origin": part.table.origin,
        "rows": len(part.table),
        "broken_rows": len(part.table.broken),
        "columns": ", ".join(part.table.columns),
        "text": part.columns.text,
        "label": part.columns.label,
        "classes": dict(Counter(part.labels.values()).most_common()),
        "empty_texts": part.empty_texts,
        "empty_labels": part.empty_labels,
        "duplicate_texts": len(texts) - len(set(texts)),
        "tokens_median": int(np.median(lengths)),
        "tokens_95th_percentile": int(np.percentile(lengths, 95)),
        "tokens_longest": int(lengths.max()),
        "truncated": truncated,
        "truncated_share": round(truncated / max(1, len(texts)), 4),
    }
