"""What answers are worth: metrics with intervals, and what the same texts give for next to nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from lorabert.config import RunConfig
from lorabert.data.encoding import EncodedSplit
from lorabert.data.sources import Split
from lorabert.evidence import baselines, metrics, statistics
from lorabert.evidence.baselines import EMBEDDING, MAJORITY, STATIC, TFIDF
from lorabert.studies.experiment import folding, probing
from lorabert.studies.experiment.preparing import Prepared, Say, prepare

Answers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Cheap:
    """What the cheap baselines answer.

    Attributes:
        test: to the test split, by their names.
        held_out: to the validation split, or where there is none out of the folds; empty where there are neither.
    """

    test: Answers
    held_out: Answers


def score(labels: np.ndarray, predicted: np.ndarray, label_names: list[str]) -> dict[str, Any]:
    """Metrics with intervals, the per-class table and the confusion matrix of one set of predictions."""
    confusion = metrics.confusion_matrix(labels, predicted, len(label_names))
    estimates = statistics.estimates(labels, predicted, len(label_names))
    return {
        "metrics": {name: estimate.to_dict() for name, estimate in estimates.items()},
        "per_class": [dataclasses.asdict(row) for row in metrics.per_class(confusion, label_names)],
        "confusion": confusion.tolist(),
    }


def scores(labels: np.ndarray, answers: Answers, label_names: list[str]) -> dict[str, Any]:
    """Metrics with intervals of several predictors of the same texts."""
    return {name: score(labels, found, label_names)["metrics"] for name, found in answers.items()}


def cheap_baselines(settings: RunConfig, *, say: Say = print) -> tuple[np.ndarray, Answers]:
    """What the test split of a configuration can be predicted with for next to nothing; nothing is trained or written.

    Returns:
        The test split's labels (n,), and each baseline's answers (n,).
    """
    ready = prepare(settings, say, None)
    (test,) = _Texts(ready).answer(np.arange(len(ready.splits.train)), (ready.splits.test, ready.encoded.test))
    return ready.splits.test.labels, test


def cheap(ready: Prepared) -> Cheap:
    """Let the cheap baselines answer; the frozen base is the model before training."""
    texts, everything = _Texts(ready), np.arange(len(ready.splits.train))
    asked = [(ready.splits.test, ready.encoded.test)]
    if len(ready.splits.validation):
        asked.append((ready.splits.validation, ready.encoded.validation))
    test, *validation = texts.answer(everything, *asked)
    if validation:
        return Cheap(test, validation[0])
    return Cheap(test, _out_of_fold(texts) if ready.settings.train.folds else {})


def of_cheap(ready: Prepared, found: Cheap) -> dict[str, Any]:
    """What run.json holds of the cheap baselines: on the test split, and on what is chosen by."""
    names = ready.splits.label_names
    held = ready.splits.validation if len(ready.splits.validation) else ready.splits.train
    return {"baselines": scores(ready.splits.test.labels, found.test, names),
            "validation_baselines": scores(held.labels, found.held_out, names)}  # fmt: skip


def beside(answers: Answers, labels: np.ndarray, logits: np.ndarray) -> dict[str, Any] | None:
    """How a classifier stands beside the best baseline on the same texts, which neither learnt; None without a baseline.

    The difference is paired, over texts: both answered each of them.

    Args:
        answers: the baselines', (n,) each.
        labels: (n,).
        logits: the classifier's, (n, C).
    """
    if not answers:
        return None
    right = {name: float((found == labels).mean()) for name, found in answers.items()}
    best = max(right, key=right.__getitem__)
    own = logits.argmax(1)
    difference = statistics.paired_difference(labels, own[None], answers[best][None], logits.shape[1],
                                              generator=np.random.default_rng(0))  # fmt: skip
    return {"baseline": best, "accuracy": float((own == labels).mean()), "baseline_accuracy": right[best],
            "difference": difference.to_dict()}  # fmt: skip


def _out_of_fold(texts: _Texts) -> Answers:
    splits, encoded = texts.ready.splits, texts.ready.encoded
    found: Answers = {}
    for rows in folding.parts(texts.ready):
        kept = np.delete(np.arange(len(splits.train)), rows)
        (left_out,) = texts.answer(kept, (splits.train.rows(rows.tolist()), encoded.train.rows(rows)))
        for name, answers in left_out.items():
            found.setdefault(name, np.empty(len(splits.train), np.int64))[rows] = answers
    return found


class _Texts:
    """What the baselines learn from: the training texts, and some of them as vectors, read once."""

    def __init__(self, ready: Prepared) -> None:
        self.ready = ready
        self.some, read = probing.frozen_states(ready)
        self.means = read.mean
        self.words = probing.word_means(ready, ready.encoded.train.rows(self.some))

    def answer(self, fitted: np.ndarray, *asked: tuple[Split, EncodedSplit]) -> list[Answers]:
        """Each baseline's answers to each of some splits; it is fitted once, on some of the training texts."""
        ready = self.ready
        train, classes = ready.splits.train.rows(fitted.tolist()), len(ready.splits.label_names)
        allowed = np.isin(self.some, fitted)
        labels = ready.splits.train.labels[self.some[allowed]]
        texts = [text for split, _ in asked for text in split.joined()]
        words = np.concatenate([probing.word_means(ready, encoded) for _, encoded in asked])
        means = np.concatenate([probing.read(ready, encoded).mean for _, encoded in asked])
        answers = {
            MAJORITY: baselines.majority(train.labels, len(texts)),
            TFIDF: baselines.tfidf_linear(train.joined(), train.labels, texts),
            STATIC: baselines.linear_probe(self.words[allowed], labels, words, classes),
            EMBEDDING: baselines.linear_probe(self.means[allowed], labels, means, classes),
        }
        ends = np.cumsum([len(split) for split, _ in asked])[:-1]
        apart = {name: np.split(found, ends) for name, found in answers.items()}
        return [{name: found[number] for name, found in apart.items()} for number in range(len(asked))]
