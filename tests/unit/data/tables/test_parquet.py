"""Parquet as databases write it, and metadata that are damaged."""

import datetime
import decimal
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorabert.config import DataConfig
from lorabert.data import sources
from lorabert.data.tables import parquet, read
from lorabert.errors import InputError

TEXTS = [f"text number {row}" for row in range(40)]


def written(columns: dict, metadata: bytes | None = None) -> Path:
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, "a.parquet")
    return Path("a.parquet")


def decimals(values: list[str | None], kind: pa.DataType) -> pa.Array:
    return pa.array([None if value is None else decimal.Decimal(value) for value in values], kind)


@pytest.mark.parametrize("kind", [pa.decimal128(5, 2), pa.decimal128(38, 0), pa.decimal256(50, 2)])
def test_whole_decimals_are_whole_numbers(kind):
    path = written({"text": TEXTS, "label": decimals(["0", "1"] * 20, kind)})
    assert read(path).columns["label"] == [0, 1] * 20
    assert sources.load(DataConfig(train=str(path))).label_names == ["0", "1"]
    assert read(written({"text": ["a"], "score": decimals(["0.25"], pa.decimal128(5, 2))})).columns["score"] == [0.25]
    assert read(written({"text": ["a", "b"], "score": decimals([None, "1"], pa.decimal128(5, 2))})).columns["score"] == [None, 1]


DAMAGED = [b"", b"{", b"[]", b"1", b"null", b'{"info": 1}', b'{"info": {"features": []}}', b"\xff\xfe", b"[" * 100_000,
           b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}',
           b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1, null]}}}}']  # fmt: skip


@pytest.mark.parametrize("metadata", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_metadata_is_refused_in_words(metadata):
    with pytest.raises(InputError, match="damaged where it says what its columns mean"):
        read(written({"text": TEXTS, "label": [0, 1] * 20}, metadata))


@pytest.mark.parametrize("metadata", ["{}", '{"info": {}}'])
def test_metadata_that_declares_nothing_is_no_obstacle(metadata):
    assert read(written({"text": TEXTS, "label": [0, 1] * 20}, metadata.encode())).declared == {}


def test_a_column_that_happens_to_have_names_inside_declares_none():
    features = {"label": {"_type": "Value", "dtype": "int64"}, "who": {"names": [{"dtype": "string"}], "_type": "Sequence"}}
    path = written({"text": TEXTS, "label": [0, 1] * 20}, json.dumps({"info": {"features": features}}).encode())
    assert read(path).declared == {}


def test_kinds_that_databases_have_are_read():
    now = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    path = written({
        "text": pa.array(TEXTS, pa.large_string()),
        "label": pa.array(["a", "b"] * 20).dictionary_encode(),
        "when": pa.array([now] * 40),
        "half": pa.array([1.5] * 40, pa.float32()),
        "raw": pa.array([b"\xff"] * 40),
        "nested": pa.array([[{"a": 1}]] * 40),
    })  # fmt: skip
    assert sources.load(DataConfig(train=str(path))).label_names == ["a", "b"]


def test_a_few_bytes_that_claim_any_number_of_rows_are_refused(monkeypatch):
    monkeypatch.setattr(parquet, "_MOST_CELLS", 100)
    with pytest.raises(InputError, match="claims 202 cells"):
        read(written({"text": ["a"] * 101, "label": ["b"] * 101}))


def test_columns_of_one_name_are_refused_only_where_they_are_read():
    table = pa.table(
        [pa.array(TEXTS), pa.array(["a", "b"] * 20), pa.array(range(40)), pa.array(range(40))], ["text", "label", "n", "n"]
    )
    pq.write_table(table, "a.parquet")
    assert read(Path("a.parquet")).repeated == {"n"}
    assert sources.load(DataConfig(train="a.parquet")).columns.text == "text"
