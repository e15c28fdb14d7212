"""What a file of labelled texts holds, and what is wrong with it, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import DataConfig
from lorabert.data import tables
from lorabert.data.columns import Columns, find, is_missing
from lorabert.data.encoding import encode_split
from lorabert.data.sources import Split, asset_tables
from lorabert.data.tables import Table


def check_files(
    paths: list[Path], data: DataConfig, tokenizer: Any, max_length: int, prefix: str = tables.PREFIX
) -> dict[str, Any]:
    """Report on one file, or on a train and a test file and what stands in both.

    Args:
        paths: one or two files.
        data: names of the columns and the encoding.
        tokenizer: counts the tokens.
        max_length: where texts would be cut.
        prefix: what the command's options for data begin with, as `tables.read` takes it.

    Returns:
        `parts`, one report a file, and `problems`, one sentence each.

    Raises:
        InputError: a file cannot be read, or has no column for the text or the label.
    """
    return _check([tables.read(path, data.encoding, prefix) for path in paths], data, tokenizer, max_length)


def check_asset(name: str, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """Report on the splits of a data asset, as `check_files` does on files."""
    return _check(list(asset_tables(name).values()), DataConfig(), tokenizer, max_length)


def _check(parts: list[Table], data: DataConfig, tokenizer: Any, max_length: int) -> dict[str, Any]:
    problems: list[str] = []
    reports, texts = [], []
    for table in parts:
        report, own = _report(table, data, tokenizer, max_length, problems)
        reports.append(report)
        texts.append(own)
    if len(parts) == 2:
        shared = set(texts[0]) & set(texts[1])
        if shared:
            problems.append(
                f"{len(shared):,} texts stand in both {parts[0].origin} and {parts[1].origin}: a leak from train to test"
            )
        strange = set(reports[1]["classes"]) - set(reports[0]["classes"])
        if strange:
            problems.append(f"{parts[1].origin} has labels that {parts[0].origin} lacks: {', '.join(sorted(strange)[:5])}")
    return {"parts": reports, "problems": problems}


def _report(
    table: Table, data: DataConfig, tokenizer: Any, max_length: int, problems: list[str]
) -> tuple[dict[str, Any], list[str]]:
    columns = find(table, data)
    raw_texts, raw_labels = _joined(table, columns), _named(table, columns.label)
    no_text = [row for row, value in enumerate(raw_texts) if is_missing(value)]
    no_label = [row for row, value in enumerate(raw_labels) if is_missing(value)]
    texts = [str(value) for value in raw_texts if not is_missing(value)]
    counts = Counter(str(value).strip() for value in raw_labels if not is_missing(value))
    duplicates = len(texts) - len(set(texts))
    encoded = encode_split(Split(texts, None, np.zeros(len(texts), np.int64)), tokenizer, max_length)
    lengths = encoded.lengths if texts else np.zeros(1, np.int64)
    if no_text:
        problems.append(f"{table.origin}: no text in {table.places(no_text)}")
    if no_label:
        problems.append(f"{table.origin}: no label in {table.places(no_label)}")
    if len(counts) < 2:
        problems.append(f"{table.origin}: one class only")
    if rare := [name for name, count in counts.items() if count < 5]:
        problems.append(f"{table.origin}: {len(rare)} classes have fewer than 5 examples: {', '.join(rare[:5])}")
    conflicting = _conflicting(raw_texts, raw_labels)
    if conflicting:
        problems.append(f"{table.origin}: {conflicting:,} texts stand there with different labels")
    return {
        "origin": table.origin,
        "rows": len(table),
        "columns": ", ".join(table.columns),
        "text": columns.text,
        "label": columns.label,
        "classes": dict(counts.most_common()),
        "empty_texts": len(no_text),
        "empty_labels": len(no_label),
        "duplicate_texts": duplicates,
        "tokens_median": int(np.median(lengths)),
        "tokens_95th_percentile": int(np.percentile(lengths, 95)),
        "tokens_longest": int(lengths.max()),
        "truncated": encoded.truncated,
        "truncated_share": round(encoded.truncated / max(1, len(texts)), 4),
    }, texts


def _joined(table: Table, columns: Columns) -> list[Any]:
    """Each row's text, or its two texts as one; nothing where one of them is missing."""
    texts = table.columns[columns.text]
    if not columns.text_pair:
        return texts
    pairs = zip(texts, table.columns[columns.text_pair], strict=True)
    return [None if is_missing(text) or is_missing(pair) else f"{text} {pair}" for text, pair in pairs]


def _named(table: Table, label: str) -> list[Any]:
    """Each row's label, by its name where the file declares names for numbers."""
    names = dict(enumerate(table.declared.get(label, [])))
    return [names.get(value, value) for value in table.columns[label]]


def _conflicting(texts: list[Any], labels: list[Any]) -> int:
    """Number of texts that occur with more than one label."""
    seen: dict[str, set[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        seen.setdefault(str(text), set()).add(str(label))
    return sum(len(found) > 1 for text, found in seen.items() if not is_missing(text))
