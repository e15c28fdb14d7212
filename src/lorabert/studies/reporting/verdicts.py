"""What the numbers of a run mean, in sentences that claim no more than they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorabert.evidence.baselines import titled
from lorabert.evidence.calibration import Bin, Cut
from lorabert.runs.answers import chooses_by_folds
from lorabert.studies.reporting.lines import percent

# With fewer optimizer steps LoRA at its default rate has learnt little (docs/LOG.md, 2026-11-26).
_ENOUGH_STEPS = 200
# An interval that is wider leaves open whether a classifier is any good.
_WIDE = 0.2
# With a larger share of texts cut, what was cut is the first suspect.
_CUT = 0.1


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
    baselines = record["baselines"]
    answers = sum(any(row[k] for row in record["confusion"]) for k in range(len(record["confusion"])))
    lines = []
    if answers == 1:
        lines.append("It gives every test text the same answer: it has not learnt the task. Try a higher learning rate, more "
                     "epochs or more texts.")  # fmt: skip
    if baselines:
        lines.append(_beside(record))
    else:
        lines.append("No cheap baseline was measured, so the page cannot say whether the training was worth it.")
    lines.append("The intervals say how much another draw of test texts would change these values. They do not say what another "
                 "seed would change: this is one run, and `lorabert compare` runs several.")  # fmt: skip
    return lines


def standing(record: dict[str, Any]) -> list[str]:
    """Which is best on texts outside of training, the classifier or a cheap baseline, and what to do then.

    Args:
        record: of a finished run.
    """
    lines, found, folds = [], record.get("standing"), record.get("folds")
    accuracy = record.get("validation_metrics", {}).get("accuracy", {})
    if None in map(accuracy.get, ("low", "high", "n")):  # a record of somebody else's
        return []
    on = (
        f"{accuracy['n']:,} {'out-of-fold' if chooses_by_folds(record) else 'validation'} text{'s' if accuracy['n'] != 1 else ''}"
    )
    if folds:
        own = folds["metrics"]["accuracy"]
        lines.append(f"Out of fold: accuracy {percent(own)}; each of {own['n']:,} texts was answered by one of {folds['k']} "
                     "trainings that did not see it.")  # fmt: skip
    elif accuracy["high"] - accuracy["low"] > _WIDE:
        lines.append(f"{percent(accuracy)} on {on} says little; --folds 5 would ask every labelled text instead.")
    return [*lines, _standing(record, found, on)] if found else lines


def _standing(record: dict[str, Any], found: dict[str, Any], on: str) -> str:
    (name,), gain = titled({found["baseline"]: None}), found["difference"]
    interval = f"{100 * gain['value']:+.1f} points [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
    figures = f"{100 * found['accuracy']:.1f} against {100 * found['baseline_accuracy']:.1f}, {interval}"
    if gain["low"] > 0:
        return f"Best on {on}: {record['method']}, above the best cheap baseline, {name}: {figures}."
    if gain["high"] < 0:
        return f"Best on {on}: {name}, a cheap baseline; {record['method']} has {figures}. {_instead(record)}"
    return f"On the {on} {record['method']} and the best cheap baseline, {name}, cannot be told apart: {figures}."


def _instead(record: dict[str, Any]) -> str:
    """What to do where a baseline is better."""
    data, length = record["data"], record["config"]["model"]["max_length"]
    cut = data.get("truncated", {}).get("train", 0) / max(1, data.get("examples", {}).get("train", 1))
    if cut > _CUT:
        return f"{cut:.0%} of the texts were cut at {length} tokens: try a larger --model.max_length."
    if record["config"]["train"]["recipe"] == "course":
        return "Try --train.recipe auto, which fits the training to the data."
    return "`lorabert sweep` looks for better settings; until then take the baseline."


def _beside(record: dict[str, Any]) -> str:
    """How the classifier stands beside the best cheap baseline on the test texts, which both answered."""
    scores = {name: found["accuracy"]["value"] for name, found in titled(record["baselines"]).items()}
    name = max(scores, key=scores.__getitem__)
    points = 100 * (record["metrics"]["accuracy"]["value"] - scores[name])
    gain = record.get("test_standing", {}).get("difference")
    interval = f" [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]" if gain else ""
    line = f"In accuracy it is {points:+.1f} points{interval} from the best cheap baseline, {name}"
    if gain is None:
        return f"{line}; how sure that is was not recorded."
    if gain["low"] > 0:
        return f"{line}, paired on the same test texts: it is better."
    if gain["high"] < 0:
        return f"{line}, paired on the same test texts: it is worse, and not worth its cost as it stands."
    return f"{line}, paired on the same test texts, which do not settle which of the two is better."


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


def temperature(found: dict[str, Any] | None) -> str:
    """What was done about it, from the record of the calibration."""
    if not found:
        return "Its probabilities are as training left them: no temperature was fitted (`--train.calibration temperature`)."
    return (
        f"Its logits were divided by a temperature of {found['temperature']:.3g}, fitted on {found['n']:,} {found['on']} texts; "
        f"without it the error on the test split would be {100 * found['ece_before']:.1f} points, not {100 * found['ece']:.1f}."
    )


def abstaining(cuts: Sequence[Cut], suggestion: float | None, wanted: float) -> list[str]:
    """What leaving the unsure texts unanswered buys.

    Args:
        cuts: coverage and accuracy on the test split.
        suggestion: the probability that was right as often as wanted on other texts, if any was.
        wanted: the accuracy of what is answered.
    """
    lines = ["With `--abstain-below P` `lorabert predict` and `lorabert serve` give no label to a text whose best label is less "
             "probable than P."]  # fmt: skip
    if suggestion is None:
        return [*lines, f"No P made it {100 * wanted:.0f}% right on the texts that it was chosen by."]
    found = next(cut for cut in cuts if cut.below == suggestion)
    right = f"{100 * found.accuracy.value:.1f}% of them right" if found.accuracy else "none"
    return [*lines, f"To be right {100 * wanted:.0f} times in a hundred, P = {suggestion:.15g} was chosen on texts outside of "
            f"training; on the test split it answers {100 * found.coverage:.0f}%, {right}."]  # fmt: skip
