"""Whether a classifier is right as often as it is sure, the temperature that makes it so, and what it may leave unanswered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lorabert.evidence.statistics import Estimate, wilson_interval

# Temperatures beyond these come from answers that no temperature mends.
_COLDEST, _HOTTEST = 0.05, 50.0
# Standard deviation of log T before any answer was seen: a few right answers are no proof that all will be.
_SPREAD = 1.0


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


def temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The T by which logits are to be divided so that a classifier is as sure as it is right (Guo et al. 2017, section 4.2).

    It minimises `sum_i -log softmax(z_i / T)[y_i] + (log T)² / 2`, the negative log posterior under log T ~ N(0, 1): on a handful
    of texts the likelihood alone goes to an end, on hundreds the prior is not felt. Labels never change by it.

    Args:
        logits: z, shape (n, C), finite, of texts that were not trained on.
        labels: y, class indices, shape (n,).

    Returns:
        A value from 0.05 to 50; 1 where there are no texts.

    Raises:
        ValueError: the shapes do not fit together.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    scores, truth = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"logits must be of shape (n, C) and labels (n,), got {scores.shape} and {truth.shape}.")

    def surprise(log_t: float) -> float:
        logs = log_softmax(scores / np.exp(log_t), axis=1)
        return float(-logs[np.arange(len(truth)), truth].sum() + (log_t / _SPREAD) ** 2 / 2)

    found = minimize_scalar(surprise, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x)) if len(truth) else 1.0


@dataclass(frozen=True)
class Cut:
    """What is answered, and how well, where answers below a probability are left out.

    Attributes:
        below: the probability.
        coverage: share of the examples that are answered.
        accuracy: how often those are right, with Wilson's interval; None where none is answered.
    """

    below: float
    coverage: float
    accuracy: Estimate | None


def coverage(probabilities: ArrayLike, labels: ArrayLike, belows: Sequence[float]) -> list[Cut]:
    """What abstaining below each of some probabilities leaves: the risk-coverage curve (El-Yaniv and Wiener 2010, section 2).

    Args:
        probabilities: shape (n, C), each row adding up to 1; n is at least 1.
        labels: true class indices, shape (n,).
        belows: probabilities.
    """
    shares, truth = np.asarray(probabilities, np.float64), np.asarray(labels)
    confidence, right = shares.max(1), shares.argmax(1) == truth
    kept = [confidence >= below for below in belows]
    return [
        Cut(below, float(answered.mean()),
            wilson_interval(int(right[answered].sum()), int(answered.sum())) if answered.any() else None)
        for below, answered in zip(belows, kept, strict=True)
    ]  # fmt: skip


def suggested(probabilities: ArrayLike, labels: ArrayLike, wanted: float) -> float | None:
    """The lowest probability above which answers are right as often as wanted, on texts that were not trained on.

    Of all texts that are at least as sure, the share that is right is as wanted, over these texts; on others it will be near it.
    Of all probabilities that part them alike it is the one with the fewest digits, so that what is read off can be typed in.

    Args:
        probabilities: shape (n, C).
        labels: true class indices, shape (n,).
        wanted: the accuracy of what is answered, in (0, 1].

    Returns:
        The probability; None where no answers are right as often.
    """
    shares, truth = np.asarray(probabilities, np.float64), np.asarray(labels)
    confidence, right = shares.max(1), shares.argmax(1) == truth
    order = np.argsort(-confidence, kind="stable")
    shown = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = confidence[order]
    # Equally sure answers are answered together or not at all.
    ends = np.append(last[1:] < last[:-1], True)
    good = np.flatnonzero((shown >= wanted) & ends)
    if not len(good):
        return None
    end = good[-1]
    return _fewest_digits(float(last[end + 1]) if end + 1 < len(last) else 0.0, float(last[end]))


def _fewest_digits(above: float, up_to: float) -> float:
    """The number with the fewest decimal places, of these the largest, that is above one number and up to another."""
    rounded = (math.floor(up_to * 10**places) / 10**places for places in range(1, 16))
    return next((value for value in rounded if above < value <= up_to), up_to)
