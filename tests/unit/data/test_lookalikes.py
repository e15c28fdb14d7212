"""Labels that a reader takes for one."""

import pytest

from lorabert.data.lookalikes import lookalikes, sentence

ALIKE = {
    "case": "NEG",
    "title case": "Neg",
    "zero width space": "neg\u200b",
    "joiner": "n\u200deg",
    "mark of the byte order": "\ufeffneg",
    "soft hyphen": "n\u00adeg",
    "no-break space": "neg\u00a0",
    "direction": "\u200eneg",
    "override": "\u202eneg\u202c",
    "variation": "neg\ufe0f",
    "fullwidth": "\uff4e\uff45\uff47",
    "cyrillic": "n\u0435g",
    "control": "neg\x00",
}


@pytest.mark.parametrize("other", ALIKE.values(), ids=ALIKE)
def test_names_that_look_alike_are_found_and_can_be_told_apart_where_they_are_named(other):
    assert lookalikes(["neg", other, "pos"]) == [sorted(["neg", other])]
    named = sentence(["neg", "neg", other, "pos"])
    assert "'neg' (2)" in named
    assert named.isprintable()
    assert named.count("'neg'") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("7", "007"), ("1.5", "1.50"), ("a b", "a  b"), ("a b", "a\u00a0b"), ("a b", "a\u3000b"), ("e-mail", "e\u2011mail"),
     ("it's", "it\u2019s"), ("stra\u00dfe", "STRASSE"), ("true", "True")],
)  # fmt: skip
def test_so_are_numbers_spaces_and_hyphens(one, other):
    assert lookalikes([one, other]) == [sorted([one, other])]


@pytest.mark.parametrize(
    "names", [["caf\u00e9", "cafe"], ["a b", "ab"], ["1", "10", "-1"], ["neg", "negative"], ["not good", "good"]]
)
def test_names_that_differ_to_the_eye_are_left_alone(names):
    assert lookalikes(names) == []
    assert sentence(names) == ""


def test_a_few_groups_are_named_and_the_rest_counted():
    names = [form for letter in "abcde" for form in (letter, letter.upper())]
    assert "; and 2 more such groups" in sentence(names)
