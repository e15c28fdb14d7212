"""The picture of a sweep: the value of every trial against each option, and what mattered."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from lorabert.studies.sweeping.results import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Two of Okabe and Ito's colours, which stay apart for colour-blind eyes; the best is a star besides.
_TRIAL, _BEST = "#0072b2", "#d55e00"
_COLUMNS = 3
# Beyond this ratio of the ends, ticks at 1, 2 and 5 of each decade would run into each other.
_MANY_DECADES = 100


def svg(document: dict[str, Any]) -> bytes:
    """Draw sweep.json: one panel for each option, and one of their importances where these are known."""
    import matplotlib
    from matplotlib.figure import Figure

    keys, importances = list(document["space"]), document["importances"]
    panels = len(keys) + bool(importances)
    rows = math.ceil(panels / _COLUMNS)
    columns = min(panels, _COLUMNS)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, key in zip(axes, keys, strict=False):
        _slice(panel, document, key)
    if importances:
        _bars(axes[len(keys)], importances)
    for panel in axes[panels:]:
        panel.axis("off")
    done = sum(row["status"] == "done" for row in document["trials"])
    figure.suptitle(
        f"{done} trials, validation {document['metric']}; the star is the best, the band its 95% interval", fontsize=10
    )
    picture = io.BytesIO()
    # The same sweep gives the same bytes: no date, and names that do not change.
    with matplotlib.rc_context({"svg.hashsalt": "lorabert", "svg.fonttype": "none"}):
        figure.savefig(
            picture, format="svg", metadata={"Date": None, "Title": f"Sweep: validation {document['metric']} of {done} trials"}
        )
    return picture.getvalue()


def _slice(panel: Axes, document: dict[str, Any], key: str) -> None:
    """Every finished trial's value against one option."""
    best, space = document["best"], document["space"][key]
    done = [row for row in document["trials"] if row["status"] == "done" and key in row["parameters"]]
    if "choices" in space:
        labels = [shown(choice) for choice in space["choices"]]
        places = [labels.index(shown(row["parameters"][key])) for row in done]
        at = labels.index(shown(best["parameters"][key]))
        panel.set_xticks(range(len(labels)), labels)
        panel.set_xlim(-0.5, len(labels) - 0.5)
    else:
        places = [row["parameters"][key] for row in done]
        at = best["parameters"][key]
        _scale(panel, space)
    panel.axhspan(best["low"], best["high"], color=_BEST, alpha=0.12, linewidth=0)
    panel.scatter(places, [row["value"] for row in done], color=_TRIAL, alpha=0.7, s=24, linewidths=0)
    panel.scatter([at], [best["value"]], color=_BEST, marker="*", s=150, zorder=3)
    panel.set_xlabel(key)
    panel.set_ylabel(document["metric"])
    panel.grid(alpha=0.25)


def _scale(panel: Axes, space: dict[str, Any]) -> None:
    """An axis over the whole range that was searched, whether or not a trial reached its ends."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = space["low"], space["high"]
    if not space["log"]:
        margin = 0.05 * (high - low)
        panel.set_xlim(low - margin, high + margin)
        if isinstance(low, int):
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    margin = (high / low) ** 0.05
    panel.set_xscale("log")
    panel.set_xlim(low / margin, high * margin)
    few = high / low > _MANY_DECADES
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _bars(panel: Axes, importances: dict[str, float]) -> None:
    """The share of the variance between trials that each option explains."""
    keys = list(importances)[::-1]
    panel.barh(keys, [importances[key] for key in keys], color=_TRIAL)
    panel.set_xlabel("share of the variance (fANOVA)")
    panel.set_xlim(0, 1)
