"""The plots of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lorabert.evidence.calibration import Bin, Cut
from lorabert.studies.reporting.plots.drawing import DASHES, MARKERS, MUTED, SERIES, Plot, draw, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Event = dict[str, Any]
# A curve of more points shows nothing more at this size, and its table would fill the file.
_MOST_POINTS = 300


def curves(events: Sequence[Event]) -> list[Plot]:
    """Training and validation loss, and the learning rate, over the steps; only what was logged."""
    train, validation = _thinned(events, "train"), _thinned(events, "validation")
    plots = [_loss(train, validation)] if train or validation else []
    return plots + ([_rate(train)] if train else [])


def _thinned(events: Sequence[Event], kind: str) -> list[Event]:
    """The events of a kind by step, evenly thinned. A step that a resumed run logged again counts once, as it came last."""
    by_step = {event["step"]: event for event in events if event.get("event") == kind}
    points = [by_step[step] for step in sorted(by_step)]
    every = max(1, -(-len(points) // _MOST_POINTS))
    return points[::-every][::-1]


def _loss(train: list[Event], validation: list[Event]) -> Plot:
    named = [("training", train), ("validation", validation)]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (name, events) in enumerate(named):
            many = len(events) > 40
            axes.plot([event["step"] for event in events], [event["loss"] for event in events], color=SERIES[number],
                      linestyle=DASHES[number], marker="" if many else MARKERS[number], label=name)  # fmt: skip
        axes.set(xlabel="optimizer step", xlim=(0, None))
        _label_y(axes, "cross-entropy")
        axes.legend(loc="upper right")

    words = [_course(f"{name} loss", [event["loss"] for event in events]) for name, events in named]
    rows = [[event["step"], f"{event['epoch']:g}", event["event"], f"{event['loss']:.4f}"]
            for event in sorted([*train, *validation], key=lambda event: (event["step"], event["event"]))]  # fmt: skip
    title, words_of = "Loss", " ".join(word for word in words if word)
    return Plot("loss", title, words_of, draw("loss", title, words_of, paint), ["step", "epoch", "split", "cross-entropy"], rows)


def _course(name: str, values: list[float]) -> str:
    if not values:
        return ""
    return f"The {name} goes from {values[0]:.3f} to {values[-1]:.3f}, at its lowest {min(values):.3f}."


def _rate(train: list[Event]) -> Plot:
    steps, rates = [event["step"] for event in train], [event["learning_rate"] for event in train]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(steps, rates, color=SERIES[0], marker="" if len(steps) > 40 else MARKERS[0])
        axes.set(xlabel="optimizer step", xlim=(0, None), ylim=(0, None))
        axes.yaxis.set_major_locator(_few(5))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        _label_y(axes, "learning rate")

    title = "Learning rate"
    words = f"The learning rate goes from {rates[0]:.3g} at step {steps[0]} to {rates[-1]:.3g} at step {steps[-1]}."
    rows = [[step, f"{rate:.4g}"] for step, rate in zip(steps, rates, strict=True)]
    return Plot("rate", title, words, draw("rate", title, words, paint), ["step", "learning rate"], rows)


def beside_baselines(rows: Sequence[tuple[str, dict[str, Any]]]) -> Plot:
    """Accuracy of the run and of the cheap baselines with their intervals, the run first."""
    names, values = [name for name, _ in rows], [scores["accuracy"] for _, scores in rows]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, value in enumerate(values):
            own = place == 0
            axes.errorbar([100 * value["value"]], [place], xerr=_reach(value), fmt=MARKERS[0 if own else 1], capsize=4,
                          color=SERIES[0] if own else MUTED, markersize=8 if own else 6)  # fmt: skip
        axes.axvline(100 * values[0]["value"], color=SERIES[0], linewidth=0.8, linestyle=DASHES[1], zorder=0)
        axes.set(yticks=range(len(names)), yticklabels=[shown(name, 30) for name in names], xlabel="test accuracy, points",
                 ylim=(len(names) - 0.5, -0.5))  # fmt: skip
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    title = "Accuracy beside the cheap baselines"
    points = [f"{name} {100 * value['value']:.1f}, from {100 * value['low']:.1f} to {100 * value['high']:.1f}" for name, value in
              zip(names, values, strict=True)]  # fmt: skip
    words = f"Points of accuracy with 95% intervals: {'; '.join(points)}."
    table = [[name, *(f"{100 * value[key]:.2f}" for key in ("value", "low", "high")), value["n"]]
             for name, value in zip(names, values, strict=True)]  # fmt: skip
    svg = draw("baselines", title, words, paint, height=0.9 + 0.42 * len(names))
    return Plot("baselines", title, words, svg, ["", "accuracy", "low", "high", "n"], table)


def _reach(value: dict[str, Any]) -> list[list[float]]:
    """Lengths of an error bar in points, to the left and to the right."""
    return [[100 * (value["value"] - value["low"])], [100 * (value["high"] - value["value"])]]


def coverage(cuts: Sequence[Cut]) -> Plot:
    """Accuracy of what is answered over the share that is answered, each point one least probability."""
    kept = [(cut, cut.accuracy) for cut in cuts if cut.accuracy]
    table = [[f"{cut.below:.15g}", f"{100 * cut.coverage:.1f}", f"{100 * value.value:.1f}", f"{100 * value.low:.1f}",
              f"{100 * value.high:.1f}"] for cut, value in kept]  # fmt: skip

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = [100 * cut.coverage for cut, _ in kept]
        axes.fill_between(places, [100 * value.low for _, value in kept], [100 * value.high for _, value in kept],
                          color=SERIES[0], alpha=0.15, linewidth=0)  # fmt: skip
        axes.plot(places, [100 * value.value for _, value in kept], color=SERIES[0], marker=MARKERS[0])
        axes.set(xlabel="answered, percent of the test texts", xlim=(0, 102))
        _label_y(axes, "right of these, percent")

    title = "Accuracy of what is answered"
    first, last = table[0], table[-1]
    words = (f"Answering {first[1]} percent of the texts, {first[2]} percent of the answers are right; "
             f"answering {last[1]} percent, {last[2]} percent.")  # fmt: skip
    return Plot("coverage", title, words, draw("coverage", title, words, paint), ["at least", "answered", "right", "low", "high"],
                table)  # fmt: skip


def reliability(bins: Sequence[Bin], error: float, num_labels: int) -> Plot:
    """How often the classifier is right at each confidence, and how many examples each bin holds."""

    def paint(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 100], [0, 100], color=MUTED, linestyle=DASHES[2], linewidth=1.2)
        for part in bins:
            reach = [[100 * (part.accuracy.value - part.accuracy.low)], [100 * (part.accuracy.high - part.accuracy.value)]]
            above.errorbar([100 * part.confidence], [100 * part.accuracy.value], yerr=reach, fmt="none", color=SERIES[0],
                           capsize=3, elinewidth=1.2)  # fmt: skip
        above.plot([100 * part.confidence for part in bins], [100 * part.accuracy.value for part in bins], color=SERIES[0],
                   marker=MARKERS[0])  # fmt: skip
        above.set(ylim=(0, 103), xlim=(_left(num_labels), 101))
        _label_y(above, "right, %")
        widths = [100 * (part.high - part.low) * 0.92 for part in bins]
        centres = [50 * (part.low + part.high) for part in bins]
        below.bar(centres, [part.accuracy.n for part in bins], width=widths, color=MUTED)
        for centre, part in zip(centres, bins, strict=True):
            below.annotate(str(part.accuracy.n), (centre, part.accuracy.n), xytext=(0, 2), textcoords="offset points",
                           ha="center", fontsize=9.5)  # fmt: skip
        below.set(xlabel="confidence, %", ylim=(0, 1.45 * max(part.accuracy.n for part in bins)))
        below.grid(visible=False)
        below.yaxis.set_major_locator(_few(2, integer=True))
        _label_y(below, "texts")

    title = "Reliability"
    points = [
        f"{100 * part.confidence:.0f}% sure: {100 * part.accuracy.value:.0f}% right, {part.accuracy.n} texts" for part in bins
    ]
    words = f"Expected calibration error {100 * error:.1f} points. By confidence, {'; '.join(points)}."
    rows = [[f"{100 * part.low:.0f} to {100 * part.high:.0f}", part.accuracy.n, f"{100 * part.confidence:.1f}",
             f"{100 * part.accuracy.value:.1f}", f"{100 * part.accuracy.low:.1f}", f"{100 * part.accuracy.high:.1f}"]
            for part in bins]  # fmt: skip
    header = ["confidence, %", "texts", "mean confidence, %", "right, %", "low", "high"]
    return Plot("reliability", title, words, draw("reliability", title, words, paint, height=3.9), header, rows)


def _left(num_labels: int) -> float:
    """Where the axis of confidences begins: no prediction is less sure than one of C equal shares."""
    return max(0.0, 100 / num_labels // 10 * 10 - 1)


def _few(ticks: int, *, integer: bool = False) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=ticks, integer=integer)


def _label_y(axes: Any, text: str) -> None:
    """Label the y axis; anchored, so that the browser centres it whatever its font."""
    axes.set_ylabel(text, rotation_mode="anchor")
