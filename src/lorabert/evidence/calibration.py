"""Whether a classifier is right as often as it is sure: the reliability curve and its error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lorabert.evidence.statistics import Estimate, wilson_interval


@dataclass(frozen=True)
class Bin:
    """The examples whose confidence lies in one interval.

    Attributes:
        low: lower end of the confidences, included.
        high: upper end, included in the last bin only.
        confidence: their mean confidence.
        accuracy: how often they are right, with Wilson's interval; its `n` is the number of examples.
    """

    low: float
    high: float
    confidence: float
    accuracy: Estimate


def reliability(probabilities: ArrayLike, labels: ArrayLike, num_bins: int = 10) -> list[Bin]:
    """Group examples by confidence, the probability of the predicted class, in bins of equal width over [0, 1].

    This is the reliability diagram's data (DeGroot and Fienberg 1983; Guo et al. 2017, section 2).

    Args:
        probabilities: shape (n, C), each row adding up to 1.
        labels: true class indices, shape (n,).
        num_bins: how many bins [0, 1] is cut into.

    Returns:
        The bins that hold examples, from low to high confidence.

    Raises:
        ValueError: the shapes do not fit together.
    """
    shares, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if shares.ndim != 2 or truth.shape != shares.shape[:1]:
        raise ValueError(f"probabilities must be of shape (n, C) and labels (n,), got {shares.shape} and {truth.shape}.")
    confidence, right = shares.max(1), shares.argmax(1) == truth
    place = np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)
    return [
        Bin(index / num_bins, (index + 1) / num_bins, float(confidence[place == index].mean()),
            wilson_interval(int(right[place == index].sum()), int((place == index).sum())))
        for index in sorted(set(place.tolist()))
    ]  # fmt: skip


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between confidence and accuracy over examples: `sum_b n_b |accuracy_b - confidence_b| / n`.

    It is Naeini, Cooper and Hauskrecht's (2015) estimate. It depends on the bins and is biased upwards where they hold few
    examples, so values of different bins or sizes of test are not comparable.

    Args:
        bins: from `reliability`.

    Returns:
        A value in [0, 1]; 0 is perfect.

    Raises:
        ValueError: there are no bins.
    """
    n = sum(part.accuracy.n for part in bins)
    if n == 0:
        raise ValueError("a calibration error needs at least one example, got no bins.")
    return sum(part.accuracy.n * abs(part.accuracy.value - part.confidence) for part in bins) / n
