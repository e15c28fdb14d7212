"""docs/small_data.md is what the committed cells say; draws are honest, and a system that fails is counted as one."""

import importlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CELL = {"held_out": False, "processor": "P", "n_test": 100, "f1_macro": 0.5, "ece": 0.1, "seconds": 3.0, "failure": ""}


@pytest.fixture
def page():
    source = importlib.util.spec_from_file_location("small_data_page", ROOT / "docs" / "small_data.py")
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def cells(**accuracy):
    """A cell for each system, set and draw: accuracies by system, {set: [by draw]}."""
    return [CELL | {"set": name, "size": 50, "draw": number, "system": system, "accuracy": value,
                    "failure": "exit 1" if value is None else ""}
            for system, sets in accuracy.items()
            for name, values in sets.items()
            for number, value in enumerate(values)]  # fmt: skip


def test_the_page_is_up_to_date_with_the_record(page):
    if page.RECORD.exists():
        assert page.PAGE.read_text(encoding="utf-8") == page.page(page.read()), "run python docs/small_data.py"


def test_ranks_leads_and_lost_cells(page):
    rows = cells(lorabert={"a": [0.8, 0.9], "b": [0.5, 0.5]}, rival={"a": [0.7, 0.9], "b": [0.6, None]})
    text = page.page(rows)
    ours, theirs = (next(line for line in text.splitlines() if line.startswith(f"| {name} |")) for name in ("lorabert", "rival"))
    assert "| 67.5 |" in ours
    assert "| 1.38 |" in ours  # ranks 1, 1.5, 2 and 1
    assert "| 55.0 |" in theirs
    assert "+12.5 [" in theirs
    assert "| 2, 1, 1 |" in theirs
    assert theirs.endswith("| 1 |")
    (interval,) = [part for part in theirs.split("|") if "[" in part]
    low, high = (float(value) for value in interval.split("[")[1].rstrip("] ").split(","))
    assert low < 12.5 < high


def test_where_another_is_better_is_listed(page):
    rows = cells(lorabert={"a": [0.8, 0.8], "b": [0.5, 0.5]}, rival={"a": [0.7, 0.7], "b": [0.6, 0.55]})
    listed = page.page(rows).split("better on average")[1]
    assert "| b | 50 | rival | 7.5 |" in listed
    assert "| a |" not in listed


def test_a_draw_shares_nothing_with_the_test_texts_and_is_another_for_each_number(benchmark):
    panel = benchmark("panel")
    texts = [panel.Text(f"text {number}", "ab"[number % 2], f"tale {number // 10}") for number in range(200)]
    source = panel.Source("made", False, "", lambda: (texts, []))
    first, again, other = (panel.draw(source, 50, number) for number in (0, 0, 1))
    assert first == again != other
    assert len(first.train) == 50
    assert not {text.group for text in first.train} & {text.group for text in first.test}
    assert first.test == other.test
    assert panel.draw(source, 500, 0) is None
    rare = [*texts, panel.Text("lonely", "c", "tale 3"), panel.Text("alone", "c", "tale 12")]
    drawn = panel.draw(panel.Source("made", False, "", lambda: (rare, [])), 20, 0)
    assert {text.label for text in drawn.test} <= {text.label for text in drawn.train}


def test_half_of_the_panel_is_held_out_and_the_rest_is_not(benchmark):
    panel = benchmark("panel").PANEL
    assert len(panel) >= 12
    assert 2 * sum(source.held_out for source in panel.values()) in range(len(panel) - 1, len(panel) + 2)


def test_one_answer_for_all_is_a_failure(benchmark):
    small, panel = benchmark("small_data"), benchmark("panel")
    drawn = panel.Drawn([], [panel.Text("x", label, "x") for label in "aabb"])
    same = small._scores(drawn, ["a", "b"], np.array([[0.9, 0.1]] * 4))
    assert same["accuracy"] == 0.5
    assert same["failure"]
    right = small._scores(drawn, ["a", "b"], np.eye(2)[[0, 0, 1, 1]])
    assert (right["accuracy"], right["ece"], right["failure"]) == (1.0, 0.0, "")


def test_a_cell_is_measured_once(benchmark, tmp_path):
    small = benchmark("small_data")
    row = CELL | {"set": "a", "size": 50, "draw": 0, "system": "TF-IDF", "accuracy": 0.5}
    (tmp_path / "cells.jsonl").write_text(json.dumps(row) + "\n")
    assert {small._key(found) for found in small.read(tmp_path / "cells.jsonl")} == {("a", 50, 0, "TF-IDF")}
