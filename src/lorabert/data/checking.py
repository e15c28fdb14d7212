"""What a file of labelled texts holds, and what is wrong with it, before anything is trained on it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import DataConfig
from lorabert.data import conflicts, leaks, lookalikes, reading, tables
from lorabert.data.asset_tables import asset_tables
from lorabert.data.cells import texts_in
from lorabert.data.columns import Columns, find
from lorabert.data.encoding import MOST_COUNTED, encode_whole
from lorabert.data.labels import fractions, label_names, labels_in
from lorabert.data.reading import Vocabulary
from lorabert.data.sources import Split, columns_of
from lorabert.data.tables import Table
from lorabert.errors import InputError, quoted


def check_files(
    paths: list[Path], data: DataConfig, tokenizer: Any, max_length: int, prefix: str = tables.PREFIX
) -> dict[str, Any]:
    """Report on one file, or on a train file and others, a validation and a test file, and what stands in several.

    Args:
        paths: the file to learn from, and any others.
        data: names of the columns, and how the files are read; with `skip_bad_rows` the rows that cannot be used are notes, as
            training leaves them out, and no problems.
        tokenizer: counts the tokens.
        max_length: where texts would be cut.
        prefix: what the command's options for data begin with, as `tables.read` takes it.

    Returns:
        `parts`, one report a file, and `problems` and harmless `notes`, one sentence each.

    Raises:
        InputError: a file cannot be read, or has no column for the text or the label; the others have to have the first one's.
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
        unusable: what training would refuse, or leave out, with the places.
        skipped: training leaves out the rows that cannot be used.
    """

    table: Table
    columns: Columns
    texts: dict[int, tuple[str, ...]]
    labels: dict[int, str]
    empty_texts: int
    empty_labels: int
    unusable: list[str]
    skipped: bool


def _check(read: list[Table], data: DataConfig, tokenizer: Any, max_length: int) -> dict[str, Any]:
    columns = find(read[0], data)
    first = _part(read[0], columns, skip=data.skip_bad_rows)
    known = sorted(set(first.labels.values()))
    others = [_part(table, columns_of(table, columns), known, skip=data.skip_bad_rows) for table in read[1:]]
    parts = [first, *others]
    problems = [problem for part in parts for problem in _problems(part)]
    for other in others:
        problems += _strange(first, other)
    problems += [f"{found.sentence()}: a leak" for found in
                 leaks.shared([(part.table.origin, part.texts.values()) for part in parts])]  # fmt: skip
    vocabulary = Vocabulary(tokenizer)
    reports = [_report(part, tokenizer, vocabulary, max_length) for part in parts]
    problems += [problem for part, report in zip(parts, reports, strict=True) for problem in _unread(part, report, vocabulary)]
    notes = [note for table in read for note in table.notes]
    notes += [f"{part.table.origin}: left out {rows}" for part in parts if part.skipped for rows in part.unusable]
    if any(report["tokens_longest"] >= MOST_COUNTED for report in reports):
        notes.append(f"texts of more than {MOST_COUNTED:,} tokens were counted no further")
    return {"parts": reports, "problems": problems, "notes": notes}


def _part(table: Table, columns: Columns, known: list[str] | None = None, *, skip: bool = False) -> _Part:
    assert columns.label is not None
    texts = [texts_in(table, name) for name in (columns.text, columns.text_pair) if name]
    labels = labels_in(table, columns.label, known)
    whole, labelled = set.intersection(*(set(cells.usable()) for cells in texts)), set(labels.usable())
    if skip and whole & labelled:  # without a single row training refuses the file
        whole = labelled = whole & labelled
    return _Part(
        table,
        columns,
        texts={row: tuple(cells.values[row] for cells in texts) for row in sorted(whole)},
        labels={row: labels.values[row] for row in sorted(labelled)},
        empty_texts=len(set().union(*(cells.empty for cells in texts))),
        empty_labels=len(labels.empty),
        unusable=[*filter(None, [table.broken_rows()]), *(problem for cells in (*texts, labels) for problem in cells.problems())],
        skipped=skip and bool(whole & labelled),
    )


def _problems(part: _Part) -> list[str]:
    origin = part.table.origin
    problems = [] if part.skipped else [f"{origin}: {problem}" for problem in part.unusable]
    if part.labels:
        try:
            label_names(list(part.labels.values()), part.table, part.columns.label or "")
        except InputError as refused:
            problems.append(str(refused))
    if rare := [name for name, count in Counter(part.labels.values()).items() if count < 5]:
        problems.append(f"{origin}: {len(rare)} classes have fewer than 5 examples: {quoted(rare)}")
    labelled = ((part.texts[row], part.labels[row]) for row in part.texts if row in part.labels)
    for sentence in (lookalikes.sentence(part.labels.values()), fractions(part.labels.values()), conflicts.sentence(labelled)):
        problems += [f"{origin}: {sentence}"] if sentence else []
    return problems


def _strange(train: _Part, other: _Part) -> list[str]:
    """Labels that cannot be answered with, as nothing has taught them."""
    strange = sorted(set(other.labels.values()) - set(train.labels.values()))
    return [f"{other.table.origin} has labels that {train.table.origin} lacks: {quoted(strange)}"] if strange else []


def _unread(part: _Part, report: dict[str, Any], vocabulary: Vocabulary) -> list[str]:
    """What the base's vocabulary makes of texts that it was not made for."""
    texts = (text for both in part.texts.values() for text in both)
    found = reading.sentence({"": report["unknown_share"]}, report["tokens_per_character"], vocabulary, texts)
    return [f"{part.table.origin}: {found}"] if found else []


def _report(part: _Part, tokenizer: Any, vocabulary: Vocabulary, max_length: int) -> dict[str, Any]:
    texts = list(part.texts.values())
    pairs = [pair for _, pair in texts] if part.columns.text_pair else None
    split = Split([text for text, *_ in texts], pairs, np.zeros(len(texts), np.int64))
    whole = encode_whole(split, tokenizer)
    unknown, tokens = vocabulary.counts(whole)
    lengths = whole.lengths if texts else np.zeros(1, np.int64)
    truncated = int((lengths > max_length).sum())
    return {
        "origin": part.table.origin,
        "rows": len(part.table),
        "broken_rows": len(part.table.broken),
        "columns": ", ".join(part.table.columns),
        "text": part.columns.text,
        **({"text_pair": part.columns.text_pair} if pairs else {}),
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
        "unknown_share": round(float(unknown.sum() / max(1, tokens.sum())), 4),
        "tokens_per_character": round(float(tokens.sum() / max(1, sum(len(part) for text in texts for part in text))), 3),
    }
