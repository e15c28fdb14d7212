"""Intervals: by hand, at the edges, and independent of every other use of randomness."""

import json

import numpy as np
import pytest

from lorabert.evidence.metrics import METRICS, confusion_matrix, f1_macro, mcc
from lorabert.evidence.statistics import Estimate, bootstrap_interval, estimates, intervals, wilson_interval

CONFUSION = np.array([[30, 5, 2], [4, 40, 1], [3, 3, 12]])


def bootstrap(confusion, metric=f1_macro, seed=0, **options):
    return bootstrap_interval(confusion, metric, generator=np.random.default_rng(seed), **options)


def examples(seed=0, n=60, num_labels=3):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, n)
    return labels, np.where(generator.random(n) < 0.7, labels, generator.integers(0, num_labels, n))


def test_estimate_has_the_json_form_of_the_contract():
    assert json.loads(json.dumps(Estimate(0.5, 0.25, 0.75, 8).to_dict())) == {
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
        "n": 8,
    }


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (1, 1), (81, 263)])
def test_wilson_by_hand(successes, n):
    z, p = 1.959963984540054, successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    estimate = wilson_interval(successes, n)
    assert (estimate.value, estimate.n) == (p, n)
    assert [estimate.low, estimate.high] == pytest.approx([centre - half, centre + half], abs=1e-12)


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="n > 0 examples"):
        wilson_interval(0, 0)
    with pytest.raises(ValueError, match="at least one example"):
        bootstrap(np.zeros((2, 2), dtype=np.int64))


def test_bootstrap_depends_on_its_generator_only():
    np.random.seed(1)  # the global state must not matter
    first = bootstrap(CONFUSION)
    np.random.seed(2)
    assert bootstrap(CONFUSION) == first
    assert bootstrap(CONFUSION, seed=1) != first


def test_bootstrap_sees_the_confusion_the_metric_the_level_and_n():
    reference = bootstrap(CONFUSION)
    assert bootstrap(CONFUSION[::-1]) != reference
    assert bootstrap(CONFUSION, metric=mcc) != reference
    narrower, larger = bootstrap(CONFUSION, level=0.5), bootstrap(CONFUSION * 16)
    assert reference.low < narrower.low < reference.value < narrower.high < reference.high
    assert (larger.high - larger.low) == pytest.approx((reference.high - reference.low) / 4, rel=0.15)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("confusion", [np.diag([9, 4, 2]), np.diag([1, 0]), np.array([[0, 1], [0, 0]])])
def test_what_no_draw_changes_has_no_width(metric, confusion):
    estimate = bootstrap(confusion, metric)
    assert estimate.low == estimate.value == estimate.high or (metric is mcc and estimate.value == 1)
    assert estimate.n == confusion.sum()


@pytest.mark.parametrize("seed", range(20))
def test_an_interval_holds_its_own_value(seed):
    generator = np.random.default_rng(seed)
    confusion = generator.poisson(generator.random((4, 4)) * 2) + np.diag([1, 0, 0, 0])
    for metric in METRICS.values():
        estimate = bootstrap(confusion, metric, seed=seed, resamples=200)
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_an_interval_is_widened_to_a_value_that_every_draw_misses():
    cells_hit = bootstrap(np.eye(20, dtype=np.int64), metric=lambda confusion: (confusion > 0).sum((-2, -1)))
    assert 0 < cells_hit.low < cells_hit.value == cells_hit.high == 20


def test_chunks_do_not_change_the_answer(monkeypatch):
    whole = bootstrap(CONFUSION)
    monkeypatch.setattr(intervals, "CHUNK_ENTRIES", 9 * 7)
    assert bootstrap(CONFUSION) == whole


def test_estimates_name_every_metric_and_agree_with_the_parts():
    labels, predictions = examples()
    confusion = confusion_matrix(labels, predictions, 3)
    assert estimates(labels, predictions, 3, seed=5) == {
        "accuracy": wilson_interval(int((labels == predictions).sum()), 60),
        "f1_macro": bootstrap(confusion, f1_macro, seed=5),
        "mcc": bootstrap(confusion, mcc, seed=5),
    }
    assert list(estimates(labels, predictions, 3)) == list(METRICS)


def test_estimates_of_one_example():
    estimate = estimates([1], [1], 2)["accuracy"]
    assert (estimate.value, estimate.high, estimate.n) == (1, 1, 1)
    assert estimate.low == pytest.approx(1 / (1 + 1.959963984540054**2))


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "mcc"])
def test_intervals_cover_the_truth_as_often_as_they_say(metric):
    population = np.array([[0.30, 0.03, 0.02], [0.04, 0.25, 0.01], [0.02, 0.05, 0.28]])
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        confusion = generator.multinomial(300, population.ravel()).reshape(3, 3)
        if metric == "accuracy":
            estimate = wilson_interval(int(confusion.trace()), 300)
        else:
            estimate = bootstrap(confusion, METRICS[metric], seed=seed, resamples=500)
        covered += estimate.low <= METRICS[metric](population) <= estimate.high
    assert 180 <= covered <= 199  # 95% of 200 is 190, plus or minus 3 standard errors
