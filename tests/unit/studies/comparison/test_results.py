"""What is said of runs: on records and predictions written by hand, so that every figure can be checked."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from lorabert.config import RunConfig
from lorabert.errors import InputError
from lorabert.evidence.metrics import METRICS
from lorabert.evidence.statistics import estimates
from lorabert.runs import RunFolder, answers
from lorabert.studies.comparison import published, results

LABELS = np.array([0, 1] * 40 + [0] * 20)  # the commonest class has 60 of 100


@pytest.fixture
def run(tmp_path):
    """Write a finished run with given answers: `run(seed, predicted)`."""
    count = itertools.count()

    def make(seed, predicted, *, labels=LABELS, base="b" * 64, nan=False, **facts):
        folder = RunFolder.create(tmp_path / f"run-{next(count)}", RunConfig().resolved())
        logits = np.eye(2, dtype=np.float32)[np.asarray(predicted)]
        if nan:
            logits[3] = np.nan
        folder.save_predictions({"validation": (labels[:9], logits[:9] * 0), "test": (labels, logits)})
        metrics = {name: estimate.to_dict() for name, estimate in estimates(labels, predicted, 2).items()}
        folder.update(
            status="done", metrics=metrics, base={"sha256": base}, engine="fast",
            trainable={"parameters": 10, "head_parameters": 4, "all_parameters": 100},
            fit={"train_seconds": 3.0, "peak_bytes": 500} | facts,
        )  # fmt: skip
        return results.read(seed, {"run": str(folder.path), "adapter": str(folder.adapter), **folder.record}, 2)

    return make


def _wrong(count, first=0):
    """Answers with `count` mistakes from example `first` on."""
    answers = LABELS.copy()
    answers[first : first + count] = 1 - answers[first : first + count]
    return answers


def test_metrics_over_seeds(run):
    system = results.system([run(seed, _wrong(10 + seed)) for seed in range(3)], 2)
    accuracy = system["metrics"]["accuracy"]
    assert accuracy["values"] == [0.9, 0.89, 0.88]
    assert accuracy["value"] == pytest.approx(0.89)
    assert accuracy["median"] == 0.89
    assert accuracy["sd"] == pytest.approx(0.01)
    assert accuracy["low"] < 0.88 < 0.9 < accuracy["high"]
    assert (accuracy["n"], accuracy["n_seeds"], system["n_seeds"]) == (100, 3, 3)
    assert set(system["metrics"]) == set(METRICS)
    assert system["failures"] == []


def test_one_seed_has_no_sd(run):
    assert results.system([run(0, _wrong(10))], 2)["metrics"]["accuracy"]["sd"] is None


def test_failures_are_counted_and_told_apart(run):
    majority = np.zeros(100, dtype=int)
    runs = [
        run(0, _wrong(10)),
        run(1, majority),
        run(2, _wrong(5), nan=True),
        results.read(3, {"run": "x", "status": "failed", "error": "no memory"}, 2),
    ]
    system = results.system(runs, 2)
    assert [failure["seed"] for failure in system["failures"]] == [1, 2, 3]
    assert "commonest class" in system["failures"][0]["why"]
    assert "not numbers" in system["failures"][1]["why"]
    assert system["failures"][2]["why"] == "no memory"
    assert system["metrics"]["accuracy"]["values"] == [0.9, 0.6]  # a run at majority level has answers, the others have none
    assert [one["metrics"] is None for one in system["runs"]] == [False, False, True, True]


@pytest.mark.parametrize(("mistakes", "failed"), [(40, True), (39, False), (45, True)])
def test_a_run_fails_up_to_half_a_point_above_the_commonest_class(run, mistakes, failed):
    assert bool(run(0, _wrong(mistakes)).failure) is failed


def test_a_system_of_failures_has_no_figures(run):
    system = results.system([results.read(0, {"run": "", "status": "failed", "error": "e"}, 2)], 2)
    assert system["metrics"] is None
    assert system["cost"] is None
    assert results.difference([], [], 2, "accuracy", 0.005) is None


def test_a_difference_is_paired_by_seed_and_by_example(run):
    first = [run(seed, _wrong(8)) for seed in (0, 1, 2, 3)]
    second = [run(seed, _wrong(10)) for seed in (3, 1, 0)]  # another order, and one seed less
    found = results.difference(first, second, 2, "accuracy", 0.005)
    assert found["seeds"] == [0, 1, 3]
    assert found["by_seed"] == pytest.approx([0.02] * 3)
    assert found["value"] == pytest.approx(0.02)
    # Two examples of a hundred differ, the same ones with every seed; unpaired, the interval would be eight times as wide.
    assert found["high"] - found["low"] < 0.08
    assert found["test"]["name"] == "sign flips of seeds"
    assert found["test"]["p"] == found["test"]["smallest_p"] == 0.25


def test_systems_that_answer_alike_differ_by_exactly_nothing(run):
    runs = [run(seed, _wrong(8, seed)) for seed in range(3)]
    found = results.difference(runs, runs, 2, "mcc", 0.005)
    assert (found["value"], found["low"], found["high"], found["test"]["p"]) == (0, 0, 0, 1)


def test_one_seed_is_tested_on_examples_and_says_so(run):
    found = results.difference([run(0, _wrong(2))], [run(0, _wrong(20, 30))], 2, "accuracy", 0.005)
    assert "McNemar" in found["test"]["name"]
    assert found["test"]["n"] == 100
    assert found["n_seeds"] == 1


def test_the_same_runs_give_the_same_figures_whatever_else_is_random(run):
    runs, others = [run(seed, _wrong(9 + seed)) for seed in range(3)], [run(seed, _wrong(5, 50)) for seed in range(3)]
    first = results.difference(runs, others, 2, "f1_macro", 0.005)
    np.random.seed(99)
    assert results.difference(runs, others, 2, "f1_macro", 0.005) == first


def test_holm_corrects_over_tasks():
    found = [{"test": {"p": p}} for p in (0.01, 0.04, 0.03)]
    results.correct_over_tasks(found)
    assert [one["test"]["p_holm"] for one in found] == pytest.approx([0.03, 0.06, 0.06])
    results.correct_over_tasks([])


def test_cost_is_the_median_and_memory_the_least(run):
    runs = [
        run(seed, _wrong(1), train_seconds=seconds, peak_bytes=peak) for seed, seconds, peak in ((0, 1, 9), (1, 5, 5), (2, 2, 7))
    ]
    cost = results.system(runs, 2)["cost"]
    assert (cost["train_seconds"], cost["peak_bytes"], cost["adapter_bytes"]) == (2, 5, None)
    assert (cost["parameters"], cost["head_parameters"]) == (10, 4)


def test_runs_on_other_examples_or_another_base_are_refused(run):
    results.check_alike("t", {"a": [run(0, _wrong(1))], "b": [run(0, _wrong(3))]})
    with pytest.raises(InputError, match="different examples"):
        results.check_alike("t", {"a": [run(0, _wrong(1))], "b": [run(0, 1 - LABELS, labels=1 - LABELS)]})
    with pytest.raises(InputError, match="different bases"):
        results.check_alike("t", {"a": [run(0, _wrong(1)), run(1, _wrong(1), base="c" * 64)]})


def test_lost_predictions_are_an_input_error(run, tmp_path):
    record = run(0, _wrong(1)).record
    with pytest.raises(InputError, match="3 classes"):
        results.read(0, record, 3)
    (tmp_path / "run-0" / "predictions.parquet").unlink()
    with pytest.raises(InputError, match="missing"):
        results.read(0, record, 2)


def test_published_figures_stand_only_beside_the_same_test_examples():
    rows = published.beside("r8", "accuracy", 2189, "minilm-l6")
    assert {"bert-base-uncased", "roberta-base"} <= {row["base"] for row in rows}
    bert = next(row for row in rows if row["base"] == "bert-base-uncased")
    assert bert["value"] == pytest.approx(0.978)
    assert "ours minilm-l6" in bert["differs"][0]
    assert published.beside("r8", "accuracy", 2188, "minilm-l6") == []
    assert published.beside("r8", "f1_macro", 2189, "minilm-l6") == []
    assert published.beside("mine", "accuracy", 2189, "minilm-l6") == []


def test_every_published_row_is_whole():
    for row in published._rows():
        assert {"source", "read", "selection", "metric", "base", "method", "figures"} == set(row)
        assert row["read"] in ("source", "copy")
        assert row["metric"] in METRICS
        assert all(len(figure) in (2, 3) and 0 < figure[1] < 100 for figure in row["figures"].values())


def test_a_run_in_a_folder_whose_name_reads_like_a_url_has_its_answers(run, tmp_path, monkeypatch):
    made = Path(run(0, _wrong(10)).record["run"])
    monkeypatch.chdir(tmp_path)
    Path("exp:1").mkdir()
    made.rename("exp:1/run")
    labels, _ = answers.of_split(Path("exp:1/run"), "test", 2)
    assert labels.tolist() == list(LABELS)
