"""Make docs/small_data.md from benchmarks/records/small_data.jsonl: python docs/small_data.py. A test keeps them together."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "records" / "small_data.jsonl"
PAGE = ROOT / "docs" / "small_data.md"
OURS = "lorabert"
RESAMPLES = 10_000
Row = dict[str, Any]
Cell = tuple[str, int]

HEAD = """# A few labelled texts

Made by `python docs/small_data.py` from `benchmarks/records/small_data.jsonl`, which `python benchmarks/small_data.py` measures.

Each row of the record is one draw of labelled texts from a data set, given to one system as a CSV file, and its answers to
at most 600 test texts that share no film, episode, tale or speaker with them. `lorabert` is `lorabert train` with no option;
the others are in `benchmarks/rivals/`, each with the settings its own documentation shows, C of the logistic regressions
by cross-validation. A system whose answers are all of one class, or that ends with an error, failed; an error counts as
no right answer. No default was chosen by a set of the held-out half.
"""


def page(rows: list[Row]) -> str:
    """The whole page, from the cells that were measured."""
    parts = [HEAD, *_machines(rows)]
    for half, title in ((False, "Sets that defaults were chosen by"), (True, "Held-out sets")):
        found = [row for row in rows if row["held_out"] is half]
        if found:
            parts += [f"## {title}\n", *(_size(found, size) for size in sorted({row["size"] for row in found})), _lost(found)]
    return "\n".join(parts)


def read(record: Path = RECORD) -> list[Row]:
    """The cells that were measured."""
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def _machines(rows: list[Row]) -> list[str]:
    return [f"Measured on 2 cores of {', '.join(sorted({row['processor'] for row in rows}))}.\n"]


def _size(rows: list[Row], size: int) -> str:
    """One table: what all systems made of draws of one size, over the cells that each of them has."""
    some = [row for row in rows if row["size"] == size]
    systems = sorted({row["system"] for row in some}, key=lambda name: (name != OURS, name))
    lines = [f"### {size:,} labelled texts\n",
             "| | sets x draws | accuracy | macro-F1 | rank | ours minus it | wins, ties, losses | ECE | seconds | failed |",
             "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    ranks = _ranks(some)
    for system in systems:
        own = [row for row in some if row["system"] == system]
        failed = sum(bool(row["failure"]) for row in own)
        cells = [system, len(own), _points(own, "accuracy"), _points(own, "f1_macro"),
                 f"{statistics.mean(ranks[system]):.2f}" if ranks[system] else "", *_against(some, system),
                 f"{100 * statistics.median(row['ece'] for row in own if row['ece'] is not None):.1f}",
                 f"{statistics.median(row['seconds'] for row in own):.0f}", failed or ""]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, ""])


def _value(row: Row, metric: str = "accuracy") -> float:
    return 0.0 if row[metric] is None else float(row[metric])


def _points(rows: Iterable[Row], metric: str) -> str:
    return f"{100 * statistics.mean(_value(row, metric) for row in rows):.1f}"


def _by_draw(rows: Iterable[Row]) -> dict[tuple[str, int, int], dict[str, Row]]:
    found: dict[tuple[str, int, int], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        found[row["set"], row["size"], row["draw"]][row["system"]] = row
    return found


def _ranks(rows: list[Row]) -> dict[str, list[float]]:
    """Ranks on the draws that every system has, 1 the best; equal ones share theirs."""
    systems = {row["system"] for row in rows}
    ranks: dict[str, list[float]] = {system: [] for system in systems}
    for found in _by_draw(rows).values():
        if set(found) == systems:
            values = {system: _value(row) for system, row in found.items()}
            for system, value in values.items():
                ranks[system].append(
                    1 + sum(v > value for v in values.values()) + (sum(v == value for v in values.values()) - 1) / 2
                )
    return ranks


def _against(rows: list[Row], system: str) -> tuple[str, str]:
    """Our mean lead over a system in points, with its interval over sets and their draws; and how the draws went."""
    if system == OURS:
        return "", ""
    leads: dict[str, list[float]] = defaultdict(list)
    for (name, _, _), found in _by_draw(rows).items():
        if {OURS, system} <= set(found):
            leads[name].append(100 * (_value(found[OURS]) - _value(found[system])))
    flat = [lead for lead in leads.values() for lead in lead]
    if not flat:
        return "", ""
    low, high = _interval(list(leads.values()))
    ways: list[Callable[[float], bool]] = [lambda lead: lead > 0, lambda lead: lead == 0, lambda lead: lead < 0]
    return f"{statistics.mean(flat):+.1f} [{low:+.1f}, {high:+.1f}]", ", ".join(str(sum(map(way, flat))) for way in ways)


def _interval(leads: list[list[float]]) -> tuple[float, float]:
    """95%, by a bootstrap of sets, and of the draws within each."""
    chance = np.random.default_rng(0)
    means = []
    for _ in range(RESAMPLES):
        chosen = [leads[number] for number in chance.integers(len(leads), size=len(leads))]
        means.append(np.mean([chance.choice(one, size=len(one)).mean() for one in chosen]))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _lost(rows: list[Row]) -> str:
    """Each set and size where another system is better on average over the draws that both have."""
    lines = []
    for cell in sorted({(row["set"], row["size"]) for row in rows}):
        some = [row for row in rows if (row["set"], row["size"]) == cell]
        for system in sorted({row["system"] for row in some} - {OURS}):
            pairs = [
                (_value(found[system]), _value(found[OURS])) for found in _by_draw(some).values() if {OURS, system} <= set(found)
            ]
            behind = 100 * statistics.mean(theirs - ours for theirs, ours in pairs) if pairs else 0.0
            if behind > 0:
                lines.append(f"| {cell[0]} | {cell[1]:,} | {system} | {behind:.1f} |")
    if not lines:
        return "No other system is better on any set and size.\n"
    return "\n".join(["Where another system is better on average, in points of accuracy:\n", "| set | texts | system | by |",
                      "|---|---|---|---|", *lines, ""])  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page(read()), encoding="utf-8")
