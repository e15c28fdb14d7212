"""What the numbers of a run mean, in sentences that claim no more than they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorabert.evidence.calibration import Bin

# With fewer optimizer steps LoRA at its default rate has learnt little (docs/LOG.md, 2026-11-26).
_ENOUGH_STEPS = 200


def data_name(record: dict[str, Any]) -> str:
    """What the data are called: an asset's name or a hub id, or a file's name without the way to it."""
    origin = str(record["data"]["origin"])
    return Path(origin).name if record["config"]["data"]["train"] else origin


def summary(record: dict[str, Any]) -> str:
    """Two sentences: what the run is, and what came of it."""
    data, trainable, accuracy = record["data"], record["trainable"], record["metrics"]["accuracy"]
    names = data["labels"]
    classes = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    rate = record["config"]["train"]["learning_rate"]
    what = "every weight of" if record["method"] == "full" else "the frozen"
    return (
        f"A classifier of {data_name(record)} into {len(names)} classes ({classes}): method {record['method']} on {what} "
        f"{record['base']['name']}, {trainable['parameters']:,} parameters trained on {data['examples']['train']:,} texts for "
        f"{record['fit']['epochs']:g} epochs at learning rate {rate:g}, seed {record['seed']}. "
        f"It gets {100 * accuracy['value']:.1f}% of {accuracy['n']:,} test texts right, "
        f"with a 95% interval from {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}."
    )


def meaning(record: dict[str, Any]) -> list[str]:
    """What the test results are worth beside the cheap baselines."""
    own, baselines = record["metrics"]["accuracy"], record["baselines"]
    answers = sum(any(row[k] for row in record["confusion"]) for k in range(len(record["confusion"])))
    lines = []
    if answers == 1:
        lines.append("It gives every test text the same answer: it has not learnt the task. Try a higher learning rate, more "
                     "epochs or more texts.")  # fmt: skip
    if baselines:
        lines.append(_beside(own, *max(baselines.items(), key=lambda item: item[1]["accuracy"]["value"])))
    else:
        lines.append("No cheap baseline was measured, so the page cannot say whether the training was worth it.")
    lines.append("The intervals say how much another draw of test texts would change these values. They do not say what another "
                 "seed would change: this is one run, and `lorabert compare` runs several.")  # fmt: skip
    return lines


def _beside(own: dict[str, Any], name: str, scores: dict[str, Any]) -> str:
    other = scores["accuracy"]
    difference = 100 * (own["value"] - other["value"])
    if round(difference, 1) == 0:
        return f"It is level with the best cheap baseline, {name}, in accuracy: its cost bought nothing here."
    side = "above" if difference > 0 else "below"
    apart = own["low"] > other["high"] or own["high"] < other["low"]
    certainty = (
        "their intervals do not overlap" if apart else "their intervals overlap, so this test split alone does not settle it"
    )
    line = f"It is {abs(difference):.1f} points of accuracy {side} the best cheap baseline, {name}; {certainty}."
    return line if difference > 0 else f"{line} As it stands it is not worth its cost."


def learning(events: Sequence[dict[str, Any]], logging_steps: int) -> list[str]:
    """What the curves show, and why one is missing."""
    validation = [event for event in events if event["event"] == "validation"]
    lines = []
    if not events:
        return ["No losses were logged: metrics.jsonl is empty or gone."]
    if not any(event["event"] == "train" for event in events):
        lines.append(f"The training loss was logged every {logging_steps:,} steps, and the run took fewer.")
    if validation:
        best, last = min(validation, key=lambda event: event["loss"]), validation[-1]
        later = "" if best is last else f", and {last['loss']:.3f} at the end"
        lines.append(f"The validation loss is lowest after epoch {best['epoch']:g}, at {best['loss']:.3f}{later}.")
        if further := more_epochs(events):
            lines.append(further)
        elif best is not last:
            lines.append("A loss that rises again comes from wrong answers that it grows sure of; "
                         "`--train.early_stopping_patience` keeps the best epoch.")  # fmt: skip
    return lines


def more_epochs(events: Sequence[dict[str, Any]]) -> str:
    """What to try where the validation loss was still falling when training ended; nothing where it was not."""
    validation = [event for event in events if event["event"] == "validation"]
    if len(validation) < 2 or validation[-1]["loss"] >= min(event["loss"] for event in validation[:-1]):
        return ""
    epochs, steps = len(validation), validation[-1]["step"]
    few = f", after {steps:,} steps" if steps < _ENOUGH_STEPS else ""
    return (
        f"The validation loss was still falling when training ended{few}: more epochs may help "
        f"(`--train.num_train_epochs {max(2 * epochs, math.ceil(_ENOUGH_STEPS * epochs / steps))} "
        "--train.early_stopping_patience 3`)."
    )


def calibrated(bins: Sequence[Bin], error: float) -> str:
    """Whether it is right as often as it is sure."""
    n = sum(part.accuracy.n for part in bins)
    sure = 100 * sum(part.confidence * part.accuracy.n for part in bins) / n
    right = 100 * sum(part.accuracy.value * part.accuracy.n for part in bins) / n
    gap = sure - right
    if abs(gap) < 1:
        lean = "sure as often as right, over all"
    else:
        lean = f"{'overconfident' if gap > 0 else 'underconfident'} by {abs(gap):.1f} points"
    return (
        f"On average it is {sure:.1f}% sure and {right:.1f}% right: {lean}. The expected calibration error is {100 * error:.1f} "
        f"points over {len(bins)} bins of {n:,} test texts; it grows where bins hold few, so compare it at equal sizes only."
    )
