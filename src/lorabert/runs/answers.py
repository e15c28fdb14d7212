"""predictions.parquet as it is read: labels and logits of one split, whoever wrote the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabert.errors import InputError
from lorabert.received import oddity

if TYPE_CHECKING:
    import numpy as np

FILE = "predictions.parquet"
_AGAIN = "Remove the run's folder; the same command makes it again"
# A few kB can stand for any number of equal values, so what a file says it holds is asked before any of it is read.
_MOST_ROWS, _MOST_LOGITS = 1 << 24, 1 << 27


def of_split(run: Path, split: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) int64 and logits (n, C) float32 of a split of a run, in the split's order; n is at least 1.

    Args:
        run: the run's folder.
        split: validation, test, or fold, the training texts as folds answered them.
        classes: C, as the run's record has it.

    Raises:
        InputError: the file is missing, damaged, too large, or not of so many classes.
    """
    file = run / FILE
    if not os.path.lexists(file):
        raise InputError(f"{file} is missing", expected="the answers to each example, which every run leaves", fix=_AGAIN)
    if (odd := oddity(file, run)) is not None:
        raise InputError(f"{file} {odd}", fix=_AGAIN)
    try:
        labels, logits = _read(file, split)
    except InputError:
        raise
    except Exception as error:  # of a dozen kinds, most of Arrow's own
        raise InputError(f"{file} is damaged", got=_line(error), fix=_AGAIN) from None
    if len(labels) == 0:
        raise InputError(f"{file} is damaged", got=f"no answers of the {split} split", fix=_AGAIN)
    if logits.shape[1] != classes or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"{file} does not belong to the record beside it",
                         got=f"{split} logits of shape {logits.shape}, labels {labels.min()} to {labels.max()}",
                         expected=f"{classes} classes", fix=_AGAIN)  # fmt: skip
    return labels, logits


def held_out(run: Path, record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of the texts that a finished run chooses by: its validation split, or where it has none its folds.

    Raises:
        InputError: as `of_split`.
    """
    return of_split(run, "fold" if chooses_by_folds(record) else "validation", len(record["data"]["labels"]))


def chooses_by_folds(record: dict[str, Any]) -> bool:
    """Whether a run has no validation split, and answers out of folds instead."""
    return "folds" in record and not record["data"].get("examples", {}).get("validation", 0)


def _read(file: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(file.absolute()) as opened:  # a relative path with a colon is a URL to Arrow
        _check_size(file, opened)
        table = opened.read(columns=["index", "split", "label", "logits"])
    wanted = {"index": pa.int64(), "split": pa.string(), "label": pa.int64(), "logits": pa.list_(pa.float32())}
    for name, kind in wanted.items():
        found = table.schema.field(name).type
        same = found == kind or (pa.types.is_list(found) and found.value_type == kind.value_type if name == "logits" else False)
        if not same or table[name].null_count:
            raise ValueError(f"a column {name} of {found}, or with nothing in it, instead of {kind}")
    rows = table.filter(pc.equal(table["split"], split)).sort_by("index")
    return _numbers(rows)


def _check_size(file: Path, opened: Any) -> None:
    metadata = opened.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    values = max((sum(group.column(column).num_values for group in groups) for column in range(metadata.num_columns)), default=0)
    if metadata.num_rows > _MOST_ROWS or values > _MOST_LOGITS:
        raise InputError(f"{file} is too large to be read", got=f"{metadata.num_rows:,} rows of {values:,} values",
                         expected=f"at most {_MOST_ROWS:,} rows of {_MOST_LOGITS:,} values", fix=_AGAIN)  # fmt: skip


def _numbers(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of a table's rows.

    Raises:
        ValueError: a row has more logits than another.
    """
    import numpy as np

    lists = rows["logits"].combine_chunks()
    flat = np.asarray(lists.flatten(), dtype=np.float32)
    lengths = np.asarray(lists.value_lengths())
    if len(rows) and (lengths != lengths[0]).any():
        raise ValueError("rows of different numbers of logits")
    return np.asarray(rows["label"], dtype=np.int64), flat.reshape(len(rows), -1) if len(rows) else flat.reshape(0, 0)


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
