"""What a comparison shows, in sentences that claim no more than its intervals."""

from __future__ import annotations

from typing import Any

from lorabert.evidence.baselines import titled
from lorabert.studies.reporting.plots.comparison import METRICS

Document = dict[str, Any]


def summary(document: Document) -> str:
    """Two sentences: what was compared, and how the verdicts fell."""
    plan = document["plan"]
    systems, tasks, seeds = (len(plan[name]) for name in ("systems", "tasks", "seeds"))
    found = [difference for task in document["tasks"] for difference in task["differences"]]
    verdicts = [one["verdict"] for one in found]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("equivalent", "different", "undecided"))
    told = f"Of {len(found)} paired differences to {plan['against']}, {counts}." if found else "No difference was measured."
    return (
        f"{_count(systems, 'system')} on {_count(tasks, 'task')} with {_count(seeds, 'seed')} each: the same seed gives every "
        f"system the same starting head and the same order of examples. {told}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def of_task(task: dict[str, Any]) -> list[str]:
    """What one task's differences say, a sentence each."""
    return [_difference(found) for found in task["differences"]]


def _difference(found: dict[str, Any]) -> str:
    margin, points = 100 * found["margin"], abs(100 * found["value"])
    names = f"{found['system']} and {found['against']}"
    interval = f"{100 * found['low']:+.2f} to {100 * found['high']:+.2f}"
    seeds = _count(found["n_seeds"], "seed")
    metric = METRICS[found["metric"]]
    if found["verdict"] == "equivalent":
        return f"{names} are equivalent: with {seeds} the difference in {metric} is {interval} points, within ±{margin:g}."
    if found["verdict"] == "different":
        side = "above" if found["value"] > 0 else "below"
        return f"{found['system']} is {points:.2f} points of {metric} {side} {found['against']} ({interval}, {seeds})."
    if -found["margin"] < found["low"] and found["high"] < found["margin"]:
        return (
            f"Between {names} nothing is decided: no difference was seen, but {found['n']} test texts are too few to exclude one."
        )
    return (f"Between {names} nothing is decided: with {seeds} the difference in {metric} can be anything from {interval} "
            "points. More seeds or more test texts would tell.")  # fmt: skip


def cautions(document: Document) -> list[str]:
    """What a reader must know before believing the tables."""
    lines = []
    if document["plan"]["tuning"] is None:
        lines.append("Learning rates were not tuned: a system may be behind because its rate does not suit it.")
    for task in document["tasks"]:
        lines += _failures(task) + _edges(task) + _levels(task)
    smallest = [one["test"]["smallest_p"] for task in document["tasks"] for one in task["differences"]]
    if smallest and max(smallest) > 0.05:
        lines.append(f"With so few seeds no p can be below {max(smallest):.3g}: a p above 0.05 says nothing here, "
                     "the intervals do.")  # fmt: skip
    return lines


def _failures(task: dict[str, Any]) -> list[str]:
    """A sentence on the runs of each system that diverged, and on those that failed otherwise."""
    lines = []
    for name, system in task["systems"].items():
        diverged = {run["seed"] for run in system["runs"] if run["status"] == "diverged"}
        for word in ("diverged", "failed"):
            told = [failure["why"] for failure in system["failures"] if (failure["seed"] in diverged) == (word == "diverged")]
            if told:
                lines.append(f"On {task['task']}, {_count(len(told), 'run')} of {name} {word}: {told[0].rstrip('.')}.")
    return lines


def _edges(task: dict[str, Any]) -> list[str]:
    """Systems whose best rate is the first or the last of those that were tried."""
    edges = [f"{name} ({search['edge']})" for name, search in (task["tuning"] or {}).items() if search and search["edge"]]
    return [f"On {task['task']}, the best learning rate lies at the end of those that were tried for {', '.join(edges)}: "
            "a better one may lie beyond."] if edges else []  # fmt: skip


def _levels(task: dict[str, Any]) -> list[str]:
    """Systems that do not beat the best cheap baseline."""
    metric = task["metric"]
    best = max(titled(task["baselines"]).items(), key=lambda item: item[1][metric]["value"], default=None)
    behind = [
        name for name, system in task["systems"].items()
        if best and system["metrics"] and system["metrics"][metric]["value"] <= best[1][metric]["value"]
    ]  # fmt: skip
    return [f"On {task['task']}, {', '.join(behind)} {'is' if len(behind) == 1 else 'are'} not above the best cheap baseline, "
            f"{best[0]} ({100 * best[1][metric]['value']:.1f})."] if best and behind else []  # fmt: skip
