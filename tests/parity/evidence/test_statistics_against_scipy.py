"""Intervals against scipy: the same examples, resampled one by one there and cell by cell here."""

import numpy as np
import pytest
from scipy import stats

from lorabert.evidence.metrics import METRICS, confusion_matrix
from lorabert.evidence.statistics import bootstrap_interval, intervals, paired_test, wilson_interval

RESAMPLES = 20_000
TOLERANCE = 0.03  # of the interval's width: 2.5 standard errors of the difference of two bootstraps of that size


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (3, 10), (50, 50), (1234, 2189)])
def test_wilson(successes, n, level):
    expected = stats.binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    estimate = wilson_interval(successes, n, level)
    np.testing.assert_allclose([estimate.low, estimate.high], [expected.low, expected.high], rtol=0, atol=1e-14)


def skewed_examples(n=90, seed=0):
    """Unequal classes and few errors: BCa and percentile intervals differ here."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, size=n, p=[0.75, 0.2, 0.05])
    return labels, np.where(generator.random(n) < 0.85, labels, generator.choice(3, size=n))


def by_scipy(labels, predictions, metric, method):
    """scipy.stats.bootstrap over examples, each a (label, prediction) cell; batched in resamples of shape (..., n)."""
    cells = labels * 3 + predictions

    def statistic(resampled, axis):
        assert axis == -1
        return metric((resampled[..., None] == np.arange(9)).sum(-2).reshape(*resampled.shape[:-1], 3, 3))

    result = stats.bootstrap((cells,), statistic, n_resamples=RESAMPLES, batch=2000, method=method, rng=np.random.default_rng(1))
    return np.array([*result.confidence_interval])


def ours(labels, predictions, metric):
    confusion = confusion_matrix(labels, predictions, 3)
    estimate = bootstrap_interval(confusion, metric, generator=np.random.default_rng(2), resamples=RESAMPLES)
    return np.array([estimate.low, estimate.high])


@pytest.mark.parametrize("method", ["BCa", "percentile"])
@pytest.mark.parametrize("name", METRICS)
def test_bootstrap(name, method, monkeypatch):
    labels, predictions = skewed_examples()
    if method == "percentile":
        monkeypatch.setattr(intervals, "bca_tails", lambda tails, *_: tails)
    low, high = expected = by_scipy(labels, predictions, METRICS[name], method)
    np.testing.assert_allclose(ours(labels, predictions, METRICS[name]), expected, atol=TOLERANCE * (high - low))


def test_the_methods_and_the_metrics_differ_by_more_than_the_tolerance():
    labels, predictions = skewed_examples()
    bca = ours(labels, predictions, METRICS["f1_macro"])
    percentile = by_scipy(labels, predictions, METRICS["f1_macro"], "percentile")
    other = ours(labels, predictions, METRICS["mcc"])
    tolerance = TOLERANCE * (bca[1] - bca[0])
    assert abs(bca - percentile).max() > 2 * tolerance
    assert abs(bca - other).max() > 2 * tolerance


def test_jackknife_by_cell_equals_jackknife_by_example():
    labels, predictions = skewed_examples(n=25)
    confusion, metric = confusion_matrix(labels, predictions, 3), METRICS["f1_macro"]
    cells = np.flatnonzero(confusion)
    by_cell = np.repeat(intervals._score_without_each(confusion, cells, metric), confusion.ravel()[cells])
    keep = ~np.eye(25, dtype=bool)
    by_example = [float(metric(confusion_matrix(labels[row], predictions[row], 3))) for row in keep]
    np.testing.assert_allclose(np.sort(by_cell), np.sort(by_example), atol=1e-12)


@pytest.mark.parametrize("differences", [[0.3, 0.1, -0.2, 0.5], [1, 1, 0, -1, 2, 2], [0.01] * 10, [0.0, 0.0, 0.0]])
def test_paired_test(differences):
    expected = stats.permutation_test((np.array(differences),), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired_test(differences).p == pytest.approx(expected.pvalue, abs=1e-12)
    assert paired_test(differences).statistic == pytest.approx(expected.statistic, abs=1e-12)
