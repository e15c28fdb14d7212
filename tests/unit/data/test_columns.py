"""Which column is the text and which the label, and what their values mean."""

import math

import pytest

from lorabert.config import DataConfig
from lorabert.data.columns import Columns, examples, find, is_missing, label_names, texts_of
from lorabert.data.tables import Table
from lorabert.errors import InputError


def table(declared: dict | None = None, /, **columns: list) -> Table:
    """A table whose first row stands in line 2."""
    rows = len(next(iter(columns.values())))
    return Table("data.csv", columns, list(range(2, rows + 2)), declared or {})


def found(names: list[str], **named: str) -> Columns:
    return find(Table("data.csv", {name: ["a", "b", "c"] for name in names}), DataConfig(**named))


def labels_of(values: list, declared: list[str] | None = None) -> tuple[list[str], list[str]]:
    """Each row's label, and the classes in order."""
    data = table({"label": declared} if declared else {}, text=[f"text {row}" for row in range(len(values))], label=values)
    part = examples(data, Columns("text", None, "label", None))
    return part.labels, label_names(part.labels, data, "label")


# ---- which column


@pytest.mark.parametrize(
    ("names", "text", "label"),
    [
        (["text", "label"], "text", "label"),
        (["LABEL", "Text", "id"], "Text", "LABEL"),
        (["Review", "Sentiment", "date"], "Review", "Sentiment"),
        (["id", "SENTENCE", "Class"], "SENTENCE", "Class"),
        (["what was said", "label"], "what was said", "label"),
        (["text", "verdict"], "text", "verdict"),
        (["title", "text", "label"], "text", "label"),
    ],
)
def test_columns_are_found_by_name_in_any_case_or_because_one_is_left(names, text, label):
    columns = found(names)
    assert (columns.text, columns.label, columns.text_pair) == (text, label, None)


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_unknown_columns_the_one_with_fewer_values_is_the_label(swapped):
    columns = {"foo": ["a", "b", "c"], "bar": ["x", "x", "y"]}
    data = Table("d", dict(reversed(columns.items())) if swapped else columns)
    assert find(data, DataConfig()) == Columns("foo", None, "bar", None)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["sentence1", "sentence2", "label"], ("sentence1", "sentence2")),
        (["premise", "hypothesis", "label", "idx"], ("premise", "hypothesis")),
        (["question1", "question2", "label"], ("question1", "question2")),
        (["question", "sentence", "label"], ("question", "sentence")),
        (["label", "text_pair", "text"], ("text", "text_pair")),
    ],
)
def test_pairs_are_found(names, pair):
    columns = found(names)
    assert (columns.text, columns.text_pair, columns.label) == (*pair, "label")


def test_pairs_are_found_in_any_case():
    assert found(["Question", "Sentence", "Label"]).text_pair == "Sentence"


def test_named_columns_win_over_usual_names():
    columns = found(["text", "label", "note", "kind"], text="note", label="kind")
    assert (columns.text, columns.label) == ("note", "kind")
    assert found(["sentence1", "sentence2", "label"], text="sentence2").text_pair is None
    assert found(["a", "b", "label"], text="a", text_pair="b") == Columns("a", "b", "label", None)


@pytest.mark.parametrize("role", ["text", "text_pair", "label", "group"])
def test_a_named_column_that_is_not_there_is_refused_with_those_there_are(role):
    with pytest.raises(InputError, match=r"no column 'nowhere'.*'text', 'label', 'other'") as refused:
        found(["text", "label", "other"], **{role: "nowhere"})
    assert f"--data.{role}" in str(refused.value)


@pytest.mark.parametrize(("names", "role"), [(["a", "b", "c"], "text"), (["text", "a", "b"], "label"), (["text"], "label")])
def test_columns_that_cannot_be_told_are_asked_for(names, role):
    with pytest.raises(InputError, match=f"no column looks like the {role}.*--data.{role}"):
        found(names)


def test_columns_are_asked_for_as_the_command_calls_them():
    data = Table("d.csv", {"a": ["x"] * 21, "b": ["y"] * 21, "c": list(range(21))}, prefix="--")
    with pytest.raises(InputError, match=r"with --text COLUMN\."):
        find(data, DataConfig())
    with pytest.raises(InputError, match=r"with --label\."):
        find(data, DataConfig(text="a", label="d"))
    with pytest.raises(InputError, match=r"with --text COLUMN\."):
        texts_of(data, None, None)
    with pytest.raises(InputError, match=r"with --label\."):
        label_names([str(row) for row in range(21)], data, "c")


def test_a_named_group_column_is_kept_apart():
    assert found(["text", "who", "verdict"], group="who") == Columns("text", None, "verdict", "who")


@pytest.mark.parametrize(
    ("names", "group"), [(["text", "category", "sentiment"], "category"), (["review", "text", "label"], "text")]
)
def test_the_group_column_is_never_the_label_or_the_text(names, group):
    columns = found(names, group=group)
    assert group not in (columns.text, columns.label)


# ---- what labels mean


@pytest.mark.parametrize(
    ("values", "labels", "names"),
    [
        ([2, 10, 2], ["2", "10", "2"], ["2", "10"]),
        (["10", "2", "2"], ["10", "2", "2"], ["2", "10"]),
        (["-1", "1", "0"], ["-1", "1", "0"], ["-1", "0", "1"]),
        ([1.0, 0.0, 10.0], ["1", "0", "10"], ["0", "1", "10"]),
        ([True, False, True], ["True", "False", "True"], ["False", "True"]),
        (["pos", " neg ", "pos"], ["pos", "neg", "pos"], ["neg", "pos"]),
        (["b", "10", "2"], ["b", "10", "2"], ["10", "2", "b"]),
        (["größe", "Ärger", "a"], ["größe", "Ärger", "a"], ["a", "größe", "Ärger"]),
    ],
    ids=["int", "int-words", "negative", "whole-floats", "bool", "names", "mixed", "unicode"],
)
def test_labels_become_names_with_whole_numbers_in_order_of_value(values, labels, names):
    assert labels_of(values) == (labels, names)


def test_declared_names_come_in_the_order_declared_even_those_that_never_occur():
    assert labels_of([2, 0, 2], ["zebra", "mango", "apple"]) == (["apple", "zebra", "apple"], ["zebra", "mango", "apple"])
    assert labels_of(["zebra", "apple"], ["zebra", "mango", "apple"])[1] == ["zebra", "mango", "apple"]


# -1 is the hub's "no label", which stands among the rows of SNLI's train split.
@pytest.mark.parametrize("strange", [-1, 3])
def test_a_number_that_no_declared_name_stands_for_is_refused_with_its_line(strange):
    with pytest.raises(InputError, match="line 4"):
        labels_of([0, 1, strange, 2], ["entailment", "neutral", "contradiction"])


def test_all_that_is_wrong_with_labels_is_said_at_once():
    with pytest.raises(InputError, match=r"no name or whole number .* line 2; a number that stands for no class .* line 3"):
        labels_of([["a"], 7, 0], ["a", "b"])


def test_the_order_of_labels_is_the_same_in_every_process():
    values = [form for number in range(10) for form in (f"{number}", f"0{number}", f"00{number}")]
    names = labels_of([*values, *values])[1]
    assert names == sorted(set(values), key=lambda name: (int(name), name))


def test_one_class_is_refused():
    with pytest.raises(InputError, match=r"one class only.*'pos' in all 3 rows"):
        labels_of(["pos", "pos ", "pos"])


def test_a_label_column_that_looks_like_an_id_is_refused():
    with pytest.raises(InputError, match=r"another value in each of its 21 rows.*--data.label"):
        labels_of([f"id{row}" for row in range(21)])
    assert len(labels_of([f"id{row}" for row in range(20)] * 2)[1]) == 20
    assert len(labels_of([f"id{row}" for row in range(20)])[1]) == 20  # a small table may have a class a row


# ---- rows that cannot be used

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


@pytest.mark.parametrize("value", [1.5, math.inf, ["x"], {"a": 1}, b"x", "x\ud800"], ids=ascii)
def test_a_label_that_is_no_name_or_whole_number_is_refused_with_its_line(value):
    with pytest.raises(InputError, match=r"no name or whole number in column 'label' in line 3"):
        labels_of(["x", value, "y"])


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


# ---- texts without labels


def test_texts_of_finds_the_text_and_needs_no_label():
    def found(*given):
        read = texts_of(*given)
        return read.texts, read.pairs, read.places

    assert found(table(id=["1"], Review=["good"]), None, None) == (["good"], None, ["line 2"])
    assert found(table(anything=["good"]), None, None) == (["good"], None, ["line 2"])
    assert found(table(a=["good"], b=["bad"]), "b", "a") == (["bad"], ["good"], ["line 2"])


def test_rows_that_cannot_be_used_are_left_out_when_asked_and_named():
    read = texts_of(table(text=["a", " ", "c"]), None, None, skip=True)
    assert (read.texts, read.places) == (["a", "c"], ["line 2", "line 4"])
    assert "left out no text in column 'text' in line 3" in read.notes[0]
    given = table(text=["a", " ", "c", "d"], label=["x", "y", "", "z"], film=["1", "2", "3", "4"])
    found = examples(given, Columns("text", None, "label", "film"), skip=True)
    assert (found.texts, found.labels, found.groups, found.kept) == (["a", "d"], ["x", "z"], ["1", "4"], [0, 3])
    assert found.skipped == 2
    assert [note.rpartition(" in ")[2] for note in found.notes] == ["line 3", "line 4"]
    with pytest.raises(InputError, match="no text"):
        examples(table(text=[" "], label=["x"]), Columns("text", None, "label", None), skip=True)


def test_texts_of_refuses_blanks_and_unknown_columns():
    with pytest.raises(InputError, match="line 3"):
        texts_of(table(text=["a", " "]), None, None)
    with pytest.raises(InputError, match="no column 'b'"):
        texts_of(table(text=["a"]), "b", None)
    with pytest.raises(InputError, match="no column looks like the text"):
        texts_of(table(a=["a"], b=["b"]), None, None)
