"""Reliability, temperature and abstention: by hand, against a loop or scikit-learn, and where they must be nothing."""

import numpy as np
import pytest

from lorabert.evidence.calibration import coverage, expected_calibration_error, reliability, suggested, temperature
from lorabert.evidence.metrics import softmax


def answers(n, heat, seed=0, classes=3):
    """Logits of a classifier that is `heat` times as sure as it is right, and labels drawn from what it should have said."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 1.5, (n, classes))
    labels = (softmax(honest).cumsum(1) > generator.random((n, 1))).argmax(1)
    return heat * honest, labels


def test_bins_by_hand():
    shares = np.array([[0.95, 0.05], [0.91, 0.09], [0.4, 0.6], [0.35, 0.65]])
    bins = reliability(shares, np.array([0, 1, 1, 0]))
    assert [(part.low, part.high, part.accuracy.n, part.accuracy.value) for part in bins] == [
        (0.6, 0.7, 2, 0.5),
        (0.9, 1.0, 2, 0.5),
    ]
    assert [part.confidence for part in bins] == pytest.approx([0.625, 0.93])
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.125 + 2 * 0.43) / 4)
    assert all(part.accuracy.low < part.accuracy.value < part.accuracy.high for part in bins)


def test_every_example_is_in_one_bin_and_the_error_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(5), size=500)
    labels = rng.integers(0, 5, 500)
    bins = reliability(shares, labels, num_bins=15)
    assert sum(part.accuracy.n for part in bins) == 500
    gaps = np.zeros(15)
    for row, label in zip(shares, labels, strict=True):
        gaps[min(int(row.max() * 15), 14)] += row.max() - (row.argmax() == label)
    assert expected_calibration_error(bins) == pytest.approx(np.abs(gaps).sum() / 500)


def test_surely_right_is_calibrated_and_surely_wrong_is_not():
    shares = np.eye(3)
    assert expected_calibration_error(reliability(shares, np.arange(3))) == 0
    assert expected_calibration_error(reliability(shares, np.array([1, 2, 0]))) == 1


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="shape"):
        reliability(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="no bins"):
        expected_calibration_error([])


@pytest.mark.parametrize("heat", [0.4, 1.0, 5.0])
def test_the_temperature_is_what_the_logits_were_heated_by(heat):
    logits, labels = answers(20_000, heat)
    found = temperature(logits, labels)
    assert found == pytest.approx(heat, rel=0.05)
    before, after = (expected_calibration_error(reliability(softmax(shown), labels)) for shown in (logits, logits / found))
    assert after < 0.015
    assert heat == 1 or after < before / 3


def test_the_temperature_is_that_of_scikit_learn():
    """Whose CalibratedClassifierCV(method="temperature") has no prior, which thousands of texts do not feel."""
    sklearn = pytest.importorskip("sklearn.calibration")
    if not hasattr(sklearn, "_TemperatureScaling"):
        pytest.skip("scikit-learn has it from 1.8 on")
    logits, labels = answers(5_000, 3.0)
    oracle = sklearn._TemperatureScaling().fit(logits, labels)
    assert 1 / oracle.beta_ == pytest.approx(temperature(logits, labels), rel=0.01)


def test_a_few_right_answers_prove_little_and_wrong_ones_much():
    sure = 8.0 * np.eye(2)[[0, 1] * 5]
    right = np.array([0, 1] * 5)
    assert 0.5 < temperature(sure, right) < 1.1
    assert temperature(sure, np.where(np.arange(10) < 3, 1 - right, right)) > 3
    assert temperature(sure[:0], right[:0]) == 1
    with pytest.raises(ValueError, match="shape"):
        temperature(sure, right[:3])


def test_no_label_changes_and_neither_end_is_passed():
    logits, labels = answers(50, 1e6)
    found = temperature(logits, labels)
    assert 0.05 <= found <= 50.001
    assert ((logits / found).argmax(1) == logits.argmax(1)).all()


def test_coverage_by_hand():
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])
    everything, some, none = coverage(shares, np.array([0, 1, 1, 1]), [0.0, 0.8, 0.99])
    assert (everything.coverage, everything.accuracy.value, everything.accuracy.n) == (1.0, 0.75, 4)
    assert (some.coverage, some.accuracy.value) == (0.5, 1.0)
    assert (none.coverage, none.accuracy) == (0.0, None)


def test_a_suggestion_keeps_what_was_wanted_and_answers_as_many_as_it_can():
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.7, 0.3], [0.6, 0.4]])
    labels = np.array([0, 0, 1, 0, 0])
    assert suggested(shares, labels, 1.0) == pytest.approx(0.8)
    assert suggested(shares, labels, 0.75) == pytest.approx(0.6)
    assert suggested(shares, labels, 0.8) == pytest.approx(0.6)
    assert suggested(shares, 1 - labels, 1.0) is None
    logits, labels = answers(5_000, 1.0)
    least = suggested(softmax(logits), labels, 0.9)
    (cut,) = coverage(softmax(logits), labels, [least])
    assert 0.9 <= cut.accuracy.value < 0.905
    assert cut.coverage < 1


def test_what_is_suggested_can_be_typed_in_and_parts_the_texts_alike():
    """Rounded to what a page shows, 0.99963 is 1, below which nothing is answered."""
    sure = np.array([0.99987, 0.99963, 0.99941, 0.7])
    shares, labels = np.stack([sure, 1 - sure], 1), np.array([0, 0, 1, 1])
    assert suggested(shares, labels, 1.0) == 0.9996
    assert suggested(shares[:2], labels[:2], 1.0) == 0.9
    assert suggested(np.array([[1.0, 0.0]]), [0], 1.0) == 1.0
