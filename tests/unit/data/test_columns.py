"""Which column is the text and which the label: named, unmistakable, or asked for."""

import unicodedata

import pytest

from lorabert.config import DataConfig
from lorabert.data.columns import Columns, as_trained, find
from lorabert.data.tables import Table
from lorabert.errors import InputError


def found(names: list[str], **named: str) -> Columns:
    return find(Table("data.csv", {name: ["a", "b", "c"] for name in names}), DataConfig(**named))


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
        (["text_b", "text_a", "label"], ("text_a", "text_b")),
        (["label", "text_pair", "text"], ("text", "text_pair")),
    ],
)
def test_pairs_are_found(names, pair):
    columns = found(names)
    assert (columns.text, columns.text_pair, columns.label) == (*pair, "label")


def test_pairs_are_found_in_any_case():
    assert found(["Premise", "Hypothesis", "Label"]).text_pair == "Hypothesis"


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
    with pytest.raises(InputError, match=r"with --text\."):
        as_trained(data, Columns("text", None, "label", None), DataConfig(), labelled=False)


def test_a_named_group_column_is_kept_apart():
    assert found(["text", "who", "verdict"], group="who") == Columns("text", None, "verdict", "who")


@pytest.mark.parametrize(
    ("names", "group"), [(["text", "category", "sentiment"], "category"), (["review", "text", "label"], "text")]
)
def test_the_group_column_is_never_the_label_or_the_text(names, group):
    columns = found(names, group=group)
    assert group not in (columns.text, columns.label)


@pytest.mark.parametrize(
    ("names", "role", "rivals"),
    [
        (["sentence", "label", "question"], "text", "'sentence', 'question'"),
        (["review", "comment", "label"], "text", "'review', 'comment'"),
        (["Title", "Description", "Class Index", "label"], "text", "'Title', 'Description'"),
        (["text", "Text", "label"], "text", "'text', 'Text'"),
        (
            ["sentence1", "sentence2", "premise", "hypothesis", "label"],
            "text",
            "'sentence1', 'sentence2', 'premise', 'hypothesis'",
        ),
        (["premise", "hypothesis", "text", "label"], "text", "'premise', 'hypothesis', 'text'"),
        (["text", "sentiment", "topic"], "label", "'sentiment', 'topic'"),
        (["text", "label", "Label"], "label", "'label', 'Label'"),
    ],
)
def test_columns_that_could_as_well_be_others_are_asked_for(names, role, rivals):
    with pytest.raises(InputError, match=f"more than one column may be the {role}.*{rivals}.*--data.{role} COLUMN"):
        found(names)


@pytest.mark.parametrize(
    ("names", "text", "label"),
    [
        (["text", "comment", "label"], "text", "label"),
        (["content", "title", "label"], "content", "label"),
        (["text", "label", "category"], "text", "label"),
    ],
)
def test_the_plainest_name_wins(names, text, label):
    columns = found(names)
    assert (columns.text, columns.text_pair, columns.label) == (text, None, label)


def test_two_unknown_columns_with_equally_many_values_are_asked_for():
    with pytest.raises(InputError, match="no column looks like the text"):
        find(Table("d", {"foo": ["a", "b", "b"], "bar": ["x", "x", "y"]}), DataConfig())


def test_columns_are_named_in_either_composition():
    split, whole = unicodedata.normalize("NFD", "r\u00e9sum\u00e9"), "r\u00e9sum\u00e9"
    for there, named in ((split, whole), (whole, split)):
        assert found([there, "label", "other"], text=named).text == whole
    with pytest.raises(InputError, match="more than one column of the same name"):
        find(Table("d", {split: ["a"], whole: ["b"], "label": ["c"]}), DataConfig(text=split))
    assert find(Table("d", {split: ["a"], whole: ["b"], "text": ["c"], "label": ["d"]}), DataConfig()).text == "text"


# ---- columns to answer for

SINGLE, PAIRS = Columns("headline", None, "mood", "film"), Columns("premise", "hypothesis", "label", None)


def answered(names, trained=SINGLE, labelled=True, **named):
    return as_trained(
        Table("data.csv", {name: ["a"] for name in names}, prefix="--"), trained, DataConfig(**named), labelled=labelled
    )


@pytest.mark.parametrize("order", [["headline", "mood", "text", "label"], ["label", "text", "mood", "headline"]])
def test_the_columns_trained_on_are_taken_whatever_else_is_there(order):
    assert answered(order) == Columns("headline", None, "mood", None)
    assert answered(order, labelled=False) == Columns("headline", None, None, None)


def test_case_is_no_difference_where_only_one_column_is_left_by_it():
    assert answered(["Headline", "MOOD"]) == Columns("Headline", None, "MOOD", None)
    with pytest.raises(InputError, match="no column 'headline'"):
        answered(["Headline", "HEADLINE", "mood"])


@pytest.mark.parametrize(
    ("names", "labelled", "role"),
    [
        (["text", "mood"], True, "text"),
        (["text", "id"], False, "text"),
        (["id", "mood"], False, "text"),
        (["headline", "label"], True, "label"),
        (["headline"], True, "label"),
    ],
)
def test_no_other_column_is_taken_for_one_that_lacks(names, labelled, role):
    with pytest.raises(InputError, match=f"data.csv has no column '{getattr(SINGLE, role)}'.*'{names[0]}'.*with --{role}"):
        answered(names, labelled=labelled)


def test_a_file_of_one_column_is_one_of_texts():
    assert answered(["anything"], labelled=False).text == "anything"
    with pytest.raises(InputError, match="no column 'premise'"):
        answered(["anything"], PAIRS, labelled=False)


def test_both_texts_of_a_pair_are_needed():
    assert answered(["a", "hypothesis"], PAIRS, labelled=False, text="a") == Columns("a", "hypothesis", None, None)
    with pytest.raises(InputError, match=r"no column 'hypothesis'.*with --text_pair"):
        answered(["premise", "other"], PAIRS, labelled=False)
    with pytest.raises(InputError, match="labels single texts"):
        answered(["headline", "mood"], text_pair="mood")


def test_columns_are_named_for_people_and_read_back_from_records():
    assert SINGLE.named() == "text 'headline', label 'mood', group 'film'"
    assert PAIRS.unused(Table("d", {name: ["a"] for name in ("label", "premise", "idx", "hypothesis")})) == ["idx"]
    record = {"columns": {"text": "a", "text_pair": None, "label": "b", "group": None}}
    assert Columns.recorded(record) == Columns("a", None, "b", None)
    for nothing in ({}, None, {"columns": None}, {"columns": {"text": None}}):
        assert Columns.recorded(nothing) == Columns("text", None, "label", None)
