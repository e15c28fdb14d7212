"""Logits and labels in, values out.

Every metric is a function of confusion matrices `(..., C, C)`, not of labels: a matrix holds all that these metrics
depend on, and whatever stands in front of its last two axes is a batch, so thousands of bootstrap resamples cost
milliseconds instead of one pass over the examples each. In truth three counts a class are enough, `ClassCounts`, and
every metric takes those as well: with 150 classes they are fifty times smaller than the matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Confusion = NDArray[np.integer]


class ClassCounts(NamedTuple):
    """Examples by class, each of shape (..., C): found, of that class, and predicted as that class."""

    hits: NDArray
    support: NDArray
    predicted: NDArray


Metric = Callable[[Confusion | ClassCounts], NDArray[np.float64]]


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, num_labels: int) -> NDArray[np.int64]:
    """Count examples by true and predicted class.

    Args:
        labels: true class indices in `range(num_labels)`, shape (n,).
        predictions: predicted class indices in `range(num_labels)`, shape (n,).
        num_labels: C, the number of classes.

    Returns:
        Counts of shape (C, C); row = true class, column = predicted class.

    Raises:
        ValueError: the two differ in shape, are not one-dimensional, or name a class outside `range(num_labels)`.
    """
    pair = [np.asarray(values, dtype=np.int64) for values in (labels, predictions)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1:
        raise ValueError(f"labels and predictions must be of one shape (n,), got {pair[0].shape} and {pair[1].shape}.")
    for name, values in zip(("labels", "predictions"), pair, strict=True):
        if values.size and not 0 <= values.min() <= values.max() < num_labels:
            raise ValueError(f"{name} must lie in 0..{num_labels - 1}, got {values.min()}..{values.max()}.")
    cells = pair[0] * num_labels + pair[1]
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def class_counts(confusion: Confusion | ClassCounts) -> ClassCounts:
    """Diagonal, row sums and column sums of matrices (..., C, C); class counts stay what they are."""
    if isinstance(confusion, ClassCounts):
        return confusion
    return ClassCounts(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1), confusion.sum(-2))


def accuracy(confusion: Confusion | ClassCounts) -> NDArray[np.float64]:
    """Share of examples on the diagonal: `trace / n`, 0 where n is 0.

    Args:
        confusion: counts of shape (..., C, C), or their class counts.

    Returns:
        Values in [0, 1] of shape (...).
    """
    hits, support, _ = class_counts(confusion)
    return _ratio(hits.sum(-1), support.sum(-1))


def f1_macro(confusion: Confusion | ClassCounts) -> NDArray[np.float64]:
    """Unweighted mean over classes of `F1 = 2 tp / (support + predicted)`.

    The mean runs over the classes that occur among the labels or the predictions, as scikit-learn's
    `f1_score(average="macro", zero_division=0)` does (van Rijsbergen 1979, chapter 7).

    Args:
        confusion: counts of shape (..., C, C), or their class counts.

    Returns:
        Values in [0, 1] of shape (...).
    """
    hits, support, predicted = class_counts(confusion)
    occurrences = support + predicted
    f1 = _ratio(2 * hits, occurrences)
    return _ratio(f1.sum(-1), (occurrences > 0).sum(-1))


def mcc(confusion: Confusion | ClassCounts) -> NDArray[np.float64]:
    """Matthews correlation coefficient for any number of classes, 0 where it is undefined.

    With s examples, c of them right, t_k of class k and p_k predicted as k:
    `(c s - sum t_k p_k) / sqrt((s² - sum p_k²) (s² - sum t_k²))` (Gorodkin 2004). It is undefined when all labels or
    all predictions are of one class.

    Args:
        confusion: counts of shape (..., C, C), or their class counts.

    Returns:
        Values in [-1, 1] of shape (...).
    """
    counts = class_counts(confusion)
    hits, true, predicted = (values.astype(np.float64) for values in counts)  # products exceed what an int64 holds
    total = true.sum(-1)
    covariance = hits.sum(-1) * total - (true * predicted).sum(-1)
    variances = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    return _ratio(covariance, np.sqrt(variances))


METRICS: dict[str, Metric] = {"accuracy": accuracy, "f1_macro": f1_macro, "mcc": mcc}


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities `exp(z_k) / sum_j exp(z_j)` over the last axis, in float64 and safe for large logits.

    Args:
        logits: scores of shape (..., C).

    Returns:
        Probabilities of shape (..., C).
    """
    scores = np.asarray(logits, dtype=np.float64)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@dataclass(frozen=True)
class ClassScore:
    """One row of the per-class table: how one class was recognised."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def per_class(confusion: Confusion, label_names: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of every class; a ratio over no examples is 0.

    Args:
        confusion: counts of shape (C, C).
        label_names: C names, in the order of the matrix.

    Returns:
        One `ClassScore` a class, in the order of `label_names`.

    Raises:
        ValueError: there are not as many names as classes.
    """
    hits, support, predicted = class_counts(confusion)
    precision, recall, f1 = _ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, support + predicted)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    return [ClassScore(*row) for row in zip(label_names, *columns, strict=True)]


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    """`numerator / denominator`, 0 where the denominator is 0."""
    zeros = np.zeros(np.shape(numerator))
    return np.divide(numerator, denominator, out=zeros, where=np.asarray(denominator) != 0)
