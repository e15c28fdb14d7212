"""The answers to a few fixed texts: recorded in a manifest, and asked for again at every loading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lorabert.data.sources import Split
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError

TEXTS = (
    "ok",
    "A small movie with a big impact.",
    "The company said its board approved a two-for-one stock split, 3.5 mln shares; trading resumes on Monday.",
    "Déjà vu? Naïve – “très bien”, 100 %: ça marche!",
    "word " * 200,
)
# Bit-identical on one machine; another processor, thread count or build of the matrix library rounds differently.
# Relative to the largest logit, so that it means the same for a hesitant classifier as for a sure one.
TOLERANCE = 1e-3
# bf16 keeps eight bits of each number that goes into a product: 0.02 of the largest logit was seen
# (benchmarks/prediction_speed.py). It tells another adapter from this one; a changed digit is the hashes' to find.
HALF_TOLERANCE = 5e-2


def taken(classifier: Classifier) -> dict[str, Any]:
    """A classifier's logits on the fixed texts, as a manifest keeps them.

    Raises:
        InputError: they are not finite.
    """
    logits = _logits(classifier, TEXTS)
    if not np.isfinite(logits).all():
        raise InputError(
            "Training diverged: the classifier's answers are not finite numbers",
            fix="Lower --train.learning_rate, or keep --train.max_grad_norm at 1",
        )
    return {"texts": list(TEXTS), "logits": logits.tolist()}


def compared(classifier: Classifier, recorded: dict[str, Any], tolerance: float = TOLERANCE) -> tuple[float, list[str]]:
    """The largest difference from recorded logits (0.0 is bit-identical), and what is wrong with it, a sentence each."""
    wanted = np.array(recorded["logits"], dtype=np.float32)
    if (
        not wanted.size or not np.isfinite(wanted).all()
    ):  # nothing differs from no answer, and no difference from infinity is too large
        return float("inf"), ["no finite answers were recorded with it, so that there is nothing to check it by"]
    found = _logits(classifier, recorded["texts"])
    if wanted.shape != found.shape:
        return float("inf"), [f"it gives {found.shape[1]} logits a text, and {wanted.shape[1]} were recorded"]
    difference = float(np.abs(found - wanted).max())
    if difference <= tolerance * np.abs(wanted).max():
        return difference, []
    return difference, [f"its logits differ from the recorded ones by up to {difference:.3g}"]


def _logits(classifier: Classifier, texts: Sequence[str]) -> np.ndarray:
    """Logits of texts, each alone so that no batch shape plays a part, (texts, C) float32."""
    split = classifier.encode(Split(list(texts), None, np.zeros(len(texts), np.int64)))
    return np.concatenate([classifier.plain_logits(split.rows(np.array([row])), batch_size=1) for row in range(len(split))])
