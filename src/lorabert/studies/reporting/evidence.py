"""What a run left, read and checked: its record, its events, its answers to the test split, and the texts they answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import from_dict
from lorabert.data import sources
from lorabert.errors import InputError
from lorabert.evidence.metrics import confusion_matrix
from lorabert.runs import SCHEMA_VERSION, RunFolder, answers, places


@dataclass(frozen=True)
class Evidence:
    """Everything a page on a run is made of.

    Attributes:
        path: the run folder.
        record: what run.json holds.
        events: what metrics.jsonl holds.
        labels: true classes of the test split, (n,) int64.
        logits: the answers to it, (n, C).
        held_out: true classes and answers of the texts that were chosen by, on the scale of `logits`: validation, or out of fold.
        texts: the test split's texts, None where they cannot be had.
        no_texts: why they cannot be had.
    """

    path: Path
    record: dict[str, Any]
    events: list[dict[str, Any]]
    labels: np.ndarray
    logits: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray]
    texts: list[str] | None
    no_texts: str = ""


def read(path: Path) -> Evidence:
    """Read a finished run's folder; its texts come from the data it recorded, as far as they are still the same.

    Raises:
        InputError: the run is not finished, or a file of it is missing or damaged.
    """
    run = RunFolder.open(path)
    _check_record(run)
    events = run.losses()
    labels, logits = _answers(path, run.record)
    texts, reason = _texts(path, run.record)
    return Evidence(path, run.record, events, labels, logits, _held_out(path, run.record), texts, reason)


def _check_record(run: RunFolder) -> None:
    status, file = run.record.get("status"), run.path / "run.json"
    version = run.record.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{file} has a schema that this version does not read", got=f"schema_version {version}",
                         expected=str(SCHEMA_VERSION), fix="Use the lorabert that made it, or a newer one")  # fmt: skip
    if status != "done":
        raise InputError(f"The run {run.path} is not finished", got=f"status {status}",
                         fix="Go on with the command that started it and --resume, then report it")  # fmt: skip
    run.check_whole()


def _answers(run: Path, record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of the test split, checked against the record: the page must not mix two runs."""
    classes = len(record["data"]["labels"])
    labels, logits = answers.of_split(run, "test", classes)
    if confusion_matrix(labels, logits.argmax(1), classes).tolist() != record["confusion"]:
        raise InputError(f"{run / answers.FILE} does not belong to the record beside it",
                         got=f"test logits of shape {logits.shape}",
                         expected=f"{classes} classes and the confusion matrix of run.json")  # fmt: skip
    return labels, logits.astype(np.float64)


def _held_out(run: Path, record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Answers to texts that the classifier did not learn; those out of folds are kept as the folds gave them."""
    chooser = "fold" if "folds" in record else "validation"  # as the temperature was fitted
    labels, logits = answers.of_split(run, chooser, len(record["data"]["labels"]))
    divided = record.get("calibration", {}).get("temperature", 1.0) if chooser == "fold" else 1.0
    return labels, logits.astype(np.float64) / divided


def _texts(run: Path, record: dict[str, Any]) -> tuple[list[str] | None, str]:
    """The test texts, or why there are none: a report must not depend on data that may be gone."""
    try:
        test = sources.recorded(from_dict(record["config"]).data, record["data"], partial(places.elsewhere, run)).test
    except InputError as error:
        return None, f"The data could not be loaded again. {error}"
    return [f"{text}\n{pair}" for text, pair in zip(test.texts, test.pairs, strict=True)] if test.pairs else test.texts, ""
