"""The choice of a learning rate: by validation, under its budget, and blind to test."""

import pytest

from lorabert.studies.comparison import tuning


def _record(validation, test):
    return {
        "status": "done",
        "fit": {"train_seconds": 2.0},
        "validation_metrics": {"accuracy": {"value": validation}, "mcc": {"value": 1 - validation}},
        "metrics": {"accuracy": {"value": test}, "mcc": {"value": test}},
    }


def _choice(validation, test, metric="accuracy"):
    records = zip((1e-4, 1e-3, 1e-2), map(_record, validation, test), strict=True)
    return tuning.choose([tuning.trial(rate, record, metric) for rate, record in records])


def test_the_best_on_validation_is_chosen_whatever_test_says():
    validation = (0.6, 0.9, 0.8)
    assert {_choice(validation, test) for test in [(0.1, 0.2, 0.3), (0.9, 0.1, 0.9), (0.5, 0.5, 0.5)]} == {1e-3}


def test_validation_and_the_metric_decide():
    assert _choice((0.9, 0.6, 0.8), (0.1, 0.2, 0.3)) == 1e-4
    assert _choice((0.9, 0.6, 0.8), (0.1, 0.2, 0.3), metric="mcc") == 1e-3


def test_a_trial_needs_no_test_metrics_at_all():
    record = _record(0.7, 0.1)
    del record["metrics"]
    assert tuning.trial(1e-3, record, "accuracy") == tuning.Trial(1e-3, 0.7, None, 2.0)


def test_of_equals_the_lowest_rate_is_chosen_whatever_the_order():
    trials = [tuning.Trial(rate, 0.5, None, 1.0) for rate in (1e-2, 1e-4, 1e-3)]
    assert tuning.choose(trials) == tuning.choose(trials[::-1]) == 1e-4


def test_failed_and_diverged_trials_are_never_chosen():
    failed = tuning.trial(1e-4, {"status": "failed", "error": "no memory"}, "accuracy")
    diverged = tuning.trial(1e-2, _record(float("nan"), 0.9), "accuracy")
    assert failed.error == "no memory"
    assert tuning.choose([failed, diverged, tuning.Trial(1e-3, 0.01, None, 1.0)]) == 1e-3
    assert tuning.choose([failed, diverged]) is None
    assert tuning.summary([failed, diverged], "accuracy", 1042)["chosen"] is None


@pytest.mark.parametrize(("scores", "edge"), [((0.9, 0.5, 0.4), "lowest"), ((0.4, 0.9, 0.5), None), ((0.4, 0.5, 0.9), "highest")])
def test_a_choice_at_the_edge_is_said(scores, edge):
    trials = [tuning.Trial(rate, score, None, 1.0) for rate, score in zip((1e-4, 1e-3, 1e-2), scores, strict=True)]
    told = tuning.summary(trials, "accuracy", 1042)
    assert told["edge"] == edge
    assert told["budget_runs"] == 3
    assert told["split"] == "validation"
    assert [one["validation"] for one in told["trials"]] == list(scores)


def test_one_rate_has_no_edges():
    assert tuning.summary([tuning.Trial(1e-3, 0.5, None, 1.0)], "accuracy", 1042)["edge"] is None


@pytest.mark.parametrize(
    ("scores", "rate"), [((0.9, 0.5, 0.4), 4e-5), ((0.4, 0.9, 0.5), None), ((0.4, 0.5, 0.9), 0.025), ((None, None, None), None)]
)
def test_the_rate_to_try_next_lies_beyond_the_end_that_is_best(scores, rate):
    trials = [tuning.Trial(rate, score, None, 1.0) for rate, score in zip((1e-4, 1e-3, 1e-2), scores, strict=True)]
    assert tuning.beyond(trials) == tuning.beyond(trials[::-1]) == rate


def test_no_rate_of_one_or_more_is_tried_and_one_rate_has_no_end():
    assert tuning.beyond([tuning.Trial(rate, rate, None, 1.0) for rate in (0.1, 0.5)]) is None
    assert tuning.beyond([tuning.Trial(0.1, 0.5, None, 1.0)]) is None
