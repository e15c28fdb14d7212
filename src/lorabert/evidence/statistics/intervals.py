"""How sure the value of one run is: an interval over examples for every number that is printed."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorabert.evidence.metrics import METRICS, Confusion, Metric, confusion_matrix
from lorabert.evidence.statistics.bootstrap import CHUNK_ENTRIES, bca_tails
from lorabert.evidence.statistics.estimate import Estimate


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
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"a proportion needs n > 0 examples and 0..n successes, got {successes} of {n}.")
    return Estimate(successes / n, *wilson_bounds(successes / n, n, level), n)


def wilson_bounds(share: float, n: int, level: float) -> tuple[float, float]:
    """Wilson's bounds around any `share` of n examples, also one that is no whole number of them."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return (0.0 if share == 0 else float(low)), (1.0 if share == 1 else float(high))


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
    low, high = np.quantile(draws, bca_tails(tails, value, draws, jackknife, counts))
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def _score_draws(
    draws: NDArray[np.int64], cells: NDArray[np.int64], shape: tuple[int, ...], metric: Metric
) -> NDArray[np.float64]:
    """Metric of many matrices, each a row of `draws` (b, k) laid out on the k flat indices `cells`: shape (b,)."""
    size = shape[0] * shape[1]
    values = []
    for chunk in np.array_split(draws, -(-len(draws) * size // CHUNK_ENTRIES)):
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
