"""How sure an adapter is, what it leaves unanswered, and what folds tell of it: as its users and plain tools see it."""

import json
import shutil

import numpy as np
import peft
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import tiny
from lorabert.evidence import calibration
from lorabert.evidence.metrics import softmax
from lorabert.studies.reporting import evidence

TEXTS = ["a wonderful film", "the script is a mess", "ok"]


@pytest.fixture(scope="module")
def own(shell):
    """A tiny base and a hundred texts, a fifth of whose labels are wrong, so that a classifier can be too sure of them."""
    tiny.build_base(shell.folder / "base")
    texts, labels = tiny.reviews(100, classes=2)
    wrong = np.random.default_rng(0).random(100) < 0.2
    tiny.write_csv(
        shell.folder / "own.csv", texts, [("bad", "good")[label ^ flip] for label, flip in zip(labels, wrong, strict=True)]
    )
    return ["--data.train", "own.csv", "--model.name", "base", "--train.learning_rate", "5e-3"]


@pytest.fixture(scope="module")
def run(here, own):
    done = here("train", *own, "--folds", "4", "--out", "folds", "--json")
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def plain(here, own):
    done = here("train", *own, "--out", "plain", "--json")
    assert done.code == 0, done.err
    return done


def of_split(folder, split):
    rows = pq.read_table(folder / "predictions.parquet").to_pandas()
    rows = rows[rows["split"] == split].sort_values("index")
    return rows["label"].to_numpy(), np.stack(rows["logits"].to_numpy())


def weights(folder):
    return (folder / "adapter/adapter_model.safetensors").read_bytes()


def test_every_labelled_text_but_the_test_split_is_answered_out_of_its_fold(shell, run):
    record, folder = run.json, shell.folder / "folds"
    assert record["data"]["examples"] == {"train": 90, "validation": 0, "test": 10}
    labels, logits = of_split(folder, "fold")
    assert len(labels) == 90
    assert record["folds"]["k"] == 4
    accuracy = record["folds"]["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx((logits.argmax(1) == labels).mean())
    assert accuracy["n"] == 90
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert set(record["folds"]["metrics"]) == {"accuracy", "f1_macro", "mcc"}
    assert "Out of fold: accuracy" in run.err
    assert record["config"]["train"]["folds"] == 4


def test_the_temperature_is_the_folds_and_stands_in_the_adapter(shell, run):
    folder, found = shell.folder / "folds", run.json["calibration"]
    labels, logits = of_split(folder, "fold")
    assert found["on"] == "out-of-fold"
    assert found["n"] == 90
    assert found["temperature"] == pytest.approx(calibration.temperature(logits, labels), rel=1e-3)
    assert found["temperature"] > 1.2  # a fifth of the labels is noise
    manifest = json.loads((folder / "adapter/lorabert.json").read_text())
    assert manifest["temperature"] == 1.0
    assert manifest["calibration"] == found
    assert "Calibration: overconfident on 90 out-of-fold texts" in run.err


def test_without_folds_it_is_the_validation_split_s(shell, plain):
    labels, logits = of_split(shell.folder / "plain", "validation")
    found = plain.json["calibration"]
    assert (found["on"], found["n"]) == ("validation", len(labels))
    # What was shipped is divided already: a temperature fitted on it, with the prior where it was, is one.
    again = calibration.temperature(logits * found["temperature"], labels)
    assert again == pytest.approx(found["temperature"], rel=1e-3)


def test_predict_plain_peft_and_every_export_are_as_sure(shell, here, run):
    folder = shell.folder
    found = here("predict", "folds", *TEXTS, "--json").json
    shares = np.array([list(one["scores"].values()) for one in found])
    base = AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=2, ignore_mismatched_sizes=True)
    model = peft.PeftModel.from_pretrained(base, str(folder / "folds/adapter")).eval()
    encode = AutoTokenizer.from_pretrained(folder / "folds/adapter")
    with torch.inference_mode():
        logits = model(**encode(TEXTS, padding=True, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(softmax(logits), shares, atol=1e-5)
    assert here("export", "folds", "--format", "merged", "--out", "merged").code == 0
    exported = here("predict", "merged", *TEXTS, "--json").json
    np.testing.assert_allclose([list(one["scores"].values()) for one in exported], shares, atol=1e-5)
    assert json.loads((folder / "merged/lorabert.json").read_text())["calibration"] == run.json["calibration"]


def test_labels_are_those_of_a_training_without_calibration(shell, here, own, plain):
    hot = here("train", *own, "--train.calibration", "none", "--out", "hot", "--json").json
    assert "calibration" not in hot
    assert hot["metrics"] == plain.json["metrics"]
    (labels, cool), (_, before) = (of_split(shell.folder / name, "test") for name in ("plain", "hot"))
    np.testing.assert_allclose(cool * plain.json["calibration"]["temperature"], before, rtol=1e-3, atol=1e-3)
    assert len(labels)


def test_the_course_is_not_calibrated(here, own):
    course = here("train", *own, "--train.recipe", "course", "--model.max_length", "64", "--out", "course", "--json").json
    assert "calibration" not in course
    assert course["config"]["train"]["calibration"] == "none"


def test_unsure_texts_get_no_label(here, run):
    everything = here("predict", "folds", *TEXTS, "--json").json
    least = sorted(one["score"] for one in everything)[1]
    some = here("predict", "folds", *TEXTS, "--abstain-below", str(least), "--json")
    assert [one["label"] for one in some.json].count(None) == 1
    for before, after in zip(everything, some.json, strict=True):
        assert after["scores"] == before["scores"]
        assert after["label"] == (before["label"] if before["score"] >= least else None)
        assert after.get("abstained", False) is (after["label"] is None)
    assert "No label for 1 of 3 texts" in some.err


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan", "often"])
def test_what_is_no_probability_is_refused(here, run, value):
    done = here("predict", "folds", "a film", f"--abstain-below={value}")
    assert done.code == 2
    assert "abstain" in done.err
    assert value in done.err


def test_a_run_that_was_stopped_behind_its_folds_does_not_train_them_again(shell, here, own, run, monkeypatch):
    from lorabert.studies.experiment import running

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(running, "start_head", stop)
        assert here("train", *own, "--folds", "4", "--out", "stopped").code == 130
    monkeypatch.setattr(running.folding, "out_of_fold", stop)
    again = here("train", *own, "--folds", "4", "--out", "stopped", "--resume", "--json")
    assert again.code == 0, again.err
    assert again.json["folds"] == run.json["folds"]
    assert weights(shell.folder / "folds") == weights(shell.folder / "stopped")


def test_out_of_fold_answers_of_other_texts_are_made_again(shell, here, own, run, monkeypatch):
    from lorabert.studies.experiment import running

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(running, "start_head", stop)
        assert here("train", *own, "--folds", "4", "--out", "foreign").code == 130
    other = here("train", *own, "--folds", "4", "--data.split_seed", "7", "--out", "other", "--json")
    assert other.code == 0, other.err
    shutil.copy(shell.folder / "other/predictions.parquet", shell.folder / "foreign/predictions.parquet")
    again = here("train", *own, "--folds", "4", "--out", "foreign", "--resume", "--json")
    assert again.code == 0, again.err
    assert again.json["calibration"] == run.json["calibration"]
    assert weights(shell.folder / "folds") == weights(shell.folder / "foreign")


def test_the_report_chooses_by_what_the_temperature_was_fitted_on(shell, here, own):
    texts, labels = tiny.reviews(40, classes=2, seed=9)
    tiny.write_csv(shell.folder / "validation.csv", texts, [("bad", "good")[label] for label in labels])
    options = ["--data.validation", "validation.csv", "--folds", "4", "--out", "both", "--json"]
    done = here("train", *own, *options)
    assert done.code == 0, done.err
    assert done.json["data"]["examples"]["validation"] == 40
    assert done.json["calibration"]["on"] == "out-of-fold"
    labels, logits = of_split(shell.folder / "both", "fold")
    found = evidence.read(shell.folder / "both").held_out
    np.testing.assert_array_equal(found[0], labels)
    np.testing.assert_allclose(found[1], logits / done.json["calibration"]["temperature"], rtol=1e-5)


def test_the_last_line_says_which_is_best_on_texts_outside_of_training(run, plain):
    for done, on in ((run, "90 out-of-fold texts"), (plain, "9 validation texts")):
        found = done.json["standing"]
        best = max(done.json["validation_baselines"].values(), key=lambda scores: scores["accuracy"]["value"])
        assert found["baseline_accuracy"] == pytest.approx(best["accuracy"]["value"])
        assert found["accuracy"] == pytest.approx(done.json["validation_metrics"]["accuracy"]["value"])
        assert found["difference"]["value"] == pytest.approx(found["accuracy"] - found["baseline_accuracy"])
        assert on in done.err
    assert "on 9 validation texts says little" in plain.err
    assert "--folds 5" in plain.err


def test_the_test_split_s_standing_is_paired_over_its_texts(shell, run):
    found = run.json["test_standing"]
    accuracies = {name: scores["accuracy"]["value"] for name, scores in run.json["baselines"].items()}
    assert found["baseline_accuracy"] == pytest.approx(max(accuracies.values()))
    assert accuracies[found["baseline"]] == pytest.approx(found["baseline_accuracy"])
    assert found["difference"]["value"] == pytest.approx(run.json["metrics"]["accuracy"]["value"] - found["baseline_accuracy"])
    assert found["difference"]["n"] == 10


def test_the_report_has_the_curve_and_evaluate_still_works(shell, here, run, plain):
    for name in ("folds", "plain"):
        assert here("report", name, "-o", f"{name}.html").code == 0
        page = (shell.folder / f"{name}.html").read_text()
        assert "Leaving texts unanswered" in page
        assert "temperature of" in page
        done = here("evaluate", name, "--json")
        assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--folds", "1000"], "train.folds 1000"),
        (["--folds", "95"], "too few texts for 95 folds"),
        (["--folds", "3", "--train.early_stopping_patience", "2"], "leaves no validation split to stop by"),
        (["--data.validation_share", "0"], "data.validation_share 0 without train.folds"),
        (["--folds", "some"], "folds"),
    ],
)
def test_folds_that_cannot_be(here, own, shell, options, says):
    done = here("train", *own, *options, "--out", "refused")
    assert done.code == 2
    assert says in done.err
    assert not (shell.folder / "refused").exists()


def test_a_split_that_folds_left_empty_cannot_be_evaluated_on(here, run):
    done = here("evaluate", "folds", "--split", "validation")
    assert done.code == 2
    assert "no validation split to be evaluated on" in done.err
    assert "--split test" in done.err
