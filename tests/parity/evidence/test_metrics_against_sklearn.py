"""Metrics against scikit-learn on random labels, degenerate ones included."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lorabert.evidence.metrics import METRICS, confusion_matrix, per_class, softmax

NUM_LABELS = 5
ORACLES = {
    "accuracy": sklearn_metrics.accuracy_score,
    "f1_macro": lambda labels, predictions: sklearn_metrics.f1_score(labels, predictions, average="macro", zero_division=0),
    "mcc": sklearn_metrics.matthews_corrcoef,
}
# A few classes of five at a time: absent classes, constant predictions and single examples are common, not rare.
CLASSES = st.lists(st.integers(0, NUM_LABELS - 1), min_size=1, max_size=3)
PAIRS = CLASSES.flatmap(lambda classes: st.lists(st.tuples(st.sampled_from(classes), st.sampled_from([*classes, 0])), min_size=1))


@pytest.fixture(autouse=True)
def quiet_oracle():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of the very cases that are wanted here
        yield


@pytest.mark.parametrize("name", METRICS)
def test_metric(name):
    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(PAIRS)
    def check(pairs):
        labels, predictions = zip(*pairs, strict=True)
        confusion = confusion_matrix(labels, predictions, NUM_LABELS)
        assert METRICS[name](confusion) == pytest.approx(ORACLES[name](labels, predictions), abs=1e-12)

    check()


def test_another_metric_would_not_pass():
    labels, predictions = [0, 0, 0, 1, 2], [0, 0, 1, 1, 1]
    values = [oracle(labels, predictions) for oracle in ORACLES.values()]
    assert len({round(value, 6) for value in values}) == len(values)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(PAIRS)
def test_confusion_matrix_and_per_class(pairs):
    labels, predictions = zip(*pairs, strict=True)
    classes = range(NUM_LABELS)
    confusion = confusion_matrix(labels, predictions, NUM_LABELS)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(labels, predictions, labels=classes))
    rows = [(row.precision, row.recall, row.f1, row.support) for row in per_class(confusion, list("abcde"))]
    expected = sklearn_metrics.precision_recall_fscore_support(labels, predictions, labels=classes, zero_division=0)
    np.testing.assert_allclose(rows, np.transpose(expected), atol=1e-12)


def test_softmax_against_scipy():
    from scipy.special import softmax as scipy_softmax

    logits = np.random.default_rng(0).normal(scale=50, size=(20, 7))
    np.testing.assert_allclose(softmax(logits), scipy_softmax(logits, axis=-1), rtol=1e-12)
