"""Whether something grows: the slope of what was measured again and again, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

_BLOCKS = 12


class Slope(NamedTuple):
    """Growth a step, and its interval at level 0.95."""

    value: float
    low: float
    high: float


def slope(values: Sequence[float], steps: float = 1.0) -> Slope:
    """The growth of a series a step, after its first quarter, in which caches fill.

    Neighbours are alike, which makes a fit look surer than it is; so it goes through the means of a dozen blocks.

    Args:
        values: in order, at equal distances.
        steps: between one value and the next.

    Raises:
        ValueError: there are too few values.
    """
    kept = np.asarray(values, float)[len(values) // 4 :]
    blocks = np.array_split(kept, min(_BLOCKS, len(kept)))
    if len(blocks) < 3:
        raise ValueError(f"a slope needs more than {len(values)} values")
    ends = np.cumsum([len(block) for block in blocks])
    middles = steps * (ends - np.array([len(block) for block in blocks]) / 2)
    fitted = stats.linregress(middles, [block.mean() for block in blocks])
    wide = float(stats.t.ppf(0.975, len(blocks) - 2) * np.nan_to_num(fitted.stderr))  # no spread, no error
    return Slope(float(fitted.slope), float(fitted.slope) - wide, float(fitted.slope) + wide)
