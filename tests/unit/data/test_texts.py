"""What Python callers hand over as texts."""

import numpy as np
import pandas
import pytest

from lorabert.data.texts import listed, paired

GOOD = ["a film", "", "映画"]


@pytest.mark.parametrize(
    "texts",
    [
        GOOD,
        tuple(GOOD),
        np.array(GOOD),
        np.array(GOOD, dtype=object),
        pandas.Series(GOOD, index=[7, 7, 3]),
        pandas.Series(GOOD, dtype="string"),
        pandas.Index(GOOD),
        iter(GOOD),
        (text for text in GOOD),
        dict(enumerate(GOOD)).values(),
    ],
    ids=lambda texts: f"{type(texts).__name__}",
)
def test_whatever_gives_strings_in_order_is_a_list_of_them(texts):
    found = listed(texts)
    assert found == GOOD
    assert {type(text) for text in found} == {str}


@pytest.mark.parametrize("one", ["good film", np.str_("good film"), ""])
def test_one_string_is_one_text(one):
    assert listed(one) == [one]
    assert paired(one, one) == ([one], [one])


@pytest.mark.parametrize("nothing", [[], (), np.array([]), pandas.Series([], dtype=object), iter([])])
def test_of_nothing_there_are_no_texts(nothing):
    assert listed(nothing) == []


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        (None, "not None"),
        (3, "not int"),
        (float("nan"), "not float"),
        (b"bytes", "not bytes: decode them first"),
        ({"text": "a film"}, "not dict: give its values"),
        ({"a film"}, "order is by chance"),
        (pandas.DataFrame({"text": GOOD}), "not DataFrame: name one of its columns"),
        (np.array("a film"), "one dimension"),
        (np.array([GOOD]), "one dimension"),
        (["a film", None], r"texts\[1\] must be a string, not None"),
        (["a film", float("nan")], r"texts\[1\] must be a string, not nan"),
        (pandas.Series(["a film", pandas.NA]), r"texts\[1\] must be a string"),
        (np.array([1.5, 2.5]), r"texts\[0\] must be a string"),
        ([["a", "pair"]], r"texts\[0\] must be a string"),
        ([("a", "pair")], r"texts\[0\] must be a string"),
        ([b"bytes"], r"texts\[0\] must be a string"),
        ([{"text": "a"}], r"texts\[0\] must be a string"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_text_is_refused_by_its_place(odd, named):
    with pytest.raises(TypeError, match=named):
        listed(odd)
    with pytest.raises(TypeError):
        paired(["a film"], odd if odd is not None else 3)


def test_half_a_character_is_refused_by_its_place():
    with pytest.raises(ValueError, match=r"texts\[1\] holds half a character"):
        listed(["a film", "\ud800"])


@pytest.mark.parametrize("pairs", [[], ["one"], ["one", "two", "three"], "one"])
def test_each_text_has_its_second_text(pairs):
    with pytest.raises(ValueError, match="there are 2 texts and"):
        paired(["a", "b"], pairs)
