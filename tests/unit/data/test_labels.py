"""What labels mean: one name for a class however a file writes it, and the order of the classes."""

import itertools
import math
from decimal import Decimal

import pytest

from lorabert.data.columns import Columns
from lorabert.data.examples import examples
from lorabert.data.labels import fractions, label_names, labels_in
from lorabert.data.tables import Table
from lorabert.errors import InputError


def table(declared: dict | None = None, /, **columns: list) -> Table:
    """A table whose first row stands in line 2."""
    rows = len(next(iter(columns.values())))
    return Table("data.csv", columns, list(range(2, rows + 2)), declared or {})


def labels_of(values: list, declared: list[str] | None = None) -> tuple[list[str], list[str]]:
    """Each row's label, and the classes in order."""
    data = table({"label": declared} if declared else {}, text=[f"text {row}" for row in range(len(values))], label=values)
    part = examples(data, Columns("text", None, "label", None))
    return part.labels, label_names(part.labels, data, "label")


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


@pytest.mark.parametrize(
    "value", [1.5, Decimal("0.5"), math.inf, -math.inf, Decimal("inf"), ["x"], {"a": 1}, b"x", "x\ud800"], ids=ascii
)
def test_a_label_that_is_no_name_or_whole_number_is_refused_with_its_line(value):
    with pytest.raises(InputError, match=r"no name or whole number in column 'label' in line 3"):
        labels_of(["x", value, "y"])


# ---- one column, however it is written

WRITTEN = {
    "csv": ["0", "1", "10", "-2"],
    "csv beside a missing value": ["0.0", "1.0", "10.0", "-2.0"],
    "csv of decimals": ["0.00", "1.00", "10.00", "-2.00"],
    "csv with spaces": [" 0", "1 ", "\t10", " -2 "],
    "csv with signs": ["+0", "+1", "+10", "-2"],
    "json": [0, 1, 10, -2],
    "json floats": [0.0, 1.0, 10.0, -2.0],
    "minus zero": [-0.0, 1.0, "10", -2],
    "decimals": [Decimal("0.00"), Decimal("1.00"), Decimal("10.00"), Decimal("-2.00")],
    "decimals with exponents": [Decimal("0E+1"), Decimal(1), Decimal("1E+1"), Decimal(-2)],
}


@pytest.mark.parametrize("values", WRITTEN.values(), ids=WRITTEN)
def test_a_whole_number_is_one_label_in_every_format(values):
    assert labels_of(values) == (["0", "1", "10", "-2"], ["-2", "0", "1", "10"])


@pytest.mark.parametrize("one", WRITTEN.values(), ids=WRITTEN)
def test_mixed_in_one_column_they_are_one_label_too(one):
    assert labels_of([*one, *WRITTEN["json"]])[1] == ["-2", "0", "1", "10"]


@pytest.mark.parametrize("values", [[True, False], ["True", "False"], ["true", "false"], ["TRUE", "FALSE"], ["true", False]])
def test_a_column_of_truth_values_has_the_same_labels_in_every_format(values):
    assert labels_of(values) == (["True", "False"], ["False", "True"])


def test_truth_values_among_other_names_stay_as_they_are_written():
    assert labels_of(["true", "false", "half-true"])[1] == ["false", "half-true", "true"]


# What a number would make of them is given in the second place.
@pytest.mark.parametrize(("name", "number"), [("007", "7"), ("1e3", "1000"), ("1_000", "1000"), ("1,000", "1000"), ("1.", "1"),
                                              (".5", "0.5"), ("0x10", "16"), ("1.50", "1.5"), ("00", "0"),
                                              ("\u0663", "3"), ("\uff11", "1"), ("1 0", "10"), ("nan", "0")])  # fmt: skip
def test_names_that_a_number_would_lose_stay_as_they_are_written(name, number):
    assert labels_of([name, number])[0] == [name, number]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["10.0", "9.0", "1.0", "2.0"], ["1", "2", "9", "10"]),
        (["1.5", "10", "-1", "2"], ["-1", "1.5", "2", "10"]),
        (["0.5", "10.5", 2.0], ["0.5", "2", "10.5"]),
        (["-10", "-9", "-1"], ["-10", "-9", "-1"]),
        (["1", "2", "10", "x"], ["1", "10", "2", "x"]),
        (["9" * 5000, "1", "1" * 5000], ["1", "1" * 5000, "9" * 5000]),
    ],
    ids=["floats", "fractions", "mixed-fractions", "negative", "names", "long"],
)
def test_numbers_stand_in_order_of_value(values, names):
    assert labels_of(values)[1] == names


def test_numbers_with_fractions_are_classes_and_said_to_be():
    assert labels_of(["0.5", "1.0", "1.5"]) == labels_of(["0.5", 1, "1.5"]) == (["0.5", "1", "1.5"], ["0.5", "1", "1.5"])
    assert "each of the 3 is a class" in fractions(["0.5", "1", "1.5"])
    assert fractions(["1", "2"]) == fractions(["1.5", "x"]) == fractions(["007", "1"]) == ""


def test_a_decimal_that_a_source_declares_a_name_for_becomes_it():
    assert labels_of([Decimal("1.0"), 0.0, True], ["zebra", "apple"])[0] == ["apple", "zebra", "apple"]
    with pytest.raises(InputError, match="line 3"):
        labels_of([0, Decimal("0.5"), 1], ["zebra", "apple"])


# ---- composition

CAFE = ["caf\u00e9", "cafe\u0301"]


@pytest.mark.parametrize("values", list(itertools.product(CAFE, repeat=2)), ids=ascii)
def test_one_name_in_either_composition_is_one_label(values):
    assert labels_of([*values, "x"]) == ([CAFE[0], CAFE[0], "x"], [CAFE[0], "x"])
    assert labels_of([1, 0], [values[0], "x"])[1] == [CAFE[0], "x"]


@pytest.mark.parametrize(
    "other", ["NEG", "neg\u200b", "neg\ufeff", "neg\u00a0", "n\u00adeg", "\u200eneg", "\uff4e\uff45\uff47", "n eg"]
)
def test_names_that_only_look_alike_stay_apart(other):
    assert labels_of(["neg", other])[0] == ["neg", other]


# ---- labels that an adapter knows


def known(values: list, names: list[str]) -> list[str]:
    return labels_in(table(label=values), "label", names).values


@pytest.mark.parametrize("values", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("names", [["-2.0", "0.0", "1.0", "10.0"], ["-2", "0", "1", "10"], ["-2.00", "0.00", "1.00", "10.00"]])
def test_an_adapter_reads_its_labels_in_any_spelling(values, names):
    assert known(values, names) == [names[at] for at in (1, 2, 3, 0)]


@pytest.mark.parametrize("names", [["false", "true"], ["False", "True"], ["FALSE", "TRUE"]])
@pytest.mark.parametrize("values", [[True, False], ["true", "false"], ["True", "False"]])
def test_an_adapter_reads_truth_values_in_any_spelling(names, values):
    assert known(values, names) == names[::-1]


def test_an_adapter_that_learnt_two_spellings_apart_reads_each_as_it_is_written():
    assert known(["1.0", "1", 1.0, CAFE[0], CAFE[1]], ["1", "1.0", *CAFE]) == ["1.0", "1", "1", *CAFE]


def test_an_adapter_takes_no_look_alike_for_a_label_of_its_own():
    assert known(["NEG", "neg\u200b", "007"], ["neg", "7"]) == ["NEG", "neg\u200b", "007"]
