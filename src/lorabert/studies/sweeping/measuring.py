"""What a trial is worth: its validation split, and nothing of its test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from lorabert.runs import answers

Metric = Literal["accuracy", "f1_macro", "mcc", "loss"]


def measure(record: dict[str, Any], run: Path | None, metric: Metric) -> dict[str, Any]:
    """The value of a trial with its 95% interval, or the error that it ended with.

    Args:
        record: what the campaign says of the run.
        run: its folder.
        metric: what to measure.

    Returns:
        `{"value", "low", "high", "n"}`, or `{"error"}`, with `pruned` where it was ended early.

    Raises:
        InputError: the run's answers cannot be read.
    """
    if record.get("status") == "stopped":
        return {"error": record["error"], "pruned": True}
    if record.get("status") != "done" or run is None:
        return {"error": record.get("error") or f"the run ended as {record.get('status')}"}
    labels, logits = answers.held_out(run, record)
    if not np.isfinite(logits).all():
        return {"error": "diverged: its answers are not numbers"}
    if metric == "loss":
        return _loss(labels, logits.astype(np.float64))
    return {key: record["validation_metrics"][metric][key] for key in ("value", "low", "high", "n")}


def _loss(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Mean cross-entropy over examples, with Student's interval of the mean."""
    from scipy.special import log_softmax
    from scipy.stats import ttest_1samp

    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    interval = ttest_1samp(losses, 0).confidence_interval(0.95)
    return {"value": float(losses.mean()), "low": float(interval.low), "high": float(interval.high), "n": len(losses)}
