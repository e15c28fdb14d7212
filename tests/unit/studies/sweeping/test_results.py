"""How far the best of many can be believed, and what a trial is worth."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from lorabert.config import RunConfig
from lorabert.runs import RunFolder
from lorabert.studies.sweeping import plotting, results
from lorabert.studies.sweeping.measuring import measure


def row(number, value, status="done", **parameters):
    parameters = parameters or {"lora.r": number}
    trial = {"number": number, "status": status, "parameters": parameters, "value": value}
    return trial if value is None else trial | {"low": value - 0.05, "high": value + 0.05, "n": 99}


def test_rivals_are_the_other_configurations_within_the_best_ones_interval():
    rows = [row(0, 0.80), row(1, 0.76), row(2, 0.74), row(3, None, "failed"), row(4, 0.76, **{"lora.r": 1})]
    assert results.selection(rows, rows[0], "maximize") == {"configurations": 3, "within_interval": 2, "n": 99}
    assert results.selection(rows, rows[2], "minimize")["within_interval"] == 2


@pytest.fixture
def run(tmp_path):
    """A finished run's folder, with predictions of both splits."""
    folder = RunFolder.create(tmp_path / "run", RunConfig().resolved())

    def save(validation, test):
        labels = np.arange(len(validation)) % 2
        folder.save_predictions({"validation": (labels, validation), "test": (np.zeros(len(test), dtype=int), test)})
        return folder.path, labels

    return save


DONE = {
    "status": "done",
    "data": {"labels": ["no", "yes"]},
    "validation_metrics": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 8}},
}


def test_loss_is_the_mean_cross_entropy_of_the_validation_split(run):
    logits = np.random.default_rng(0).normal(size=(8, 2))
    path, labels = run(logits, np.full((5, 2), 100.0))
    found = measure(DONE, path, "loss")
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found["value"] == pytest.approx(log_loss(labels, probabilities), abs=1e-6)
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == 8


def test_a_run_whose_answers_are_not_numbers_has_diverged(run):
    path, _ = run(np.full((4, 2), np.nan), np.ones((4, 2)))
    assert "diverged" in measure(DONE, path, "accuracy")["error"]
    path, _ = run(np.ones((4, 2)), np.full((4, 2), np.nan))
    assert measure(DONE, path, "accuracy") == DONE["validation_metrics"]["accuracy"]


def test_failed_and_stopped_runs_are_told_apart():
    assert measure({"status": "failed", "error": "no"}, None, "accuracy") == {"error": "no"}
    assert measure({"status": "stopped", "error": "enough"}, None, "accuracy")["pruned"]


def test_the_plot_has_a_panel_an_option_and_is_the_same_each_time():
    space = {
        "train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "lora.target_modules": {"choices": ["auto", ["query"]]},
    }
    rows = [
        row(n, 0.7 + n / 100, **{"train.learning_rate": 1e-4 * (n + 1), "lora.target_modules": ["auto", ["query"]][n % 2]})
        for n in range(4)
    ]
    document = {
        "space": space,
        "trials": [*rows, row(9, None, "failed")],
        "best": rows[3],
        "metric": "accuracy",
        "importances": None,
    }
    picture = plotting.svg(document)
    assert picture == plotting.svg(json.loads(json.dumps(document)))
    for key in space:
        assert key.encode() in picture
    shares = {"train.learning_rate": 0.7, "lora.target_modules": 0.3}
    assert b"fANOVA" in plotting.svg(document | {"importances": shares})
    assert b"fANOVA" not in picture
