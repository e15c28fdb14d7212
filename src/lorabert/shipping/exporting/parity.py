"""How far an export's answers are from its adapter's, and how far is too far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import from_dict
from lorabert.data import sources
from lorabert.data.sources import Split
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError
from lorabert.evidence import statistics
from lorabert.runs import places
from lorabert.shipping import fingerprints

_PASSAGE = (
    "The film opens on a quiet harbour, where two brothers mend a boat that their father left them; neither has spoken "
    "since the funeral. What follows is slower than its trailer promised, 118 minutes of weather, debts and small "
    "kindnesses – yet the last scene, shot in one take, earns every one of them. Critics called it “a minor miracle”; "
    "the board, whose shares fell 3.5 % on Monday, called it overdue. Is it worth an evening? Mostly, yes."
)
_WORDS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)
Ask = Callable[[Split, int], np.ndarray]


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from its adapter; None where a format is not held to that figure.

    Attributes:
        relative_difference: of any logit, as a share of the largest logit.
        accuracy_drop: on the validation split, as a share of its examples; a single example more is never too many.
        agreement: share of texts that keep their label.
        fingerprint: `relative_difference` at loading, from the answers recorded when the export was made.
    """

    relative_difference: float | None
    accuracy_drop: float | None
    agreement: float | None
    fingerprint: float = fingerprints.TOLERANCE


# merged and onnx are the same function in the same arithmetic with its sums in another order: what is beyond a thousandth
# is no rounding but another model. 8 bits are another function, held to what it is used for: one label in a hundred may
# change, on either side of a decision that was close, but two right answers in a thousand are the most that may be lost on
# balance. A processor without the int8 instructions multiplies in fp32 instead, so that the answers recorded with such an
# export come back there only roughly (docs/LOG.md has by how much).
TOLERANCES = {
    "merged": Tolerance(relative_difference=1e-3, accuracy_drop=None, agreement=None),
    "onnx": Tolerance(relative_difference=1e-3, accuracy_drop=None, agreement=None),
    "onnx-int8": Tolerance(relative_difference=None, accuracy_drop=0.002, agreement=0.99, fingerprint=0.1),
}


@dataclass(frozen=True)
class Examples:
    """What both sides are asked.

    Attributes:
        fixed: unlabelled texts of every length.
        validation: the run's validation split; None where it cannot be had.
        why_not: why it cannot.
    """

    fixed: Split
    validation: Split | None
    why_not: str


@dataclass(frozen=True)
class Answers:
    """A classifier's logits, (n, C) float32 each.

    Attributes:
        fixed: of the fixed texts, in batches; an export's by the documented way.
        alone: of the fixed texts, one at a time, by the classifier itself.
        validation: of the validation split, or None.
        lengths: tokens of every text asked.
    """

    fixed: np.ndarray
    alone: np.ndarray
    validation: np.ndarray | None
    lengths: np.ndarray


def examples(adapter: Path, manifest: dict[str, Any], say: Callable[[str], None]) -> Examples:
    """The fixed texts and, where its recorded data can be had, the validation split of an adapter in a folder."""
    fixed = fixed_texts(manifest["max_length"], pairs=manifest.get("data", {}).get("columns", {}).get("text_pair") is not None)
    if "config" not in manifest or "data" not in manifest:
        return Examples(fixed, None, "The adapter does not say what data it was trained on.")
    try:
        splits = sources.recorded(from_dict(manifest["config"]).data, manifest["data"], partial(places.elsewhere, adapter))
    except InputError as error:
        say(f"The validation split cannot be had, so no accuracy is compared: {error}")
        return Examples(fixed, None, str(error))
    if not len(splits.validation):
        return Examples(fixed, None, "The run has no validation split: it was measured out of folds.")
    return Examples(fixed, splits.validation, "")


def fixed_texts(max_length: int, *, pairs: bool) -> Split:
    """Texts without labels from no word at all to more than `max_length` tokens."""
    counts = [*(count for count in _WORDS if count < max_length), max_length]
    passage = _PASSAGE.split() * (1 + max_length // 50)
    texts = [*fingerprints.TEXTS, *(" ".join(passage[:count]) for count in counts)]
    seconds = [" ".join(text.split()[::-1][: max_length // 2]) for text in texts]
    return Split(texts, seconds if pairs else None, np.zeros(len(texts), np.int64))


def answers(classifier: Classifier, asked: Examples, batch_size: int, ask: Ask | None = None) -> Answers:
    """Ask a classifier everything, by PEFT's, Transformers' or ONNX Runtime's own forward: none of the engine's is in it.

    Args:
        classifier: an adapter's, or an export's as it was opened from the disk.
        asked: the texts.
        batch_size: how many at once.
        ask: from texts and a batch size to logits, where it is not the classifier's own way; it still answers each text alone.
    """

    def by_itself(split: Split, batch_size: int) -> np.ndarray:
        return classifier.plain_logits(classifier.encode(split), batch_size=batch_size)

    ask = ask or by_itself
    splits = [asked.fixed, *([asked.validation] if asked.validation is not None else [])]
    return Answers(
        fixed=ask(asked.fixed, batch_size),
        alone=by_itself(asked.fixed, 1),
        validation=None if asked.validation is None else ask(asked.validation, batch_size),
        lengths=np.concatenate([classifier.encode(split).lengths for split in splits]),
    )


def compared(adapter: Answers, export: Answers, asked: Examples) -> dict[str, Any]:
    """The figures of parity.json: logits, agreement and, on the validation split, accuracy and macro-F1 of both sides.

    Raises:
        InputError: the export's logits are not finite numbers, which no tolerance allows.
    """
    ours, theirs = (np.concatenate([side.fixed, *_some(side.validation)]) for side in (adapter, export))
    if not np.isfinite(theirs).all():
        raise InputError("The export's answers are not finite numbers", fix="Choose another --format")
    difference, largest = np.abs(theirs - ours), float(np.abs(ours).max()) or 1.0
    same = ours.argmax(1) == theirs.argmax(1)
    together = np.abs(export.fixed - export.alone).max()
    return {
        "texts": {
            "fixed": len(adapter.fixed), "validation": 0 if adapter.validation is None else len(adapter.validation),
            "shortest_tokens": int(adapter.lengths.min()), "longest_tokens": int(adapter.lengths.max()),
            "mean_tokens": float(adapter.lengths.mean()),
        },
        "logits": {
            "largest": largest,
            "max_difference": float(difference.max()), "mean_difference": float(difference.mean()),
            "relative_max_difference": float(difference.max()) / largest,
            "relative_mean_difference": float(difference.mean()) / largest,
            # A text alone against the same text among others, of an export: lorabert's reading of it against the documented
            # way. What shares its batch should not matter, nor who asks.
            "relative_max_difference_by_batch": float(together) / largest,
        },
        "agreement": statistics.wilson_interval(int(same.sum()), len(same)).to_dict(),
        "validation": _scores(adapter.validation, export.validation, asked),
    }  # fmt: skip


def _some(logits: np.ndarray | None) -> list[np.ndarray]:
    return [] if logits is None else [logits]


def _scores(adapter: np.ndarray | None, export: np.ndarray | None, asked: Examples) -> dict[str, Any]:
    """Accuracy and macro-F1 on labelled texts, and the paired difference in accuracy, export less adapter."""
    if adapter is None or export is None or asked.validation is None:
        return {"missing": asked.why_not}
    labels = asked.validation.labels
    document: dict[str, Any] = {"n": len(labels)}
    for name, logits in (("adapter", adapter), ("export", export)):
        estimates = statistics.estimates(labels, logits.argmax(1), logits.shape[1])
        document[name] = {metric: estimates[metric].to_dict() for metric in ("accuracy", "f1_macro")}
    theirs, ours = (logits.argmax(1)[None] for logits in (export, adapter))
    gained = statistics.paired_difference(labels, theirs, ours, adapter.shape[1], generator=np.random.default_rng(0))
    return document | {"accuracy_difference": gained.to_dict()}


def excesses(format_name: str, figures: dict[str, Any]) -> list[str]:
    """What is beyond the format's tolerance, a sentence each; nothing when the export gives the same answers."""
    tolerance = TOLERANCES[format_name]
    found = []
    relative = figures["logits"]["relative_max_difference"]
    if tolerance.relative_difference is not None and relative > tolerance.relative_difference:
        found.append(
            f"its logits differ by up to {relative:.2g} of the largest, and {tolerance.relative_difference:g} is allowed"
        )
    by_batch = figures["logits"]["relative_max_difference_by_batch"]
    if tolerance.relative_difference is not None and by_batch > tolerance.relative_difference:
        found.append(f"a text alone and in a batch gets logits that differ by up to {by_batch:.2g} of the largest")
    agreement = figures["agreement"]
    if tolerance.agreement is not None and agreement["value"] < tolerance.agreement and _changed(agreement) > 1:
        found.append(
            f"{_changed(agreement)} of {agreement['n']:,} texts get another label, and {1 - tolerance.agreement:.1%} is allowed"
        )
    gained = figures["validation"].get("accuracy_difference")
    if tolerance.accuracy_drop is not None and gained and _lost(gained) > max(1, tolerance.accuracy_drop * gained["n"]):
        found.append(
            f"its accuracy on the validation split is {-100 * gained['value']:.2f} points lower, "
            f"and {100 * tolerance.accuracy_drop:g} are allowed"
        )
    return found


def _changed(agreement: dict[str, Any]) -> int:
    return round((1 - agreement["value"]) * agreement["n"])


def _lost(gained: dict[str, Any]) -> int:
    """Right answers lost on balance."""
    return round(-gained["value"] * gained["n"])


def as_document(format_name: str, figures: dict[str, Any], found: list[str], versions: dict[str, str]) -> dict[str, Any]:
    """What parity.json holds."""
    return {
        "format": format_name,
        "within_tolerance": not found,
        "beyond": found,
        "tolerance": dataclasses.asdict(TOLERANCES[format_name]),
        **figures,
        "versions": versions,
    }
