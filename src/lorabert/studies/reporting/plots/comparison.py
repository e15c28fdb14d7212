"""The plots of one task of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabert.evidence.baselines import titled
from lorabert.studies.reporting.lines import percent
from lorabert.studies.reporting.plots.drawing import BAND, DASHES, INK, MARKERS, MUTED, SERIES, Plot, draw, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Task = dict[str, Any]
METRICS = {"accuracy": "accuracy", "f1_macro": "macro-F1", "mcc": "MCC"}


@dataclass(frozen=True)
class _Look:
    """How a system looks in every plot of its task."""

    colour: str
    marker: str
    hollow: bool

    @property
    def face(self) -> str:
        """The marker's inside; the second six systems have hollow ones."""
        return "none" if self.hollow else self.colour


def plots(key: str, task: Task) -> dict[str, Plot | None]:
    """Every plot of a task that there are numbers for: seeds, differences, parameters, seconds, tuning.

    Args:
        key: prefix of the figures' ids, unique on the page.
        task: one of `tasks` of comparison.json.
    """
    metric = METRICS[task["metric"]]
    measured = {name: system for name, system in task["systems"].items() if system["metrics"]}
    looks = {name: _Look(SERIES[n % len(SERIES)], MARKERS[n % len(MARKERS)], n // len(SERIES) % 2 == 1)
             for n, name in enumerate(task["systems"])}  # fmt: skip
    return {
        "seeds": _seeds(f"{key}-seeds", task, measured, looks) if measured else None,
        "differences": _differences(f"{key}-differences", task) if task["differences"] else None,
        "parameters": _costs(f"{key}-parameters", task, measured, looks, "parameters",
                             f"Test {metric} against trained parameters", "trained parameters with head") if measured else None,
        "seconds": _costs(f"{key}-seconds", task, measured, looks, "train_seconds", f"Test {metric} against training time",
                          "seconds of training, median over seeds") if measured else None,
        "tuning": _tuning(f"{key}-tuning", task, looks) if task["tuning"] else None,
    }  # fmt: skip


def _seeds(key: str, task: Task, systems: dict[str, Any], looks: dict[str, _Look]) -> Plot:
    metric = task["metric"]
    inside, outside = _lines(task, systems)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (name, system) in enumerate(systems.items()):
            mean, look = system["metrics"][metric], looks[name]
            axes.plot([100 * value for value in mean["values"]], [place - 0.2] * len(mean["values"]), linestyle="none",
                      marker="o", markersize=4.5, color=look.colour, alpha=0.75)  # fmt: skip
            axes.errorbar([100 * mean["value"]], [place + 0.12], xerr=_reach(mean), fmt=look.marker, color=look.colour,
                          markerfacecolor=look.face, markersize=8, capsize=4)  # fmt: skip
        for number, (name, value) in enumerate(inside):
            axes.axvline(100 * value, color=MUTED, linewidth=1.2, linestyle=DASHES[1 + number], label=shown(name, 34), zorder=0)
        axes.set(yticks=range(len(systems)), yticklabels=[shown(name) for name in systems], ylim=(len(systems) - 0.5, -0.6),
                 xlabel=f"test {METRICS[metric]}, points")  # fmt: skip
        _rows_only(axes)
        if inside:
            figure.legend(loc="outside lower right", ncols=1)

    title = f"Test {METRICS[metric]}, every seed"
    points = [f"{name} {percent(system['metrics'][metric])}" for name, system in systems.items()]
    words = f"Mean over seeds with 95% interval, in points: {'; '.join(points)}."
    rows: list[list[object]] = [[name, f"seed {run['seed']}", *(_points(run["metrics"], which) for which in METRICS)]
            for name, system in task["systems"].items() for run in system["runs"]]  # fmt: skip
    left_out = ", ".join(f"{name} ({100 * value:.1f})" for name, value in outside)
    caption = "Small dots are seeds, the large mark below them is their mean with its interval."
    caption += " Lines are cheap baselines." if inside else ""
    header = ["system", "run", *METRICS.values()]
    return Plot(key, title, words, draw(key, title, words, paint, height=1.2 + 0.55 * len(systems) + 0.22 * len(inside)), header,
                rows, caption + (f" Further left, not drawn: {left_out}." if outside else ""))  # fmt: skip


def _lines(task: Task, systems: dict[str, Any]) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Baselines to draw as lines, and those so far to the left that they would squeeze the systems together.

    The best one is always drawn.
    """
    metric = task["metric"]
    means = [system["metrics"][metric] for system in systems.values()]
    lowest, highest = (pick(mean[end] for mean in means) for pick, end in ((min, "low"), (max, "high")))
    ranked = sorted(
        ((name, scores[metric]["value"]) for name, scores in titled(task["baselines"]).items()), key=lambda pair: -pair[1]
    )
    floor = min([lowest, *(value for _, value in ranked[:1])]) - 0.5 * (highest - lowest)
    return [pair for pair in ranked if pair[1] >= floor], [pair for pair in ranked if pair[1] < floor]


def _differences(key: str, task: Task) -> Plot:
    found, margin = task["differences"], 100 * task["differences"][0]["margin"]
    against, metric = found[0]["against"], METRICS[found[0]["metric"]]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvspan(-margin, margin, color=BAND, alpha=0.28, linewidth=0, zorder=0)
        axes.axvline(0, color=INK, linewidth=1)
        for place, row in enumerate(found):
            seeds = [100 * value for value in row["by_seed"]]
            axes.plot(seeds, [place - 0.2] * len(seeds), linestyle="none", marker="o", markersize=4.5, color=SERIES[0],
                      alpha=0.75)  # fmt: skip
            axes.errorbar(
                [100 * row["value"]], [place + 0.12], xerr=_reach(row), fmt="D", color=SERIES[0], markersize=7, capsize=4
            )
        labels = [f"{shown(row['system'])}\n{row['verdict']}" for row in found]
        axes.set(yticks=range(len(found)), yticklabels=labels, ylim=(len(found) - 0.5, -0.6),
                 xlabel=f"{metric} minus that of {shown(against)}, points")  # fmt: skip
        _rows_only(axes)

    title = f"Paired differences to {against}"
    points = [f"{row['system']} {_signed(row)}, {row['verdict']}" for row in found]
    words = f"Difference in points of {metric} with 95% interval, margin {margin:g}: {'; '.join(points)}."
    rows = [
        [row["system"], _signed(row), row["n_seeds"], ", ".join(f"{100 * one:+.2f}" for one in row["by_seed"]), row["verdict"]]
        for row in found
    ]
    caption = (
        f"Small dots are seeds, the large mark is the mean with its interval. The band is the margin of ±{margin:g} points: "
        "an interval inside it is equivalent where test texts are many enough, another that leaves out 0 is "
        "different, the rest is undecided."
    )
    svg = draw(key, title, words, paint, height=0.9 + 0.62 * len(found))
    return Plot(key, title, words, svg, ["system", "difference", "seeds", "each seed", "verdict"], rows, caption)


def _costs(key: str, task: Task, systems: dict[str, Any], looks: dict[str, _Look], cost: str, title: str, axis: str) -> Plot:
    metric = task["metric"]
    points = [(name, system["cost"][cost], system["metrics"][metric]) for name, system in systems.items()]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for name, at, value in points:
            look = looks[name]
            axes.errorbar([at], [100 * value["value"]], yerr=_reach(value), fmt=look.marker, color=look.colour,
                          markerfacecolor=look.face, markersize=8, capsize=3, label=shown(name))  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel(axis)
        _plain_decades(axes.xaxis, [at for _, at, _ in points])
        axes.set_ylabel("points", rotation_mode="anchor")
        figure.legend(loc="outside lower center", ncols=2)

    told = [f"{name} at {at:,.3g} {percent(value)}" for name, at, value in points]
    words = f"In points of {METRICS[metric]} with 95% intervals, the cost on a logarithmic axis: {'; '.join(told)}."
    rows = [[name, f"{at:,.0f}" if cost == "parameters" else f"{at:,.1f}", value] for name, at, value in points]
    svg = draw(key, title, words, paint, height=2.9 + 0.22 * ((len(points) + 1) // 2))
    return Plot(key, title, words, svg, ["system", axis, METRICS[metric]], rows)


def _tuning(key: str, task: Task, looks: dict[str, _Look]) -> Plot:
    found = {name: search for name, search in task["tuning"].items() if search}
    metric = METRICS[task["metric"]]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (name, search) in enumerate(found.items()):
            tried = [trial for trial in search["trials"] if trial["validation"] is not None]
            look = looks[name]
            axes.plot([trial["learning_rate"] for trial in tried], [100 * trial["validation"] for trial in tried],
                      color=look.colour, marker=look.marker, markerfacecolor=look.face, linestyle=DASHES[number % len(DASHES)],
                      label=shown(name))  # fmt: skip
            best = [100 * trial["validation"] for trial in tried if trial["learning_rate"] == search["chosen"]]
            axes.plot([search["chosen"]] * len(best), best, linestyle="none", marker="o", markersize=13, markerfacecolor="none",
                      color=look.colour)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        _plain_decades(axes.xaxis, [trial["learning_rate"] for search in found.values() for trial in search["trials"]])
        axes.set_ylabel(f"validation {metric}, points", rotation_mode="anchor")
        figure.legend(loc="outside lower center", ncols=2)

    title = "Learning rates that were tried"
    chosen = [
        f"{name} {search['chosen']:g}" if search["chosen"] is not None else f"{name} none" for name, search in found.items()
    ]
    words = f"Validation {metric} by learning rate. Chosen: {'; '.join(chosen)}."
    rows = [[name, f"{trial['learning_rate']:g}", "failed" if trial["validation"] is None else f"{100 * trial['validation']:.2f}",
             "chosen" if trial["learning_rate"] == search["chosen"] else trial["error"] or ""]
            for name, search in found.items() for trial in search["trials"]]  # fmt: skip
    svg = draw(key, title, words, paint, height=2.9 + 0.22 * ((len(found) + 1) // 2))
    header = ["system", "learning rate", f"validation {metric}, points", "note"]
    return Plot(key, title, words, svg, header, rows, "A ring marks the rate that was chosen. Test had no say in it.")


def _plain_decades(axis: Any, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis as people write numbers; between the decades too where there is no more than one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    narrow = max(values) <= 50 * min(values)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    """A tick's number: 5k, 20M, 0.0005, 2e-05."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.3g}"


def _rows_only(axes: Any) -> None:
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _reach(value: dict[str, Any]) -> list[list[float]]:
    return [[100 * (value["value"] - value["low"])], [100 * (value["high"] - value["value"])]]


def _points(values: dict[str, float] | None, metric: str) -> str:
    return "–" if values is None else f"{100 * values[metric]:.2f}"


def _signed(value: dict[str, Any]) -> str:
    return f"{100 * value['value']:+.2f} [{100 * value['low']:+.2f}, {100 * value['high']:+.2f}]"
