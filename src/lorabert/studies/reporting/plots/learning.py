"""The plot of a learning curve: a metric over the number of labelled texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabert.studies.reporting.lines import percent
from lorabert.studies.reporting.plots.comparison import METRICS
from lorabert.studies.reporting.plots.drawing import DASHES, MARKERS, MUTED, SERIES, Plot, draw, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning(key: str, curve: dict[str, Any]) -> Plot:
    """Systems with their intervals, cheap baselines as thin lines, the number of texts on a logarithmic axis.

    Args:
        key: of the figure, unique on the page.
        curve: one of `curves` of comparison.json.
    """
    sizes, metric = curve["sizes"], METRICS[curve["metric"]]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (name, values) in enumerate(curve["baselines"].items()):
            axes.plot(sizes, [100 * value["value"] for value in values], color=MUTED, linewidth=1.2,
                      linestyle=DASHES[(1 + number) % len(DASHES)], label=shown(name, 34))  # fmt: skip
        for number, (name, values) in enumerate(curve["systems"].items()):
            points = [(size, value) for size, value in zip(sizes, values, strict=True) if value]
            reach = [[100 * (value["value"] - value["low"]) for _, value in points],
                     [100 * (value["high"] - value["value"]) for _, value in points]]  # fmt: skip
            places, heights = [size for size, _ in points], [100 * value["value"] for _, value in points]
            axes.errorbar(places, heights, yerr=reach, capsize=4, color=SERIES[number % len(SERIES)],
                          marker=MARKERS[number % len(MARKERS)], label=shown(name))  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("labelled texts")
        axes.set_ylabel(f"test {metric}, points", rotation_mode="anchor")
        figure.legend(loc="outside lower center", ncols=2)

    lines = [*curve["systems"].items(), *curve["baselines"].items()]
    rows: list[list[object]] = [[name, *("–" if value is None else percent(value) for value in values)] for name, values in lines]
    title = f"Test {metric} by labelled texts"
    words = f"In points with 95% intervals, for {', '.join(f'{size:,}' for size in sizes)} texts: " + "; ".join(
        f"{row[0]} {', '.join(map(str, row[1:]))}" for row in rows
    )
    svg = draw(key, title, words, paint, height=3.1 + 0.22 * ((len(lines) + 1) // 2))
    return Plot(key, title, f"{words}.", svg, ["", *(f"{size:,}" for size in sizes)], rows)
