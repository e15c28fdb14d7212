"""The learning rate of each system on each task, chosen on validation under a budget that is the same for every method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorabert.studies.launching import Record

# The next rate beyond an end of the grid is this many times that end, or that part of it.
_STEP = 2.5


@dataclass(frozen=True)
class Trial:
    """One rate that was tried: what it reached on validation, None when the run failed. Test is not in it."""

    rate: float
    validation: float | None
    error: str | None
    seconds: float | None


def trial(rate: float, record: Record, metric: str) -> Trial:
    """What a choice may know of a run."""
    if record["status"] != "done":
        return Trial(rate, None, str(record.get("error", record["status"])), None)
    value = float(record["validation_metrics"][metric]["value"])
    return Trial(rate, value if math.isfinite(value) else None, None, record["fit"]["train_seconds"])


def choose(trials: Sequence[Trial]) -> float | None:
    """The rate with the highest validation metric, of equals the lowest rate; None when every run failed."""
    usable = [one for one in trials if one.validation is not None]
    return min(usable, key=lambda one: (-float(one.validation or 0.0), one.rate)).rate if usable else None


def edge(trials: Sequence[Trial]) -> str | None:
    """The end of the grid that the best rate is, `lowest` or `highest`: a better one may lie beyond."""
    chosen, grid = choose(trials), sorted(one.rate for one in trials)
    if chosen is None or len(grid) < 2 or chosen not in (grid[0], grid[-1]):
        return None
    return "lowest" if chosen == grid[0] else "highest"


def beyond(trials: Sequence[Trial]) -> float | None:
    """The rate to try next, beyond the end of the grid that is the best so far; None when the best lies inside."""
    end = edge(trials)
    if end is None:
        return None
    rates = [one.rate for one in trials]
    further = max(rates) * _STEP if end == "highest" else min(rates) / _STEP
    return float(f"{further:.6g}") if further < 1 else None


def summary(trials: Sequence[Trial], metric: str, seed: int) -> dict[str, Any]:
    """The grid, what each rate reached, the choice, and whether the best may lie outside of the grid."""
    grid = sorted(one.rate for one in trials)
    return {
        "grid": grid,
        "budget_runs": len(grid),
        "seed": seed,
        "metric": metric,
        "split": "validation",
        "trials": [
            {"learning_rate": one.rate, "validation": one.validation, "error": one.error, "train_seconds": one.seconds}
            for one in sorted(trials, key=lambda one: one.rate)
        ],
        "chosen": choose(trials),
        "edge": edge(trials),
    }
