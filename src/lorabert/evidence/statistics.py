"""How sure a value is: an interval for every number that is printed."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorabert.evidence.metrics import METRICS, Confusion, Metric, confusion_matrix

_CHUNK_ENTRIES = 2**22  # matrix entries scored at once: 32 MiB, whatever the number of classes


@dataclass(frozen=True)
class Estimate:
    """A value measured on n examples and the interval that its true value lies in at the chosen level."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the JSON form: `{"value": .., "low": .., "high": .., "n": ..}`."""
        return asdict(self)


def estimates(
    labels: ArrayLike, predictions: ArrayLike, num_labels: int, *, seed: int = 0, level: float = 0.95
) -> dict[str, Estimate]:
    """Every metric of one set of predictions, with its interval.

    Accuracy is a share of independent examples, which Wilson's interval is made for; the others have no such formula
    and are bootstrapped, each from a generator of its own, so that no answer depends on what else was computed.

    Args:
        labels: true class indices, shape (n,).
        predictions: predicted class indices, shape (n,).
        num_labels: C, the number of classes.
        seed: seed of the bootstrap.
        level: confidence level of the intervals.

    Returns:
        An `Estimate` under each name in `METRICS`.

    Raises:
        ValueError: there are no examples, or `confusion_matrix` refuses them.
    """
    confusion = confusion_matrix(labels, predictions, num_labels)
    bootstrapped = {
        name: bootstrap_interval(confusion, metric, generator=np.random.default_rng(seed), level=level)
        for name, metric in METRICS.items()
        if name != "accuracy"
    }
    return {"accuracy": wilson_interval(int(confusion.trace()), int(confusion.sum()), level)} | bootstrapped


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Estimate:
    """Estimate a proportion, with Wilson's score interval.

    The interval holds every p that a score test would not reject: `|successes / n - p| <= z sqrt(p (1 - p) / n)`.
    Unlike the textbook interval around `successes / n` it stays inside [0, 1] and has a width at both ends (Wilson
    1927; Brown, Cai and DasGupta 2001, section 3.1.1).

    Raises:
        ValueError: n is 0, or successes is not in 0..n.
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def bootstrap_interval(
    confusion: Confusion,
    metric: Metric,
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Estimate:
    """Estimate any metric of a confusion matrix, with a BCa bootstrap interval over examples.

    Drawing n examples with replacement is exactly one multinomial draw over the matrix's non-empty cells, so examples
    are never touched. BCa corrects the percentile interval for bias and skewness (Efron 1987; Efron and Tibshirani
    1993, section 14.3). Macro F1 needs that where classes are many and small, because resampling lowers it: with 150
    classes and 20 examples of each, 95% percentile intervals held the truth in 78% of simulations, BCa's in 95%.

    Where the correction does not exist (every draw on one side of the value, or a jackknife that does not vary) the
    percentile interval stands. A metric that no draw changes, such as a perfect classifier's, has an interval of width
    0: the bootstrap cannot see errors that did not happen. Wilson's interval for the accuracy can.

    Args:
        confusion: counts of shape (C, C), rows = true class.
        metric: function of matrices (..., C, C) -> (...).
        generator: source of all randomness.
        level: confidence level of the interval.
        resamples: number of bootstrap resamples.

    Returns:
        The metric's value on `confusion` and its interval, widened to the value where it would leave it outside.

    Raises:
        ValueError: the matrix is empty.
    """
    n = int(confusion.sum())
    if n == 0:
        raise ValueError("an interval needs at least one example, got an empty confusion matrix.")
    cells = np.flatnonzero(confusion)
    counts = confusion.ravel()[cells]
    value = float(metric(confusion))
    draws = _score_draws(generator.multinomial(n, counts / n, size=resamples), cells, confusion.shape, metric)
    jackknife = _score_without_each(confusion, cells, metric)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(draws, _bca_tails(tails, value, draws, jackknife, counts))
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def _score_draws(
    draws: NDArray[np.int64], cells: NDArray[np.int64], shape: tuple[int, ...], metric: Metric
) -> NDArray[np.float64]:
    """Metric of many matrices, each a row of `draws` (b, k) laid out on the k flat indices `cells`: shape (b,)."""
    size = shape[0] * shape[1]
    values = []
    for chunk in np.array_split(draws, -(-len(draws) * size // _CHUNK_ENTRIES)):
        matrices = np.zeros((len(chunk), size), dtype=np.int64)
        matrices[:, cells] = chunk
        values.append(metric(matrices.reshape(-1, *shape)))
    return np.concatenate(values)


def _score_without_each(confusion: Confusion, cells: NDArray[np.int64], metric: Metric) -> NDArray[np.float64]:
    """Metric after leaving out one example of each of the k flat indices `cells`: shape (k,)."""
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):  # one matrix at a time: k of them at once may not fit into memory
        remaining = confusion.copy()
        remaining.flat[cell] -= 1
        values[index] = metric(remaining)
    return values


def _bca_tails(
    tails: NDArray[np.float64],
    value: float,
    draws: NDArray[np.float64],
    jackknife: NDArray[np.float64],
    counts: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Move `tails` by bias z0 and acceleration a: `Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`.

    z0 is the normal quantile of the share of draws below the value, ties counted half. a is a sixth of the skewness of
    the jackknife's influence values; leaving out any example of one cell gives the same matrix, so `jackknife` (k,) has
    one value a cell, weighted by its count.
    """
    from scipy.special import ndtr, ndtri

    below = ((draws < value).mean() + (draws <= value).mean()) / 2
    influence = np.average(jackknife, weights=counts) - jackknife
    spread = (counts * influence**2).sum()
    if not 0 < below < 1 or spread == 0:
        return tails
    bias = ndtri(below)
    acceleration = (counts * influence**3).sum() / (6 * spread**1.5)
    shifted = bias + ndtri(tails)
    return ndtr(bias + shifted / (1 - acceleration * shifted))
