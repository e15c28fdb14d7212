"""Reliability and its error: by hand, against a loop over examples, and where they must be zero."""

import numpy as np
import pytest

from lorabert.evidence.calibration import expected_calibration_error, reliability


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
