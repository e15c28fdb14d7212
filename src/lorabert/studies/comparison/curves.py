"""Learning curves: what more labelled texts bring, from a comparison's tasks of several sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lorabert.evidence.baselines import titled
from lorabert.studies.comparison.plan import Plan


def of(plan: Plan, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One curve a data set: `{"name", "metric", "sizes", "systems": {name: [estimate or None]}, "baselines", "says"}`.

    Args:
        plan: what was asked; none of its tasks need have a size.
        tasks: what comparison.json holds of each, in the plan's order.
    """
    grouped: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for task, found in zip(plan.tasks, tasks, strict=True):
        if task.size is not None:
            grouped.setdefault(task.name.removesuffix(f" {task.size}"), []).append((task.size, found))
    return [_curve(name, points) for name, points in grouped.items()]


def _curve(name: str, points: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    metric, sizes = points[0][1]["metric"], [size for size, _ in points]
    systems = {
        system: [(task["systems"][system]["metrics"] or {}).get(metric) for _, task in points]
        for system in points[0][1]["systems"]
    }
    cheap = [titled(task["baselines"]) for _, task in points]
    baselines = {baseline: [found[baseline][metric] for found in cheap] for baseline in cheap[0]}
    says = [line for system, values in systems.items() for line in _says(system, sizes, values, baselines)]
    return {"name": name, "metric": metric, "sizes": sizes, "systems": systems, "baselines": baselines, "says": says}


def _says(system: str, sizes: Sequence[int], values: Sequence[Any], baselines: Mapping[str, Sequence[Any]]) -> list[str]:
    """What a user wants to know of a curve: what twice the labels would bring, and from where on it beats what is cheap."""
    known = [(size, value["value"]) for size, value in zip(sizes, values, strict=True) if value]
    lines = []
    if len(known) > 1:
        (few, before), (many, after) = known[-2:]
        each = 100 * (after - before) / math.log2(many / few)
        lines.append(f"{system}: from {few:,} to {many:,} labelled texts each doubling brought {each:+.1f} points; with twice "
                     f"the labels expect about {each / 2:+.1f} to {each:+.1f} more.")  # fmt: skip
    if baselines and len(known) == len(sizes):
        best = [max(curve[place]["value"] for curve in baselines.values()) for place in range(len(sizes))]
        above = [value["value"] > level for value, level in zip(values, best, strict=True)]
        lines.append(f"{system} {_from(sizes, above)}.")
    return lines


def _from(sizes: Sequence[int], above: Sequence[bool]) -> str:
    start = next((place for place in range(len(sizes)) if all(above[place:])), None)
    if start is None:
        return f"does not pass the best cheap baseline with up to {sizes[-1]:,} labelled texts"
    if start == 0:
        return f"is above the best cheap baseline from {sizes[0]:,} labelled texts on, the fewest that were tried"
    return f"passes the best cheap baseline between {sizes[start - 1]:,} and {sizes[start]:,} labelled texts"
