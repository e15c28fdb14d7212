"""What every benchmark does: contestants take turns in one process, medians with their range, and a committed record."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from lorabert import hardware

RECORDS = Path(__file__).parent / "records"
Turn = Callable[[int], int]


def race(contestants: Mapping[str, Turn], rounds: int) -> dict[str, list[float]]:
    """Examples a second of each contestant in each round; a round before the first warms up.

    Contestants take turns, so that whatever else the machine does, and however fast it happens to run, hits all of them.

    Args:
        contestants: each does its work of a round, given the round's number, and returns how many examples that was.
        rounds: how many.
    """
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, turn in contestants.items():
            started = time.perf_counter()
            examples = turn(number)
            if number:
                speeds[name].append(examples / (time.perf_counter() - started))
        sys.stderr.write(f"round {number} of {rounds}\n")
    return speeds


def ratio(speeds: Mapping[str, list[float]], ours: str, theirs: str) -> dict[str, float]:
    """How many times faster ours is: the median of the rounds' own ratios, with the least and the greatest."""
    found = [mine / other for mine, other in zip(speeds[ours], speeds[theirs], strict=True)]
    return {"median": statistics.median(found), "least": min(found), "greatest": max(found)}


def matrix_flops(tokens: int, width: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> float:
    """Operations a second that F.linear reaches on the feed-forward's shape."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    x, weight = (torch.randn(rows, width, dtype=dtype, device=device) for rows in (tokens, 4 * width))
    F.linear(x, weight)
    wait()
    started = time.perf_counter()
    for _ in range(20):
        F.linear(x, weight)
    wait()
    return 20 * 2 * tokens * 4 * width * width / (time.perf_counter() - started)


def show(speeds: Mapping[str, list[float]]) -> None:
    """A line for each contestant: median, least and greatest."""
    for name, values in speeds.items():
        sys.stdout.write(f"{name:64s} {statistics.median(values):8.1f} /s ({min(values):.1f} to {max(values):.1f})\n")


def record(name: str, result: Mapping[str, Any]) -> None:
    """Write records/<name>.json, with the machine and the versions."""
    facts = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "hardware": hardware.describe(),
        "versions": hardware.package_versions(),
    }
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps({**facts, **result}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"Recorded: {path.name}\n")
