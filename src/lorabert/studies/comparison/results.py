"""From the runs of one task to what can be said: per system, per difference, with intervals."""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorabert.errors import InputError
from lorabert.evidence import statistics
from lorabert.evidence.metrics import METRICS
from lorabert.runs import answers as stored
from lorabert.studies.launching import Record

# A run this close to the commonest class's share, or below it, has learned nothing.
MAJORITY_MARGIN = 0.005
_RANDOM = 0  # seed of every resampling, each from a generator of its own: the same runs always give the same intervals


@dataclass(frozen=True)
class Answers:
    """The test split as a run answered it: labels (n,) and predicted classes (n,)."""

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """One run of a system, as far as a comparison looks at it.

    Attributes:
        seed: its seed.
        record: what run.json holds, or `{"run": .., "status": "failed", "error": ..}`.
        answers: None when there are none that can be used.
        failure: why it counts as failed, None when it does not.
    """

    seed: int
    record: Record
    answers: Answers | None
    failure: str | None


def read(seed: int, record: Record, classes: int) -> Run:
    """Take in a run: its answers on the test split, and whether it failed.

    A run fails when it did not finish, when its logits are not numbers, or when its accuracy is no better than that of
    always answering the commonest class. The last kind has answers, and they count in every mean.

    Raises:
        InputError: the run has lost its predictions, or they are not of so many classes.
    """
    if record["status"] != "done":
        return Run(seed, record, None, str(record.get("error") or f"status {record['status']}"))
    labels, logits = stored.of_split(Path(record["run"]), "test", classes)
    if not np.isfinite(logits).all():
        return Run(seed, record, None, "its logits are not numbers: the training diverged")
    answers = Answers(labels, logits.argmax(1))
    commonest = np.bincount(labels).max() / len(labels)
    learned = (answers.predicted == labels).mean() > commonest + MAJORITY_MARGIN
    return Run(seed, record, answers, None if learned else "no better than the commonest class")


def check_alike(task: str, systems: Mapping[str, Sequence[Run]]) -> None:
    """Check that all runs answered the same test examples, and those of a system on the same base.

    Raises:
        InputError: they did not; a comparison of them would mean nothing.
    """
    answered = [(name, run.seed, run.answers) for name, runs in systems.items() for run in runs if run.answers is not None]
    for name, seed, answers in answered:
        if not np.array_equal(answers.labels, answered[0][2].labels):
            raise InputError(
                f"The runs of '{task}' were tested on different examples", got=f"other labels in {name}, seed {seed}"
            )
    for name, runs in systems.items():
        bases = {run.record["base"]["sha256"] for run in runs if "base" in run.record}
        if len(bases) > 1:
            raise InputError(f"The runs of '{name}' on '{task}' have different bases", got=f"{len(bases)} different weights",
                             fix="Start again with another --out")  # fmt: skip


def system(runs: Sequence[Run], num_labels: int) -> dict[str, Any]:
    """One system on one task: every metric over its seeds, its failures, its cost."""
    usable = [run for run in runs if run.answers is not None]
    return {
        "runs": [
            {"seed": run.seed, "run": run.record["run"], "status": run.record["status"], "failure": run.failure,
             "metrics": {name: _value(run, name) for name in METRICS} if run.answers is not None else None}
            for run in runs
        ],
        "n_seeds": len(usable),
        "failures": [{"seed": run.seed, "why": run.failure} for run in runs if run.failure],
        "metrics": {name: _over_seeds(usable, num_labels, name) for name in METRICS} if usable else None,
        "cost": _cost(usable),
    }  # fmt: skip


def baseline(labels: NDArray[np.int64], answers: Sequence[NDArray[np.int64]], num_labels: int) -> dict[str, Any]:
    """Every metric of a cheap baseline, over the draws of texts that it was fitted on where there are several."""
    if len(answers) == 1:
        return {name: found.to_dict() for name, found in statistics.estimates(labels, answers[0], num_labels).items()}
    stacked = np.stack(answers)
    return {name: statistics.mean_over_seeds(labels, stacked, num_labels, metric=name, generator=_generator()).to_dict()
            for name in METRICS}  # fmt: skip


def _value(run: Run, metric: str) -> float:
    return float(run.record["metrics"][metric]["value"])


def _over_seeds(runs: Sequence[Run], num_labels: int, metric: str) -> dict[str, Any]:
    values = [_value(run, metric) for run in runs]
    answers = [run.answers for run in runs if run.answers is not None]
    predicted = np.stack([one.predicted for one in answers])
    estimate = statistics.mean_over_seeds(answers[0].labels, predicted, num_labels, metric=metric, generator=_generator())
    return {
        **estimate.to_dict(),
        "n_seeds": len(values),
        "sd": plain.stdev(values) if len(values) > 1 else None,
        "median": plain.median(values),
        "values": values,
    }


def _cost(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Medians over the runs; memory is the least that any run needed, see docs/comparing.md."""
    if not runs:
        return None
    records = [run.record for run in runs]
    weights = [Path(record["adapter"]) / "adapter_model.safetensors" for record in records]
    return {
        "parameters": records[0]["trainable"]["parameters"],
        "head_parameters": records[0]["trainable"]["head_parameters"],
        "all_parameters": records[0]["trainable"]["all_parameters"],
        "train_seconds": plain.median(record["fit"]["train_seconds"] for record in records),
        "peak_bytes": min(record["fit"]["peak_bytes"] for record in records),
        "adapter_bytes": max((file.stat().st_size for file in weights if file.exists()), default=None),
        "engines": sorted({record["engine"] for record in records}),
    }


def difference(first: Sequence[Run], second: Sequence[Run], num_labels: int, metric: str, margin: float) -> dict[str, Any] | None:
    """One system minus another, over the seeds that both have answers for; None when there are none.

    With several seeds the test flips the signs of the seeds' differences. With a single one it is McNemar's, on the
    examples: it speaks of these two classifiers, not of what other seeds would give.
    """
    others = {run.seed: run for run in second if run.answers is not None}
    pairs = [(run, others[run.seed]) for run in first if run.answers is not None and run.seed in others]
    if not pairs:
        return None
    labels, one, other = _stacked(pairs)
    estimate = statistics.paired_difference(labels, one, other, num_labels, metric=metric, generator=_generator())
    by_seed = [_value(run, metric) - _value(against, metric) for run, against in pairs]
    single = len(pairs) == 1
    test = statistics.mcnemar(labels, one[0], other[0]) if single else statistics.paired_test(by_seed)
    return {
        "metric": metric,
        **estimate.to_dict(),
        "n_seeds": len(pairs),
        "seeds": [run.seed for run, _ in pairs],
        "by_seed": by_seed,
        "test": {"name": "McNemar on examples" if single else "sign flips of seeds", **asdict(test)},
        "margin": margin,
        "verdict": statistics.equivalence(estimate, margin),
    }


def _stacked(pairs: Sequence[tuple[Run, Run]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Labels (n,), and the predictions of the first and of the second of each pair, (S, n) each."""
    both = [(one.answers, other.answers) for one, other in pairs if one.answers and other.answers]
    return both[0][0].labels, np.stack([one.predicted for one, _ in both]), np.stack([other.predicted for _, other in both])


def correct_over_tasks(differences: Sequence[dict[str, Any]]) -> None:
    """Add Holm's correction to the tests of one system on all tasks."""
    for found, adjusted in zip(differences, statistics.holm([found["test"]["p"] for found in differences]), strict=True):
        found["test"] |= {"p_holm": float(adjusted), "n_tasks": len(differences)}


def _generator() -> np.random.Generator:
    return np.random.default_rng(_RANDOM)
