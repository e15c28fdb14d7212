"""What the bootstraps over examples share."""

import numpy as np
from numpy.typing import NDArray

CHUNK_ENTRIES = 2**22  # counts held at once: 32 MiB, whatever the number of examples and classes


def bca_tails(
    tails: NDArray[np.float64],
    value: float,
    draws: NDArray[np.float64],
    jackknife: NDArray[np.float64],
    counts: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Move `tails` by bias z0 and acceleration a: `Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`.

    z0 is the normal quantile of the share of draws below the value, ties counted half. a is a sixth of the skewness of
    the jackknife's influence values. Examples that are counted alike give the same value when left out, so `jackknife`
    has one value for each such group.

    Args:
        tails: the two probabilities to move, shape (2,).
        value: the value on all examples.
        draws: the values of the bootstrap's draws, shape (b,).
        jackknife: the value without one example of each group, shape (k,).
        counts: the number of examples in each group, shape (k,).

    Returns:
        The two moved probabilities, or `tails` where the correction does not exist.
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
