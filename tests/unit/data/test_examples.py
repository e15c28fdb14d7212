"""Rows as texts, labels and groups, and the rows that cannot be used."""

import pytest

from lorabert.data.columns import Columns
from lorabert.data.examples import examples, texts_of
from lorabert.data.tables import Table, is_missing
from lorabert.errors import InputError


def table(declared: dict | None = None, /, **columns: list) -> Table:
    """A table whose first row stands in line 2."""
    rows = len(next(iter(columns.values())))
    return Table("data.csv", columns, list(range(2, rows + 2)), declared or {})


BLANK = [None, float("nan"), "", "  ", "\t\n", "\u3000"]


@pytest.mark.parametrize("value", BLANK, ids=repr)
def test_a_blank_is_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "nan", [], "\u200b"], ids=repr)
def test_a_value_is_not_missing(value):
    assert not is_missing(value)


@pytest.mark.parametrize("value", BLANK, ids=repr)
def test_blank_texts_and_labels_are_refused_with_their_lines_in_one_message(value):
    data = table(text=["a", value, "c", value], label=[value, "x", "y", "x"])
    with pytest.raises(InputError) as refused:
        examples(data, Columns("text", None, "label", None))
    assert "no text in column 'text' in line 3, line 5" in str(refused.value)
    assert "no label in column 'label' in line 2" in str(refused.value)


def test_blank_second_texts_are_refused_too():
    data = table(a=["a", "b"], b=["x", ""], label=["x", "y"])
    with pytest.raises(InputError, match="no text in column 'b' in line 3"):
        examples(data, Columns("a", "b", "label", None))


def test_only_the_first_few_lines_are_listed():
    data = table(text=[""] * 9, label=["x"] * 9)
    with pytest.raises(InputError, match=r"line 2, line 3, line 4, line 5, line 6 and 4 more"):
        examples(data, Columns("text", None, "label", None))


@pytest.mark.parametrize("value", [["x"], {"a": 1}, b"x", "x\ud800"], ids=ascii)
def test_a_text_that_is_no_text_is_refused_with_its_line(value):
    with pytest.raises(InputError, match="something other than a text in column 'text' in line 3"):
        examples(table(text=["a", value], label=["x", "y"]), Columns("text", None, "label", None))


def test_numbers_in_the_text_column_are_read_as_texts():
    assert examples(table(text=[1, 2.5, True], label=["x", "y", "x"]), Columns("text", None, "label", None)).texts == [
        "1", "2.5", "True",
    ]  # fmt: skip


def test_equal_texts_share_a_group_unless_a_column_names_groups():
    data = table(text=["a", "a", "b"], who=[1, 2, 1], label=["x", "y", "x"])
    groups = examples(data, Columns("text", None, "label", None)).groups
    assert groups[0] == groups[1] != groups[2]
    assert examples(data, Columns("text", None, "label", "who")).groups == [1, 2, 1]


@pytest.mark.parametrize("name", ["Andr\u00e9", "Andre\u0301"])
def test_groups_of_one_name_in_either_composition_are_one(name):
    data = table(text=["a", "b"], who=["Andr\u00e9", name], label=["x", "y"])
    groups = examples(data, Columns("text", None, "label", "who")).groups
    assert groups[0] == groups[1]


def test_texts_stay_as_they_are_written():
    data = table(text=["caf\u00e9", "cafe\u0301"], label=["x", "y"])
    assert examples(data, Columns("text", None, "label", None)).texts == ["caf\u00e9", "cafe\u0301"]


# ---- texts without labels


def test_texts_of_needs_no_label():
    def found(*given):
        read = texts_of(*given)
        return read.texts, read.pairs, read.places

    assert found(table(Review=["good"]), Columns("Review", None, None, None)) == (["good"], None, ["line 2"])
    assert found(table(a=["good"], b=["bad"]), Columns("b", "a", None, None)) == (["bad"], ["good"], ["line 2"])
    with pytest.raises(InputError, match="line 3"):
        texts_of(table(text=["a", " "]), Columns("text", None, None, None))


def test_rows_that_cannot_be_used_are_left_out_when_asked_and_named():
    read = texts_of(table(text=["a", " ", "c"]), Columns("text", None, None, None), skip=True)
    assert (read.texts, read.places) == (["a", "c"], ["line 2", "line 4"])
    assert "left out no text in column 'text' in line 3" in read.notes[0]
    given = table(text=["a", " ", "c", "d"], label=["x", "y", "", "z"], film=["1", "2", "3", "4"])
    found = examples(given, Columns("text", None, "label", "film"), skip=True)
    assert (found.texts, found.labels, found.groups, found.kept) == (["a", "d"], ["x", "z"], ["1", "4"], [0, 3])
    assert found.skipped == 2
    assert [note.rpartition(" in ")[2] for note in found.notes] == ["line 3", "line 4"]
    with pytest.raises(InputError, match="no text"):
        examples(table(text=[" "], label=["x"]), Columns("text", None, "label", None), skip=True)
