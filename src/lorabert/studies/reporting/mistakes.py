"""The mistakes a run was surest of: where labels are wrong, texts are hard, or the classifier has learnt something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorabert.evidence.metrics import softmax

MOST = 20
_LONGEST = 500


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        index: the example's place in the test split, from 0.
        true: its label.
        predicted: the answer.
        confidence: probability given to the answer.
        given_to_true: probability given to the label.
        text: the example, cut where it is long; None where the texts cannot be had.
        cut: how many characters were left out.
    """

    index: int
    true: str
    predicted: str
    confidence: float
    given_to_true: float
    text: str | None
    cut: int = 0


def surest(labels: np.ndarray, logits: np.ndarray, names: list[str], texts: list[str] | None) -> list[Mistake]:
    """The wrong answers with the highest probability, surest first; equally sure ones in the split's order.

    Args:
        labels: true classes, (n,).
        logits: answers, (n, C).
        names: C label names.
        texts: n texts, or None.
    """
    shares, answers = softmax(logits), logits.argmax(1)
    wrong = np.flatnonzero(answers != labels)
    order = wrong[np.argsort(-shares[wrong].max(1), kind="stable")][:MOST]
    return [
        Mistake(row, names[labels[row]], names[answers[row]], float(shares[row].max()), float(shares[row, labels[row]]),
                texts[row][:_LONGEST] if texts else None, max(0, len(texts[row]) - _LONGEST) if texts else 0)
        for row in order.tolist()
    ]  # fmt: skip
