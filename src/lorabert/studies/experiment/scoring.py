"""What answers are worth: metrics with intervals, and what the same test split gives for next to nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from lorabert.config import RunConfig
from lorabert.evidence import baselines, metrics, statistics
from lorabert.studies.experiment import probing
from lorabert.studies.experiment.preparing import Prepared, Say, prepare


def score(labels: np.ndarray, predicted: np.ndarray, label_names: list[str]) -> dict[str, Any]:
    """Metrics with intervals, the per-class table and the confusion matrix of one set of predictions."""
    confusion = metrics.confusion_matrix(labels, predicted, len(label_names))
    estimates = statistics.estimates(labels, predicted, len(label_names))
    return {
        "metrics": {name: estimate.to_dict() for name, estimate in estimates.items()},
        "per_class": [dataclasses.asdict(row) for row in metrics.per_class(confusion, label_names)],
        "confusion": confusion.tolist(),
    }


def cheap_baselines(settings: RunConfig, *, say: Say = print) -> dict[str, Any]:
    """What the test split of a configuration can be predicted with for next to nothing; nothing is trained or written."""
    return baselines_of(prepare(settings, say, None))


def baselines_of(ready: Prepared) -> dict[str, Any]:
    """What the test split can be predicted with for next to nothing; the frozen base is the model before training."""
    splits, names = ready.splits, ready.splits.label_names
    some, read = probing.frozen_states(ready)
    answers = probing.read(ready, ready.encoded.test)
    predicted = {
        "majority class": baselines.majority(splits.train.labels, len(splits.test)),
        "TF-IDF + logistic regression": baselines.tfidf_linear(splits.train.joined(), splits.train.labels, splits.test.joined()),
        "frozen base + linear head": baselines.frozen_linear(read.mean, splits.train.labels[some], answers.mean),
    }
    return {name: score(splits.test.labels, found, names)["metrics"] for name, found in predicted.items()}
