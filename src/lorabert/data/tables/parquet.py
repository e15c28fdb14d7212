"""Parquet, with the label names that a data set's features declare."""

from __future__ import annotations

import decimal
import json
from typing import Any

from lorabert.data.tables.table import Table
from lorabert.errors import InputError

_MOST_CELLS = 200_000_000  # a few bytes can claim any number of equal rows


def table(origin: str, content: bytes) -> Table:
    """Read a Parquet file's bytes.

    Raises:
        InputError: they are none, are damaged, or claim more rows than can be held.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        cells = file.metadata.num_rows * max(1, file.metadata.num_columns)
        if not 0 <= cells <= _MOST_CELLS:
            raise InputError(f"{origin} claims {cells:,} cells", expected=f"at most {_MOST_CELLS:,}", fix="Write a part of it")
        read = file.read()
        columns: dict[str, list[Any]] = {}
        repeated = set()
        for name, values in zip(read.column_names, read.columns, strict=True):
            if name in columns:
                repeated.add(name)
            columns.setdefault(name, _values(values))
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, TypeError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise InputError(f"{origin} is not a readable Parquet file", got=said) from None
    return Table(origin, columns, declared=_declared(origin, read.schema.metadata or {}), repeated=frozenset(repeated))


def _values(column: Any) -> list[Any]:
    """A column's values; a decimal, which databases keep numbers as, is a whole number or a float."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column.to_pylist()
    return [None if value is None else _number(value) for value in column.to_pylist()]


def _number(value: decimal.Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _declared(origin: str, metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Label names by column, as `datasets` writes them into the file."""
    written = metadata.get(b"huggingface")
    if written is None:
        return {}
    try:
        features = json.loads(written).get("info", {}).get("features", {})
        kinds = {name: kind for name, kind in features.items() if isinstance(kind, dict) and _is_class_label(kind)}
        named = {name: kind["names"] for name, kind in kinds.items() if kind.get("names") is not None}
        if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in named.values()):
            raise TypeError
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{origin} is damaged where it says what its columns mean",
            got="metadata 'huggingface' that cannot be read",
            fix="Write it again, without that metadata",
        ) from None
    return named


def _is_class_label(kind: dict[str, Any]) -> bool:
    return kind.get("_type", "ClassLabel") == "ClassLabel"
