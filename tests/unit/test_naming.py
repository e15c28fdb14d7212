"""Names that are not ours: nothing in them acts, and shortened ones stay different."""

import json
import random

import pytest

from lorabert.naming import escaped_json, paragraph, shortened, visible, width

ACTING = {
    "ANSI": "\x1b[31mred\x1b[0m",
    "title of the window": "\x1b]0;mine\x07",
    "C1": "\x9b31m",
    "bell": "\x07",
    "back": "over\b\b\b\bwrite",
    "return": "over\rwrite",
    "delete": "\x7f",
    "override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "mark": "\u200fa",
    "zero width": "neg\u200b",
    "byte order": "\ufeffneg",
    "soft hyphen": "n\u00adeg",
    "separator": "a\u2028b",
    "tag": "a\U000e0041",
    "half a character": "a\ud800",
}
HARMLESS = {
    "accents": "caf\u00e9 sch\u00f6n",
    "chinese": "\u65e5\u672c",
    "emoji": "\U0001f44d\ufe0f",
    "a family of emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "no-break": "a\u00a0b",
    "markup": "[bold]x[/bold]",
    "an escape that is written out": "\\x1b",
    "nothing": "",
}


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING)
def test_what_acts_is_escaped(text):
    shown = visible(text)
    assert shown.isprintable()
    assert shown != text
    assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_only_prints_stays(text):
    assert visible(text) == text
    assert json.loads(escaped_json(json.dumps(text, ensure_ascii=False))) == text


def test_line_breaks_of_ours_stay_and_messages_are_one_line():
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert visible("a\nb") == "a\\nb"
    assert paragraph("a\nb\x1b") == "a b\\x1b"


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING)
def test_json_means_what_it_meant_and_is_printable(text):
    document = json.dumps({text: [text]}, ensure_ascii=False)
    assert json.loads(escaped_json(document)) == {text: [text]}
    assert escaped_json(document).isprintable()
    assert json.loads(escaped_json(json.dumps([text], indent=2, ensure_ascii=False))) == [text]


# ---- shortened

LONG = ["a" * 100, "b" * 100, "a" * 50 + "X" + "a" * 49, "a" * 50 + "Y" + "a" * 49, "a" * 40, "short", "\u65e5\u672c" * 40]


@pytest.mark.parametrize("most", [12, 20, 40])
def test_shortened_names_fit_and_stay_different(most):
    short = shortened(LONG, most)
    assert all(width(name) <= most for name in short)
    assert len(set(short)) == len(LONG)
    assert short[5] == "short"


def test_hundreds_of_names_that_differ_anywhere_stay_different():
    random.seed(0)
    names = list(dict.fromkeys("".join(random.choices("ab", k=100)) for _ in range(300)))
    short = shortened(names, 24)
    assert len(set(short)) == len(names)
    assert max(map(width, short)) <= 24
    same_ends = [f"{'x' * 50}{number:04}{'x' * 50}" for number in range(600)]
    assert len(set(shortened(same_ends, 20))) == 600
    assert max(map(width, shortened(same_ends, 20))) <= 20


def test_equal_names_stay_equal_and_what_acts_is_escaped_before_it_is_measured():
    assert shortened(["a" * 99, "a" * 99], 12)[0] == shortened(["a" * 99], 12)[0]
    assert shortened(["\x1b[31m"], 12) == ["\\x1b[31m"]


def test_wide_characters_take_two_columns():
    assert [width(text) for text in ("ab", "\u65e5\u672c", "e\u0301", "\uff21")] == [2, 4, 1, 2]


def test_a_word_that_would_fill_the_screen_is_shortened_in_a_paragraph():
    assert len(paragraph(f"There is no {'x' * 5000} here")) < 250
    assert paragraph("a " * 400) == "a " * 400
