"""JSON in the shapes that programs write; and values that no program should."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lorabert.config import DataConfig
from lorabert.data import sources
from lorabert.data.tables import read
from lorabert.errors import InputError

ROWS = [{"text": "good", "label": 1}, {"text": "bad", "label": 0}, {"text": "so\nso", "label": 1}]
COLUMNS = {"text": ["good", "bad", "so\nso"], "label": [1, 0, 1]}


def written(content: str, name: str = "data.json") -> Path:
    Path(name).write_text(content, encoding="utf-8")
    return Path(name)


SHAPES = {
    "list": ROWS,
    "data": {"version": "1", "data": ROWS},
    "rows": {"rows": ROWS, "n": 3},
    "columns": COLUMNS,
    "huggingface": {"features": [{"name": "text"}], "data": ROWS},
}


@pytest.mark.parametrize("document", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_table_is_found_in_the_document(document, indent):
    assert read(written(json.dumps(document, indent=indent))).columns == COLUMNS


@pytest.mark.parametrize("orient", ["split", "records", "index", "columns", "table", "lines"])
def test_what_pandas_writes_is_read(orient):
    frame = pd.DataFrame(COLUMNS)
    options = {"orient": "records", "lines": True} if orient == "lines" else {"orient": orient}
    found = read(written(frame.to_json(**options))).columns
    assert {name: found[name] for name in COLUMNS} == COLUMNS


def test_lines_of_objects_are_read_under_that_name_too_and_a_row_may_lack_a_key():
    assert read(written('{"text": "a"}\n{"text": "b", "more": 1}\n')).columns == {"text": ["a", "b"], "more": [None, 1]}
    assert read(written('{"text": "a", "label": 1}\n')).columns == {"text": ["a"], "label": [1]}
    with pytest.raises(InputError, match=r"broken row in line 2\b"):
        read(written('{"text": "a"}\n{"text": "b"\n'))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not readable as JSON"),
        ("[1, 2]", "rows that are no objects. Got row 1, row 2"),
        ('[{"text": "a"}, null]', "no objects. Got row 2"),
        ('"text"', "Got a string"),
        ("{}", "an empty object"),
        ('{"a": [1], "b": [1, 2]}', r"'a' \(a list\), 'b' \(a list\)"),
        ('{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "'train'"),
        ("[]", "no rows"),
        ('[{"text": "a",}]', "not readable as JSON"),
    ],
)
def test_a_document_without_a_table_is_refused_in_words(content, said):
    with pytest.raises(InputError, match=said):
        read(written(content))


@pytest.mark.parametrize("depth", [101, 900, 5000, 200_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_what_nests_too_deep_is_refused_with_its_place(depth, brackets, suffix):
    field = brackets[0] * depth + "1" + brackets[1] * depth
    row = f'{{"text": "a", "label": 1, "more": {field}}}'
    content = f'{{"text": "b", "label": 0}}\n{row}\n' if suffix == "jsonl" else f"[{row}]"
    with pytest.raises(InputError, match="more than 100 deep"):
        read(written(content, f"data.{suffix}"))


def test_what_nests_less_deep_is_no_obstacle_in_a_column_that_nothing_reads():
    field = "[" * 50 + "]" * 50
    assert len(read(written(f'{{"text": "a", "more": {field}}}', "a.jsonl"))) == 1


def test_a_jsonl_that_is_one_list_is_told_its_name():
    with pytest.raises(InputError, match=r"name it \.json"):
        read(written(json.dumps(ROWS), "a.jsonl"))


def test_numbers_of_any_length_are_read_as_they_stand():
    digits = "7" * 5000
    table = read(written(f'{{"text": "a", "label": {digits}}}', "a.jsonl"))
    assert table.columns["label"] == [digits]


ODD = {
    "1e999": "1e999",
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "half": '"\\ud800"',
    "list": "[1]",
    "float": "0.5",
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_labels_that_are_none_are_refused_with_their_line_and_can_be_left_out(value):
    lines = [f'{{"text": "text {row}", "label": {row % 2}}}' for row in range(40)]
    path = written("\n".join([*lines[:20], f'{{"text": "odd", "label": {value}}}', *lines[20:]]), "a.jsonl")
    with pytest.raises(InputError, match=r"line 21\b.*--data\.skip_bad_rows true"):
        sources.load(DataConfig(train=str(path)))
    splits = sources.load(DataConfig(train=str(path), skip_bad_rows=True))
    assert splits.skipped == {"train": 1}
    assert any("left out" in note and "line 21" in note for note in splits.notes)


def test_a_column_whose_name_is_half_a_character_is_refused():
    with pytest.raises(InputError, match="name is no text"):
        read(written('{"te\\ud800xt": "a"}', "a.jsonl"))
