"""Tables for people: on 80 columns, with labels of any length, and nothing in them that acts on the terminal."""

import io
import json

import pytest
from rich.cells import cell_len

from lorabert.cli import output as module
from lorabert.cli.output import Output, as_json, confusion_table, per_class_table

LONG = [f"{'very ' * 18}long label {number} {'indeed ' * 3}" for number in range(4)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    """An output to a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    return Output(Terminal(), as_json=False)


def lines(out: Output) -> list[str]:
    return [line.rstrip() for line in out.stdout.getvalue().splitlines()]


def scores(labels):
    return [{"label": label, "precision": 0.5, "recall": 0.25, "f1": 0.333, "support": 1234} for label in labels]


@pytest.mark.parametrize("labels", [LONG, ["\u65e5\u672c" * 30, "x"], ["a" * 100, "a" * 99 + "b"], ["short", "label"]])
def test_the_numbers_of_a_class_stand_beside_its_name(screen, labels):
    per_class_table(screen, scores(labels))
    rows = [line for line in lines(screen) if "0.250" in line]
    assert len(rows) == len(labels)
    assert all("0.500" in row and "0.333" in row and "1234" in row for row in rows)
    assert max(map(cell_len, lines(screen))) <= 80
    assert len({row.split("0.500")[0] for row in rows}) == len(labels)


@pytest.mark.parametrize("classes", [2, 4, 9, 20, 30])
@pytest.mark.parametrize("name", ["{}", "class {}", "a label of a hundred letters " * 4 + "{}"])
def test_a_confusion_matrix_fits_or_becomes_a_list(screen, classes, name):
    labels = [name.format(number) for number in range(classes)]
    confusion_table(screen, labels, [[100 * (row == column) + 55 for column in range(classes)] for row in range(classes)])
    shown = lines(screen)
    assert max(map(cell_len, shown)) <= 80
    if classes <= 9:
        assert "Confusion (rows: true, columns: predicted)" in shown
        assert sum("155" in line for line in shown) == classes
        assert all(line.count(" 55 ") + line.endswith(" 55") == classes - 1 for line in shown if "155" in line)


def test_numbered_columns_are_numbered_in_the_rows_too(screen):
    confusion_table(screen, LONG, [[5, 1, 1, 1]] * 4)
    text = "\n".join(lines(screen))
    assert all(f" {number} very" in text for number in range(1, 5))


def test_every_table_keeps_its_numbers_on_the_screen(screen):
    screen.table("Classes", ["class", "examples", "share"], [[label, 1000, "25.0%"] for label in LONG])
    rows = [line for line in lines(screen) if "25.0%" in line]
    assert len(rows) == 4
    assert all("1000" in row and len(row) <= 80 for row in rows)


def test_long_words_of_other_columns_are_folded_not_lost(screen):
    screen.table("Facts", ["", ""], [["labels", "word " * 40]])
    assert "\n".join(lines(screen)).count("word") == 40


HOSTILE = "\x1b[31m\u202eneg\x9b\x07\r\n"


def test_nothing_acts_on_the_terminal(screen):
    screen.say(f"Data: {HOSTILE}")
    screen.table(HOSTILE, [HOSTILE, "n"], [[HOSTILE, 1], ["pos", HOSTILE]])
    per_class_table(screen, scores([HOSTILE, "pos"]))
    confusion_table(screen, [HOSTILE, "pos"], [[1, 0], [0, 1]])
    text = screen.stdout.getvalue()
    assert not set("\x1b\u202e\x9b\x07\r") & set(text.replace("\x1b[1m", "").replace("\x1b[0m", ""))
    assert text.count("\\x1b[31m\\u202eneg") >= 5


def test_json_has_what_acts_as_escapes():
    out = io.StringIO()
    Output(out, as_json=True).result({"label": HOSTILE})
    assert json.loads(out.getvalue()) == {"label": HOSTILE}
    assert out.getvalue().rstrip("\n").isprintable()
    assert as_json({"label": "sch\u00f6n"}) == '{"label": "sch\u00f6n"}'


def test_a_line_of_progress_is_printed_to_stderr(capsys):
    module.tell(HOSTILE.rstrip())
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "\\x1b[31m\\u202eneg\\x9b\\x07\n")
