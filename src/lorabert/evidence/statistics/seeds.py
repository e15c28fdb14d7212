"""Several seeds of a method, on one test split: its mean, and its difference from another method of the same seeds.

Two things are samples here: the seeds, of all seeds that might have been used, and the examples, of all texts that might
have been collected. They are crossed: every seed answers the same examples. With `x[s, i]` the contribution of example i
under seed s,

    x[s, i] = mean + seed[s] + example[i] + rest[s, i],
    variance of the mean of S seeds on n examples = var(seed) / S + var(example) / n + var(rest) / (S n).

The squared standard error of the seeds' metrics, `sd² / S`, estimates the first and the last term; the covariance of two
seeds' metrics when examples are drawn anew estimates the one between. Together they estimate the whole, without bias
(Obuchowski and Rockette 1995, where seeds are readers and examples are patients; Owen 2007 for the crossed bootstrap).

The seeds' share gets Student's t with S - 1 degrees of freedom, because five values resampled know too little of their
own spread; the examples' share gets the bootstrap's own bounds, which follow the metric's skewness. Their distances from
the value are put together as `sqrt(seeds² + examples²)`, on each side (Graybill and Wang 1980; Zou and Donner 2008). The
simulations are in benchmarks/statistics_coverage.py, beside those of the bootstraps that draw seeds, then examples.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorabert.evidence.metrics import METRICS, ClassCounts, Metric, confusion_matrix
from lorabert.evidence.statistics.bootstrap import CHUNK_ENTRIES, bca_tails
from lorabert.evidence.statistics.estimate import Estimate
from lorabert.evidence.statistics.intervals import wilson_bounds

Classes = NDArray[np.int64]
Values = NDArray[np.float64]


def mean_over_seeds(
    labels: ArrayLike,
    predicted: ArrayLike,
    num_labels: int,
    *,
    metric: str = "accuracy",
    generator: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Estimate:
    """Estimate what a method reaches on average, over new seeds and new examples.

    With one seed the interval is over examples only: how much other seeds would have changed is not in it. For the accuracy
    the examples' share is Wilson's, and nothing is drawn.

    Args:
        labels: true class indices, shape (n,).
        predicted: predicted class indices of S seeds, shape (S, n).
        num_labels: C, the number of classes.
        metric: a name in `METRICS`.
        generator: source of all randomness.
        level: confidence level of the interval.
        resamples: number of bootstrap resamples of the examples.

    Returns:
        The mean over the seeds of the metric, with its interval; n is the number of examples.

    Raises:
        ValueError: there are no examples or seeds, shapes do not fit, or a class lies outside `range(num_labels)`.
        KeyError: there is no such metric.
    """
    table = _Answers(labels, (predicted,), num_labels)
    values, jackknife = table.scores(METRICS[metric])
    value, covariance = float(values.mean()), _covariance(jackknife, table.counts)
    if metric == "accuracy":  # has bounds in closed form, with a width also where no seed made a mistake
        examples, variance = wilson_bounds(value, table.n, level), value * (1 - value) / table.n
    else:
        draws = table.score_draws(METRICS[metric], generator, resamples)
        examples, variance = _bootstrap_bounds(value, draws, jackknife, table.counts, level), covariance.mean()
    low, high = _widen(values, examples, variance, covariance, level)
    return Estimate(value, max(low, _lowest(metric)), min(high, 1.0), table.n)


def paired_difference(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    num_labels: int,
    *,
    metric: str = "accuracy",
    generator: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Estimate:
    """Estimate how much better `first` is than `second` on average, over new seeds and new examples.

    Row s of both comes from the same seed, and all rows answer the same examples, so what is hard about a seed or an
    example is hard for both and cancels. With one seed the interval is over examples only: how much other seeds would
    have changed is not in it. Systems that answer alike everywhere have the interval [0, 0].

    Args:
        labels: true class indices, shape (n,).
        first: predicted class indices of S seeds, shape (S, n).
        second: the other system's, for the same seeds, shape (S, n).
        num_labels: C, the number of classes.
        metric: a name in `METRICS`.
        generator: source of all randomness.
        level: confidence level of the interval.
        resamples: number of bootstrap resamples of the examples.

    Returns:
        The mean over the seeds of `metric(first) - metric(second)`, with its interval; n is the number of examples.

    Raises:
        ValueError: there are no examples or seeds, shapes do not fit, or a class lies outside `range(num_labels)`.
        KeyError: there is no such metric.
    """
    table = _Answers(labels, (first, second), num_labels)
    seeds = len(table.runs) // 2
    draws = table.score_draws(METRICS[metric], generator, resamples)
    values, jackknife, draws = (score[..., :seeds] - score[..., seeds:] for score in (*table.scores(METRICS[metric]), draws))
    value, covariance = float(values.mean()), _covariance(jackknife, table.counts)
    examples = _bootstrap_bounds(value, draws, jackknife, table.counts, level)
    low, high = _widen(values, examples, covariance.mean(), covariance, level)
    most = 1 - _lowest(metric)
    return Estimate(value, max(low, -most), min(high, most), table.n)


class _Answers:
    """The runs' answers, once for each group of examples that have one label and that every run answers alike.

    Most examples are answered rightly by all runs, so k groups are far fewer than n examples, and drawing n examples with
    replacement is one multinomial draw over the groups. Groups stand in the order in which they first occur: neither the
    order of the seeds nor that of the systems changes what is drawn.
    """

    def __init__(self, labels: ArrayLike, systems: tuple[ArrayLike, ...], num_labels: int) -> None:
        """Check the shapes, raising ValueError, and group the examples."""
        truth, answers = np.asarray(labels), [np.asarray(system) for system in systems]
        if any(system.ndim != 2 or system.shape != answers[0].shape or system.size == 0 for system in answers):
            shapes = " and ".join(str(system.shape) for system in answers)
            raise ValueError(f"predictions must be of one shape (seeds, examples), both at least 1, got {shapes}.")
        for run in np.concatenate(answers):
            confusion_matrix(truth, run, num_labels)  # refuses what does not fit
        columns = np.vstack([truth, *answers]).astype(np.int64)
        _, first_rows, counts = np.unique(columns, axis=1, return_index=True, return_counts=True)
        order = np.argsort(first_rows)
        self.labels: Classes = columns[0, first_rows[order]]  # (k,)
        self.runs: Classes = columns[1:, first_rows[order]]  # (systems * S, k)
        self.counts: Classes = counts[order]  # (k,)
        self.n, self.num_labels = int(counts.sum()), num_labels

    def scores(self, metric: Metric) -> tuple[Values, Values]:
        """The metric of each run, shape (R,), and without one example of each group, shape (k, R)."""
        return self._score(metric, self.counts[None])[0], self._score_without_each(metric)

    def score_draws(self, metric: Metric, generator: np.random.Generator, resamples: int) -> Values:
        """The metric of each run on draws of n examples with replacement: shape (resamples, R)."""
        rows = max(1, CHUNK_ENTRIES // max(len(self.counts), len(self.runs) * self.num_labels))
        sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
        shares = self.counts / self.n
        return np.concatenate([self._score(metric, generator.multinomial(self.n, shares, size)) for size in sizes])

    def _score(self, metric: Metric, draws: NDArray[np.int64]) -> Values:
        """The metric of each run where `draws` (b, k) counts the examples of each group: shape (b, R)."""
        columns = np.ascontiguousarray(draws.T)
        right, every = self.runs == self.labels, np.ones_like(self.runs, dtype=bool)
        hits, predicted = (self._by_class(self.runs, chosen, columns) for chosen in (right, every))
        support = self._by_class(self.labels[None], every[:1], columns)
        return metric(ClassCounts(hits, support, predicted))

    def _by_class(self, classes: Classes, chosen: NDArray[np.bool_], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum `columns` (k, b) over the chosen groups of each class, for each row of `classes` (R, k): shape (b, R, C)."""
        from scipy.sparse import csr_array

        row, group = np.nonzero(chosen)
        shape = (len(classes) * self.num_labels, len(columns))
        places = (row * self.num_labels + classes[row, group], group)
        sums = np.asarray(csr_array((np.ones(len(group), dtype=np.int64), places), shape=shape) @ columns)
        return sums.reshape(len(classes), self.num_labels, -1).transpose(2, 0, 1)

    def _score_without_each(self, metric: Metric) -> Values:
        """The metric of each run after leaving out one example of each group: shape (k, R)."""
        one_hot = np.eye(self.num_labels, dtype=np.int64)
        scores = np.empty((len(self.counts), len(self.runs)))
        for index, run in enumerate(self.runs):
            # Groups that this run puts into the same cell of its confusion matrix give the same value.
            cells, cell = np.unique(self.labels * self.num_labels + run, return_inverse=True)
            true, answered = np.divmod(cells, self.num_labels)
            one_true, one_answered, in_cell = one_hot[true], one_hot[answered], np.bincount(cell, self.counts).astype(np.int64)
            hits, support, predicted = in_cell @ (one_true * one_answered), in_cell @ one_true, in_cell @ one_answered
            left = ClassCounts(hits - one_true * one_answered, support - one_true, predicted - one_answered)
            scores[:, index] = metric(left)[cell]
        return scores


def _covariance(jackknife: Values, counts: NDArray[np.integer]) -> Values:
    """Covariance of the seeds' values over new examples, shape (S, S), by the jackknife: from leaving one out, (k, S).

    Divided by n where the jackknife has n - 1, so that for the accuracy of one run it is `p (1 - p) / n`.
    """
    n = counts.sum()
    influence = (n - 1) * (np.average(jackknife, axis=0, weights=counts) - jackknife)
    return (influence * counts[:, None]).T @ influence / n**2


def _bootstrap_bounds(
    value: float, draws: Values, jackknife: Values, counts: NDArray[np.integer], level: float
) -> tuple[float, float]:
    """BCa bounds of the mean of these very seeds over new examples, from draws (b, S) and from leaving one out (k, S)."""
    means = draws.mean(1)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, bca_tails(tails, value, means, jackknife.mean(1), counts))
    return float(low), float(high)


def _widen(
    values: Values, examples: tuple[float, float], variance: float, covariance: Values, level: float
) -> tuple[float, float]:
    """Bounds for new seeds and new examples, from those for new examples.

    Args:
        values: the metric, or its difference, of each seed, shape (S,).
        examples: bounds of the mean over new examples, for these very seeds.
        variance: the variance that those bounds stand for.
        covariance: of the seeds' values over new examples, shape (S, S).
        level: confidence level of the interval.

    Returns:
        The two bounds.
    """
    from scipy.stats import t

    value, seeds = float(values.mean()), len(values)
    reach, shared = 0.0, float(covariance.mean())
    if seeds > 1:
        reach = float(t.ppf((1 + level) / 2, seeds - 1) * values.std(ddof=1) / np.sqrt(seeds))
        # Between two different seeds: what each has of the examples' variation for itself is in the spread of the seeds.
        shared = float((covariance.sum() - covariance.trace()) / (seeds * (seeds - 1)))
    scale = np.sqrt(max(shared, 0.0) / variance) if variance > 0 else 1.0
    below, above = (scale * max(distance, 0.0) for distance in (value - examples[0], examples[1] - value))
    return value - float(np.hypot(below, reach)), value + float(np.hypot(above, reach))


def _lowest(metric: str) -> float:
    return -1.0 if metric == "mcc" else 0.0
