"""Means and paired differences over seeds: by hand, invariants, and a bootstrap that touches every example."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lorabert.evidence.metrics import METRICS, confusion_matrix
from lorabert.evidence.statistics import bootstrap, bootstrap_interval, mean_over_seeds, paired_difference, seeds, wilson_interval


def answers(num_seeds, n=200, num_labels=3, share=0.8, seed=0):
    """Labels, and two systems of which each seed answers `share` of the examples rightly."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, n)
    systems = [
        np.where(generator.random((num_seeds, n)) < share, labels, generator.integers(0, num_labels, (num_seeds, n)))
        for _ in range(2)
    ]
    return labels, *systems


def difference(labels, first, second, num_labels=3, seed=0, **options):
    return paired_difference(labels, first, second, num_labels, generator=np.random.default_rng(seed), **options)


def mean(labels, predicted, num_labels=3, seed=0, **options):
    return mean_over_seeds(labels, predicted, num_labels, generator=np.random.default_rng(seed), **options)


def of_each(labels, runs, metric, num_labels=3):
    return np.array([float(METRICS[metric](confusion_matrix(labels, run, num_labels))) for run in runs])


@pytest.mark.parametrize("metric", METRICS)
def test_values_are_means_over_seeds(metric):
    labels, first, second = answers(4)
    ones, others = of_each(labels, first, metric), of_each(labels, second, metric)
    assert mean(labels, first, metric=metric).value == pytest.approx(ones.mean(), abs=1e-15)
    assert difference(labels, first, second, metric=metric).value == pytest.approx((ones - others).mean(), abs=1e-15)
    assert difference(labels, first, second, metric=metric).n == 200


def test_accuracy_of_one_seed_has_wilsons_interval():
    labels, first, _ = answers(1)
    ours, wilson = mean(labels, first), wilson_interval(int((labels == first[0]).sum()), 200)
    assert [ours.value, ours.low, ours.high] == pytest.approx([wilson.value, wilson.low, wilson.high], abs=1e-12)


@pytest.mark.parametrize("metric", ["f1_macro", "mcc"])
def test_one_seed_has_the_interval_of_the_bootstrap(metric):
    labels, first, _ = answers(1)
    options = {"generator": np.random.default_rng(1), "resamples": 20_000}
    single = bootstrap_interval(confusion_matrix(labels, first[0], 3), METRICS[metric], **options)
    ours = mean(labels, first, metric=metric, resamples=20_000)
    assert (ours.value, ours.n) == (single.value, single.n)
    np.testing.assert_allclose([ours.low, ours.high], [single.low, single.high], atol=0.03 * (single.high - single.low))


def test_seeds_that_agree_on_their_mistakes_have_the_interval_of_one():
    labels, first, second = answers(1)
    three = difference(labels, first.repeat(3, 0), second.repeat(3, 0))
    assert three.value == pytest.approx(difference(labels, first, second).value, abs=1e-15)
    assert three.low == pytest.approx(difference(labels, first, second).low, abs=1e-12)
    wilson = wilson_interval(int((labels == first[0]).sum()), 200)
    assert mean(labels, first.repeat(3, 0)).high == pytest.approx(wilson.high, abs=1e-12)


def test_the_seeds_share_is_students_where_the_examples_have_none():
    """Every example is answered rightly equally often, so only the seeds vary: 4, 2 and 0 wrong, on examples of their own."""
    labels, predicted = np.zeros(6, dtype=int), np.zeros((3, 6), dtype=int)
    predicted[0, :4] = predicted[1, 4:] = 1
    # Covariances between seeds are -8/36 and 0, so new examples add nothing that the spread of the seeds has not.
    values = np.array([2 / 6, 4 / 6, 1.0])
    bounds = stats.t.interval(0.8, 2, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(3))
    estimate = mean(labels, predicted, num_labels=2, level=0.8)
    assert [estimate.low, estimate.high] == pytest.approx([bounds[0], min(bounds[1], 1.0)], abs=1e-12)


def test_both_shares_add_up_in_squares():
    labels, first, second = answers(5, n=400)
    values = of_each(labels, first, "accuracy") - of_each(labels, second, "accuracy")
    right = (first == labels).astype(float) - (second == labels)
    covariances = np.cov(right, ddof=0) / 400
    shared = (covariances.sum() - covariances.trace()) / 20
    reach = stats.t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    estimate = difference(labels, first, second, resamples=20_000)
    half = np.hypot(reach, 1.96 * np.sqrt(max(shared, 0)))
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.02)
    # The three that would be wrong: seeds only, all examples' variation again, and examples only.
    assert half != pytest.approx(np.hypot(reach, 1.96 * np.sqrt(covariances.mean())), rel=0.02)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_seeds", [1, 2, 5])
def test_systems_that_answer_alike_differ_by_exactly_nothing(metric, num_seeds):
    labels, first, _ = answers(num_seeds)
    estimate = difference(labels, first, first.copy(), metric=metric)
    assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_seeds", [1, 3])
def test_swapping_the_systems_swaps_the_signs(metric, num_seeds):
    labels, first, second = answers(num_seeds)
    one, other = (difference(labels, *pair, metric=metric) for pair in [(first, second), (second, first)])
    assert [one.value, one.low, one.high] == pytest.approx([-other.value, -other.high, -other.low], abs=1e-12)
    assert one.low != -one.high


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 12), st.sampled_from(list(METRICS)))
def test_orders_do_not_matter_and_intervals_hold_their_value(seed, num_seeds, n, metric):
    labels, first, second = answers(num_seeds, n=n, seed=seed)
    generator = np.random.default_rng(seed)
    plain = difference(labels, first, second, metric=metric, resamples=50)
    assert -2 <= plain.low <= plain.value <= plain.high <= 2
    order = generator.permutation(num_seeds)
    shuffled = difference(labels, first[order], second[order], metric=metric, resamples=50)
    assert [shuffled.low, shuffled.high] == pytest.approx([plain.low, plain.high], abs=1e-9)
    rows = generator.permutation(n)
    reordered = difference(labels[rows], first[:, rows], second[:, rows], metric=metric, resamples=50)
    assert reordered.value == pytest.approx(plain.value, abs=1e-12)
    single = mean(labels, first, metric=metric, resamples=50)
    assert (-1 if metric == "mcc" else 0) <= single.low <= single.value <= single.high <= 1


def test_the_order_of_examples_changes_no_more_than_the_draws():
    labels, first, second = answers(3, n=400)
    rows = np.random.default_rng(1).permutation(400)
    plain = difference(labels, first, second, metric="f1_macro", resamples=20_000)
    shuffled = difference(labels[rows], first[:, rows], second[:, rows], metric="f1_macro", resamples=20_000)
    np.testing.assert_allclose([shuffled.low, shuffled.high], [plain.low, plain.high], atol=0.03 * (plain.high - plain.low))


def test_an_answer_depends_on_its_generator_only():
    labels, first, second = answers(3)
    np.random.seed(1)  # the global state must not matter
    before = difference(labels, first, second)
    np.random.seed(2)
    assert difference(labels, first, second) == before
    assert difference(labels, first, second, seed=1) != before


def test_chunks_do_not_change_the_answer(monkeypatch):
    labels, first, second = answers(2)
    whole = difference(labels, first, second, metric="f1_macro")
    monkeypatch.setattr(seeds, "CHUNK_ENTRIES", 1000)
    assert difference(labels, first, second, metric="f1_macro") == whole
    assert bootstrap.CHUNK_ENTRIES > 1000


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_the_examples_one_by_one(metric):
    """Draws, groups and leaving one out, against confusion matrices of the examples themselves."""
    labels, first, second = answers(2, n=40)
    table = seeds._Answers(labels, (first, second), 3)
    values, jackknife = table.scores(METRICS[metric])
    draws = table.score_draws(METRICS[metric], np.random.default_rng(3), 20)
    runs = np.concatenate([first, second])
    np.testing.assert_allclose(values, of_each(labels, runs, metric), atol=1e-12)
    drawn = np.random.default_rng(3).multinomial(40, table.counts / 40, size=20)
    expanded = [(np.repeat(table.labels, row), np.repeat(table.runs, row, axis=1)) for row in drawn]
    np.testing.assert_allclose(draws, [of_each(*each, metric) for each in expanded], atol=1e-12)
    keep = ~np.eye(40, dtype=bool)
    by_example = [of_each(labels[row], runs[:, row], metric) for row in keep]
    by_group = np.repeat(jackknife, table.counts, axis=0)
    np.testing.assert_allclose(np.sort(by_group, axis=0), np.sort(by_example, axis=0), atol=1e-12)


def test_perfect_seeds_still_have_an_interval_of_accuracy():
    labels = np.arange(300) % 3
    assert mean(labels, np.tile(labels, (5, 1))) == wilson_interval(300, 300)


@pytest.mark.parametrize(
    ("labels", "first", "second", "message"),
    [
        ([0, 1], [[0, 1]], [[0, 1], [0, 1]], "one shape"),
        ([0, 1], [0, 1], [0, 1], "one shape"),
        ([0, 1, 0], [[0, 1]], [[0, 1]], "one shape"),
        ([], np.zeros((2, 0)), np.zeros((2, 0)), "at least 1"),
        ([0, 1], [[0, 3]], [[0, 1]], "must lie in"),
    ],
)
def test_what_does_not_fit_is_refused(labels, first, second, message):
    with pytest.raises(ValueError, match=message):
        difference(np.array(labels), np.array(first), np.array(second))
