"""docs/reliability.md is what the long suites' records say."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

import reliability

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    source = importlib.util.spec_from_file_location("reliability_page", ROOT / "docs" / "reliability.py")
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date_with_the_records(script):
    assert script.PAGE.read_text(encoding="utf-8") == script.page(script.read()), "run python docs/reliability.py"


def test_every_record_is_of_a_suite_that_failed_nowhere_and_adds_up(script):
    for name, record in script.read().items():
        assert record["suite"] == name
        assert record["cases"] == sum(record["outcomes"].values()) + len(record["failures"]), name
        assert record["failures"] == [], name


def test_parts_add_up_to_a_record_and_a_record_becomes_a_section(script, tmp_path):
    reliability.save(tmp_path, "kill", "train", Counter(resumed=99), ["moment 7: other weights"], 12.34, "pytest a")
    reliability.save(tmp_path, "kill", "export", Counter(resumed=60, completed=40), [], 5.0, "pytest b", {"slowest": "3 s"})
    reliability.save(tmp_path, "kill", "train", Counter(resumed=100), [], 12.0, "pytest a")
    record = json.loads((tmp_path / "kill.json").read_text())
    assert record["cases"] == 200
    assert record["outcomes"] == {"completed": 40, "resumed": 160}
    assert record["failures"] == []
    assert record["seconds"] == 17.0
    assert {"suite", "command", "commit", "date", "machine"} <= record.keys()
    text = script.page(script.read(tmp_path))
    for said in ("| Killed at any moment | 200 | 200 | 0 |", "| export | 100 | 40 completed, 60 resumed | 0 | 5 |",
                 "- slowest: 3 s", "pytest b\npytest a", "## What was not tried"):  # fmt: skip
        assert said in text, said


def test_a_record_that_nothing_is_said_about_is_refused(script):
    with pytest.raises(KeyError, match="what mystery is about"):
        script.page({"mystery": {}})


def test_nothing_is_written_unless_a_folder_is_named(tmp_path, monkeypatch):
    tally = reliability.Tally("kill", "train")
    tally.outcomes["resumed"] += 1
    monkeypatch.delenv(reliability.SWITCH, raising=False)
    tally.save("pytest a")
    monkeypatch.setenv(reliability.SWITCH, str(tmp_path / "records"))
    tally.save("pytest a")
    assert [file.name for file in (tmp_path / "records").iterdir()] == ["kill.json"]
