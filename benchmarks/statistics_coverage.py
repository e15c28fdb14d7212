"""Do the intervals over seeds hold the truth as often as they say, and do the tests reject as rarely as they should?

    python benchmarks/statistics_coverage.py [--studies 1000] [--resamples 400] [--record]
    python benchmarks/statistics_coverage.py --table


Each simulated study draws new test examples and new seeds from a world whose truth is known. An example has a difficulty that
all seeds of both methods share, and one that each method adds for itself; a seed lifts or lowers each class for both
methods and for each alone; the rest is noise. Those shares of latent variance decide between right and wrong.

Beside the package's intervals stand those that others use, for the paired difference in accuracy: percentiles of a
bootstrap that draws seeds, then examples (the same for all seeds); the same with examples drawn anew in each seed; and
Student's t over the seeds' differences.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t

from lorabert import hardware
from lorabert.evidence.metrics import METRICS
from lorabert.evidence.statistics import Estimate, mcnemar, mean_over_seeds, paired_difference, paired_test

Array = NDArray[np.float64]
NAMES = ("accuracy", "f1_macro")
RECORD = Path(__file__).parent / "records" / "statistics.json"


@dataclass(frozen=True)
class World:
    """Where studies come from: n examples of C classes, and standard deviations on the scale of latent noise of 1."""

    name: str
    n: int
    shares: tuple[float, ...]  # of the classes
    accuracies: tuple[float, float]  # of the two methods
    difficulty: float = 3.0  # of an example, for both methods
    own_difficulty: float = 0.8  # of an example, for each method alone
    seed: float = 0.03  # of a seed in a class, for both methods
    own_seed: float = 0.06  # of a seed in a class, for each method alone

    @property
    def spread(self) -> float:
        """Standard deviation of the latent value within a seed."""
        return float(np.sqrt(self.difficulty**2 + self.own_difficulty**2 + 1))

    @property
    def levels(self) -> Array:
        """Latent mean of each method, shape (2,)."""
        return ndtri(np.array(self.accuracies)) * np.sqrt(self.spread**2 + self.seed**2 + self.own_seed**2)


class Study(NamedTuple):
    """What one simulated study saw, and the seeds' effects (2, S, C) behind it."""

    labels: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    effects: Array


EIGHT = (0.495, 0.318, 0.055, 0.04, 0.037, 0.034, 0.016, 0.005)  # about Reuters-8's
WORLDS = (
    World("2 classes, 1,000 examples", 1000, (0.57, 0.43), (0.81, 0.80)),
    World("2 classes, 2,500 examples, restless seeds", 2500, (0.57, 0.43), (0.81, 0.80), own_seed=0.2),
    World("8 unequal classes, 2,000 examples", 2000, EIGHT, (0.95, 0.94)),
    World("20 classes, 1,000 examples", 1000, (0.05,) * 20, (0.85, 0.83)),
    World("5 classes, 450 examples, few mistakes", 450, (0.2,) * 5, (0.98, 0.98)),
)


def simulate(world: World, seeds: int, generator: np.random.Generator) -> Study:
    """Draw a study of `seeds` paired seeds."""
    classes = len(world.shares)
    labels = generator.choice(classes, world.n, p=world.shares)
    effects = draw_effects(world, seeds, generator)
    difficulty = world.difficulty * generator.standard_normal(world.n)
    # A wrong answer is mostly the class that the example resembles, for every method and seed.
    resembled, systems = _another(labels, classes, generator), []
    for level, effect in zip(world.levels, effects, strict=True):
        own = world.own_difficulty * generator.standard_normal(world.n)
        latent = level + effect[:, labels] + difficulty + own + generator.standard_normal((seeds, world.n))
        wrong = np.where(generator.random((seeds, world.n)) < 0.8, resembled, _another(labels, classes, generator))
        systems.append(np.where(latent > 0, labels, wrong))
    return Study(labels, systems[0], systems[1], effects)


def draw_effects(world: World, seeds: int, generator: np.random.Generator) -> Array:
    """How much each seed lifts each class for each method: shape (2, seeds, C)."""
    shape = (seeds, len(world.shares))
    return world.seed * generator.standard_normal(shape) + world.own_seed * generator.standard_normal((2, *shape))


def _another(labels: NDArray[np.int64], classes: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return (labels + generator.integers(1, classes, len(labels))) % classes


def truths(world: World, effects: Array, metric: str) -> Array:
    """The metric of each method and seed on infinitely many examples: shape (2, S)."""
    shares, classes = np.array(world.shares), len(world.shares)
    right = ndtr((world.levels[:, None, None] + effects) / world.spread)  # (2, S, C)
    joint = shares[:, None] * (1 - right[..., None]) / (classes - 1) * (1 - np.eye(classes))
    joint += np.eye(classes) * (shares * right)[..., None]
    return METRICS[metric](joint)


def truth(world: World, metric: str) -> Array:
    """The mean of the metric over all seeds, for each method: shape (2,)."""
    return truths(world, draw_effects(world, 10_000, np.random.default_rng(0)), metric).mean(1)


def coverage(world: World, seeds: int, studies: int, resamples: int) -> dict[str, dict[str, float]]:
    """Share of studies whose 95% intervals hold the truth, and how wide they are in the mean, by kind of interval."""
    targets = {name: truth(world, name) for name in NAMES}
    found: dict[str, list[tuple[bool, bool, float]]] = {}
    for number in range(studies):
        study = simulate(world, seeds, np.random.default_rng([number, seeds]))
        if seeds == 1:  # what one seed can tell about: this very run
            targets = {name: truths(world, study.effects, name)[:, 0] for name in NAMES}
        for kind, target, low, high in _intervals(study, targets, len(world.shares), resamples, number):
            found.setdefault(kind, []).append((low > target, high < target, high - low))
    return {
        kind: {
            "covered": float(np.mean([not (below or above) for below, above, _ in each])),
            "truth_below": float(np.mean([below for below, _, _ in each])),
            "truth_above": float(np.mean([above for _, above, _ in each])),
            "mean_width": float(np.mean([width for *_, width in each])),
        }
        for kind, each in found.items()
    }


def _intervals(
    study: Study, targets: dict[str, Array], classes: int, resamples: int, number: int
) -> Iterator[tuple[str, float, float, float]]:
    """Each kind of interval of a study: its name, the truth, and its bounds."""
    for name, target in targets.items():
        options: dict[str, Any] = {"metric": name, "resamples": resamples}
        single: Estimate = mean_over_seeds(study.labels, study.first, classes, generator=np.random.default_rng(number), **options)
        yield f"mean over seeds, {name}", target[0], single.low, single.high
        paired: Estimate = paired_difference(*study[:3], classes, generator=np.random.default_rng(number), **options)
        yield f"paired difference, {name}", target[0] - target[1], paired.low, paired.high
    if len(study.first) > 1:
        contributions = (study.first == study.labels).astype(float) - (study.second == study.labels)
        for kind, bounds in _rivals(contributions, resamples, np.random.default_rng(number)).items():
            yield kind, targets["accuracy"][0] - targets["accuracy"][1], *bounds


def _rivals(contributions: Array, resamples: int, generator: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Other people's 95% intervals of the mean of contributions (S, n) to a difference in accuracy."""
    seeds, n = contributions.shape
    drawn = generator.integers(0, seeds, (resamples, seeds))
    values, kinds = np.unique(contributions, axis=1, return_counts=True)
    crossed = generator.multinomial(n, kinds / n, resamples) @ values.T / n  # (b, S): the same examples for all seeds
    shares = np.stack([(contributions == value).mean(1) for value in (-1, 0, 1)], axis=-1)  # (S, 3)
    losses_ties_gains = generator.multinomial(n, shares[drawn])  # (b, S, 3): each drawn seed has examples of its own
    own = (losses_ties_gains[..., 2] - losses_ties_gains[..., 0]) / n
    means = contributions.mean(1)
    half = t.ppf(0.975, seeds - 1) * means.std(ddof=1) / np.sqrt(seeds)
    return {
        "rival: bootstrap of seeds, then of examples": _percentiles(np.take_along_axis(crossed, drawn, 1).mean(1)),
        "rival: bootstrap of seeds, then of examples in each": _percentiles(own.mean(1)),
        "rival: Student's t over seeds": (means.mean() - half, means.mean() + half),
    }


def _percentiles(draws: Array) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def false_positives(world: World, seeds: int, studies: int) -> dict[str, float]:
    """How often each test calls two methods of equal accuracy different, at 5%."""
    rejections = {"paired_test": 0, "mcnemar of the first seeds": 0}
    for number in range(studies):
        study = simulate(world, seeds, np.random.default_rng([number, seeds]))
        differences = (study.first == study.labels).mean(1) - (study.second == study.labels).mean(1)
        rejections["paired_test"] += paired_test(differences).p <= 0.05
        rejections["mcnemar of the first seeds"] += mcnemar(study.labels, study.first[0], study.second[0]).p <= 0.05
    return {name: float(count) / studies for name, count in rejections.items()}


NO_DIFFERENCE = (
    World("the same method twice", 1000, (0.57, 0.43), (0.8, 0.8), own_difficulty=0.0),
    World("two methods, each better on examples of its own", 1000, (0.57, 0.43), (0.8, 0.8)),
)


def main() -> None:
    """Simulate, print tables, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/statistics.json")
    parser.add_argument("--table", action="store_true", help="print the record as Markdown, simulate nothing")
    options = parser.parse_args()
    if options.table:
        sys.stdout.write(table(json.loads(RECORD.read_text(encoding="utf-8"))))
        return
    started, rows, tests = time.perf_counter(), [], []
    for world in WORLDS:
        for seeds in (1, 3, 5, 10) if world is WORLDS[0] else (1, 3, 5):
            kinds = coverage(world, seeds, options.studies, options.resamples)
            rows.append({"world": world.name, "seeds": seeds, "intervals": kinds})
            sys.stdout.write(f"{world.name}, {seeds} seeds\n")
            for kind, each in kinds.items():
                sys.stdout.write(f"  {kind:55s} {100 * each['covered']:5.1f}%  width {100 * each['mean_width']:.2f} points\n")
            sys.stdout.flush()
    for world in NO_DIFFERENCE:
        for seeds in (5, 6, 10, 20):
            rates = false_positives(world, seeds, 4 * options.studies)
            tests.append({"world": world.name, "seeds": seeds, "rejected_at_5_percent": rates})
            sys.stdout.write(f"{world.name}, {seeds} seeds: {rates}\n")
    if options.record:
        _record(options, time.perf_counter() - started, rows, tests)


COLUMNS = {
    "mean over seeds, accuracy": "mean, accuracy",
    "mean over seeds, f1_macro": "mean, macro-F1",
    "paired difference, accuracy": "difference, accuracy",
    "paired difference, f1_macro": "difference, macro-F1",
    "rival: bootstrap of seeds, then of examples": "seeds, then examples",
    "rival: bootstrap of seeds, then of examples in each": "seeds, then examples in each",
    "rival: Student's t over seeds": "t over seeds",
}


def table(record: dict[str, Any]) -> str:
    """The coverage of a record in percent, as the Markdown that docs/statistics.md shows."""
    lines = [f"| studies from | seeds | {' | '.join(COLUMNS.values())} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for row in record["coverage"]:
        cells = [f"{100 * row['intervals'][kind]['covered']:.1f}" if kind in row["intervals"] else "" for kind in COLUMNS]
        lines.append(f"| {row['world']} | {row['seeds']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _record(options: argparse.Namespace, seconds: float, rows: list[Any], tests: list[Any]) -> None:
    facts = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "hardware": hardware.describe(),
        "versions": hardware.package_versions(),
        "seconds": seconds,
        "studies": options.studies,
        "resamples": options.resamples,
        "studies_of_tests": 4 * options.studies,
        "level": 0.95,
        "worlds": [asdict(world) for world in (*WORLDS, *NO_DIFFERENCE)],
    }
    RECORD.write_text(json.dumps({**facts, "coverage": rows, "false_positives": tests}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"Recorded: {RECORD}\n")


if __name__ == "__main__":
    main()
