"""What is said of a run claims no more than its numbers show."""

import pytest

from lorabert.evidence.baselines import TFIDF
from lorabert.evidence.calibration import coverage
from lorabert.studies.reporting.verdicts import abstaining, learning, meaning, more_epochs, standing


def losses(*values, steps=7):
    return [{"event": "validation", "step": steps * n, "epoch": float(n), "loss": value} for n, value in enumerate(values, 1)]


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, 0.5), (0.4, 0.3, 0.31), (0.4, 0.3, 0.3)])
def test_no_more_epochs_where_the_loss_stopped_falling(values):
    assert more_epochs(losses(*values)) == ""


def test_more_epochs_of_a_few_steps_until_there_are_two_hundred():
    said = more_epochs(losses(0.678, 0.668, 0.665))
    assert "still falling when training ended, after 21 steps" in said
    assert "--train.num_train_epochs 29 " in said  # 29 epochs of 7 steps
    assert said in learning(losses(0.678, 0.668, 0.665), 10)


def test_twice_the_epochs_of_many_steps():
    said = more_epochs(losses(0.57, 0.37, 0.33, steps=368))
    assert "steps" not in said
    assert "--train.num_train_epochs 6 " in said


def test_where_a_validation_file_stands_beside_folds_the_standing_is_on_that_file():
    """The baselines and the adapter answered the file; of the folds it says what they say."""
    scores = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 50}
    difference = {"value": 0.1, "low": 0.05, "high": 0.15, "n": 50}
    record = {
        "method": "lora", "data": {"examples": {"train": 90, "validation": 50}}, "validation_metrics": {"accuracy": scores},
        "folds": {"k": 3, "metrics": {"accuracy": {**scores, "n": 90}}},
        "standing": {"baseline": "majority class", "accuracy": 0.8, "baseline_accuracy": 0.7, "difference": difference},
    }  # fmt: skip
    folds, best = standing(record)
    assert "each of 90 texts" in folds
    assert "Best on 50 validation texts" in best
    del record["data"]["examples"]["validation"]
    assert "Best on 50 out-of-fold texts" in standing(record)[1]


@pytest.mark.parametrize(("low", "high", "said"), [
    (0.01, 0.09, "paired on the same test texts: it is better"), (-0.09, -0.01, "not worth its cost"),
    (-0.01, 0.09, "do not settle which"), (None, None, "was not recorded"),
])  # fmt: skip
def test_a_baseline_is_beaten_by_what_both_answered_and_not_by_whether_intervals_overlap(low, high, said):
    record = {
        "metrics": {"accuracy": {"value": 0.85, "low": 0.7, "high": 0.95, "n": 50}}, "confusion": [[20, 5], [5, 20]],
        "baselines": {TFIDF: {"accuracy": {"value": 0.8, "low": 0.65, "high": 0.9, "n": 50}}},
    }  # fmt: skip
    if low is not None:
        record["test_standing"] = {"difference": {"value": 0.05, "low": low, "high": high, "n": 50}}
    sentence = meaning(record)[0]
    assert said in sentence
    assert "+5.0 points" in sentence
    assert "TF-IDF" in sentence


def test_the_suggested_probability_is_said_to_its_last_digit():
    cuts = coverage([[0.9997, 0.0003], [0.9, 0.1]], [0, 1], [0.9996])
    assert "P = 0.9996 was" in abstaining(cuts, 0.9996, 0.95)[-1]
