"""How fast steps are, measured on a few of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# A first step that takes so long has shown enough: what it warms up is little beside it.
_LONG_SECONDS = 10.0


@dataclass(frozen=True)
class Pace:
    """What some steps took.

    Attributes:
        steps: how many were timed.
        tokens: real tokens in them.
        seconds: of all of them.
    """

    steps: int
    tokens: int
    seconds: float

    @property
    def seconds_per_token(self) -> float:
        """Seconds that a token takes."""
        return self.seconds / self.tokens


def measure(
    step: Callable[[np.ndarray], None], batches: Sequence[np.ndarray], lengths: np.ndarray, patience: float = 1.0
) -> Pace:
    """Time steps until they took `patience` seconds, at least two after a first one that makes everything ready.

    Args:
        step: computes a batch of rows, to its end.
        batches: rows of each batch; the first one is computed twice.
        lengths: tokens of each row.
        patience: seconds after which it was enough.
    """
    started = time.perf_counter()
    step(batches[0])
    first = time.perf_counter() - started
    if first > _LONG_SECONDS:
        return Pace(1, int(lengths[batches[0]].sum()), first)
    steps = tokens = 0
    started = time.perf_counter()
    for rows in [*batches, *batches]:
        step(rows)
        steps, tokens = steps + 1, tokens + int(lengths[rows].sum())
        if steps >= 2 and time.perf_counter() - started > patience:
            break
    return Pace(steps, tokens, time.perf_counter() - started)
