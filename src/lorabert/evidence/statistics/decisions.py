"""What may be said about a difference: paired tests, several of them at once, and equivalence."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorabert.evidence.statistics.estimate import Estimate

_MOST_EXACT = 40  # differences whose signs are all tried: two halves of a million sums each
_RANDOM_FLIPS = 99_999

Equivalence = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True)
class PairedTest:
    """A two-sided p value with the smallest that n pairs could have given, and the difference that was tested."""

    p: float
    smallest_p: float
    statistic: float
    n: int


def paired_test(differences: ArrayLike) -> PairedTest:
    """Test by sign flips whether paired seeds differ: the exact permutation test (Fisher 1935; Pitman 1937).

    If the two methods were the same, every seed's difference could as well have had the other sign. p is the share of the
    `2^S` ways to give signs whose mean is at least as far from 0 as the one that was seen. It cannot be below
    `2 / 2^S`: with five seeds 0.0625, whatever the differences are.

    Only the seeds are a sample here, on these very test examples; `paired_difference` has the interval for new ones.
    Beyond 40 seeds 99,999 random flips stand for all, the same ones each time.

    Args:
        differences: metric of the first minus metric of the second, one a seed, shape (S,).

    Returns:
        The test, with the mean difference as its statistic and n = S. Where all differences are 0, p is 1.

    Raises:
        ValueError: there are no differences, or one is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"a paired test needs finite differences of shape (seeds,), got {values!r}.")
    n, sizes = len(values), np.abs(values)
    # Sums that are equal on paper differ in their last digits.
    threshold = abs(values.sum()) - 1e-12 * sizes.sum()
    if n <= _MOST_EXACT:
        p, smallest = _share_of_all_flips(sizes, threshold), 2.0 ** (1 - n)
    else:
        signs = np.random.default_rng(0).integers(0, 2, (_RANDOM_FLIPS, n), dtype=np.int8) * 2 - 1
        extreme = int((np.abs(signs @ sizes) >= threshold).sum())
        p, smallest = (extreme + 1) / (_RANDOM_FLIPS + 1), 1 / (_RANDOM_FLIPS + 1)
    return PairedTest(p, smallest, float(values.mean()), n)


def _share_of_all_flips(sizes: NDArray[np.float64], threshold: float) -> float:
    """Share of the sign-flipped sums that are at least `threshold` from 0.

    Each sum is one of the first half's plus one of the second half's, so sorting the second half's answers for all.
    """
    if threshold <= 0:
        return 1.0
    halves = []
    for half in (sizes[: len(sizes) // 2], sizes[len(sizes) // 2 :]):
        sums = np.zeros(1)
        for size in half:
            sums = np.concatenate([sums + size, sums - size])
        halves.append(np.sort(sums))
    first, second = halves
    extreme = 2 * (len(second) - np.searchsorted(second, threshold - first, side="left")).sum()  # both ends alike
    return float(extreme / 2 ** len(sizes))


def mcnemar(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> PairedTest:
    """Test whether two single runs are right equally often: McNemar's test (1947), exact.

    Of the examples that exactly one of the two gets right, each has it in half of the cases if the runs are equally good:
    a binomial test on those. The other examples say nothing. It is about these two runs, not about their methods: another
    seed might have turned it round.

    Args:
        labels: true class indices, shape (n,).
        first: predicted class indices of one run, shape (n,).
        second: those of the other, shape (n,).

    Returns:
        The test, with the difference in accuracy as its statistic, n the number of examples, and the smallest p that this
        many disagreements could have given.

    Raises:
        ValueError: there are no examples, or the shapes differ.
    """
    from scipy.stats import binomtest

    truth, one, other = (np.asarray(values) for values in (labels, first, second))
    if truth.ndim != 1 or not len(truth) or not truth.shape == one.shape == other.shape:
        raise ValueError(f"labels and both predictions must be of one shape (n,), got {truth.shape}, {one.shape}, {other.shape}.")
    only_first = int(((one == truth) & (other != truth)).sum())
    only_second = int(((one != truth) & (other == truth)).sum())
    disagreements = only_first + only_second
    difference = (only_first - only_second) / len(truth)
    if disagreements == 0:
        return PairedTest(1.0, 1.0, difference, len(truth))
    return PairedTest(float(binomtest(only_first, disagreements).pvalue), 2.0 ** (1 - disagreements), difference, len(truth))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust the p values of m tests, so that those below 5% hold a false one in at most 5% of studies (Holm 1979).

    The smallest is multiplied by m, the next by m - 1, and so on; none may fall below one before it, or exceed 1. Valid
    however the tests depend on each other, and never weaker than Bonferroni's.

    Args:
        p_values: shape (m,).

    Returns:
        Adjusted p values of shape (m,), in the order of `p_values`.

    Raises:
        ValueError: a value is not in [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p values must be of shape (m,) and in [0, 1], got {values!r}.")
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def equivalence(difference: Estimate, margin: float = 0.005) -> Equivalence:
    """Say what an interval of a difference shows: too small to matter, not zero, or neither.

    - `equivalent`: the whole interval lies within the margin. With a 95% interval that is two one-sided tests at 2.5%
      each (Schuirmann 1987), stricter than the customary 5% (a 90% interval), so that the one interval that is printed
      answers both questions.
    - `different`: it does not, and 0 lies outside the interval.
    - `undecided`: neither; the data allow no difference and one that matters.

    A difference that is surely there and surely smaller than the margin is `equivalent`: the interval beside the verdict
    shows that it is not 0, the verdict says that it does not matter (Lakens 2017). What was never seen on n examples can
    still happen at a rate of `1 - 0.025^(1/n)`, so systems that never disagreed are `equivalent` only where that is
    within the margin too: for half a point from 736 examples on.

    Args:
        difference: the difference's estimate, at level 0.95.
        margin: the largest difference that does not matter, in the metric's unit: 0.005 is half a point.

    Returns:
        The verdict.

    Raises:
        ValueError: the margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"a margin must be positive, got {margin}.")
    unseen = 1 - 0.025 ** (1 / difference.n)
    if max(-difference.low, difference.high, unseen) < margin:
        return "equivalent"
    return "undecided" if difference.low <= 0 <= difference.high else "different"
