"""Metrics: values that can be checked by hand, batches, refusals."""

import numpy as np
import pytest

from lorabert.evidence.metrics import METRICS, ClassScore, accuracy, confusion_matrix, f1_macro, mcc, per_class, softmax

BY_HAND = np.array([[3, 1], [2, 4]])  # F1 of the classes: 6/9 and 8/11


def test_confusion_matrix_has_true_classes_in_rows():
    confusion = confusion_matrix([0, 0, 2], [0, 1, 2], num_labels=3)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], "of one shape"),
        ([[0, 1]], [[0, 1]], "of one shape"),
        ([0, 3], [0, 1], r"labels must lie in 0\.\.2, got 0\.\.3"),
        ([0, 1], [-1, 1], r"predictions must lie in 0\.\.2, got -1\.\.1"),
    ],
)
def test_confusion_matrix_refuses_what_it_cannot_count(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels, predictions, num_labels=3)


def test_values_by_hand():
    assert accuracy(BY_HAND) == pytest.approx(7 / 10)
    assert f1_macro(BY_HAND) == pytest.approx((6 / 9 + 8 / 11) / 2)
    assert mcc(BY_HAND) == pytest.approx((3 * 4 - 1 * 2) / np.sqrt(4 * 6 * 5 * 5))


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_perfect_is_one_and_empty_is_zero(metric):
    assert metric(np.diag([5, 3, 1])) == 1
    assert metric(np.zeros((3, 3), dtype=np.int64)) == 0


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_batch_equals_its_matrices_one_by_one(metric):
    batch = np.random.default_rng(0).integers(0, 4, size=(5, 3, 4, 4))
    batch[0, 0] = 0
    values = metric(batch)
    assert values.shape == (5, 3)
    assert len(np.unique(values)) > 10  # the matrices do differ
    for index in np.ndindex(5, 3):
        assert values[index] == metric(batch[index])


def test_a_class_that_never_occurs_does_not_lower_f1():
    assert f1_macro(confusion_matrix([0, 1, 1], [0, 1, 0], 5)) == f1_macro(confusion_matrix([0, 1, 1], [0, 1, 0], 2))


def test_mcc_is_exact_where_squared_counts_overflow_an_int64():
    assert mcc(BY_HAND * 10**8) == pytest.approx(mcc(BY_HAND), abs=1e-12)


def test_softmax_survives_large_logits_and_sums_to_one():
    probabilities = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]], dtype=np.float32))
    np.testing.assert_allclose(probabilities, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)


def test_per_class_by_hand():
    assert per_class(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]), ["a", "b", "c"]) == [
        ClassScore("a", precision=3 / 5, recall=3 / 4, f1=6 / 9, support=4),
        ClassScore("b", precision=4 / 5, recall=4 / 6, f1=8 / 11, support=6),
        ClassScore("c", precision=0, recall=0, f1=0, support=0),
    ]


def test_per_class_refuses_a_missing_name():
    with pytest.raises(ValueError, match="zip"):
        per_class(BY_HAND, ["a"])
