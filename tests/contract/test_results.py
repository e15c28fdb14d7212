"""docs/results.md is what the committed comparisons say, and the script that makes it takes records that are not whole."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest

import studies

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results():
    source = importlib.util.spec_from_file_location("results", ROOT / "docs" / "results.py")
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    words = ("--methods", "lora,head", "--train.num_train_epochs", "1", "--tune", "--tune_rates", "1e-3,1e-2")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(studies, "QUICK", tuple(word for word in studies.QUICK if word not in ("--train.learning_rate", "5e-3")))
        return json.loads(studies.small_comparison(folder, *words).read_text())


def test_the_page_is_up_to_date_with_the_records(results):
    records = results.read()
    if records:
        assert results.PAGE.read_text(encoding="utf-8") == results.page(records), "run python docs/results.py"


def test_a_record_becomes_tables_with_every_system_and_baseline(results, record):
    text = results.page({"small": record})
    for said in ("## small", "### two: accuracy on 36 test examples", "| lora |", "| head |", "| majority class |", "minus lora",
                 "Rates on validation", "0.001: ", "### What it says", "nothing is decided"):  # fmt: skip
        assert said in text, said
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|") and "what differs" not in line}
    assert widths == {12}


def test_what_lies_beside_a_record_stands_above_its_tables(results, record, tmp_path):
    (tmp_path / "small.md").write_text("On a busy machine.\n", encoding="utf-8")
    text = results.page({"small": record}, tmp_path)
    assert "## small\n\nOn a busy machine.\n\nSeeds" in text
    assert "busy" not in results.page({"small": record})


def test_records_that_are_not_whole_give_the_rows_they_have(results, record):
    partial = copy.deepcopy(record)
    partial["environment"] = {**partial["environment"], "hardware": []}
    first, second = partial["tasks"]
    first["systems"]["head"] |= {"metrics": None, "cost": None, "n_seeds": 0, "learning_rate": None}
    first |= {"differences": [], "baselines": {}}
    second["tuning"] = None
    row = {"source": "A | B", "read": "copy", "selection": "s", "metric": "accuracy", "base": "bert", "method": "full", "n": 36}
    second["published"] = [row | {"value": 0.9, "spread": 0.01, "differs": ["base bert, ours tiny"]}]
    text = results.page({"partial": partial})
    assert "| head | - | - | 0 |" in text
    assert "90.0 ± 1.0" in text
    assert "A \\| B (a copy)" in text
    assert results.page({}).startswith("# Results")
