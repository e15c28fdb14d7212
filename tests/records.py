"""A finished run's folder with drawn answers: what `lorabert train` leaves for a report, without a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tiny
from lorabert.config import DataConfig, RunConfig, TrainConfig
from lorabert.data import sources
from lorabert.runs import RunFolder
from lorabert.studies import experiment


def finished_run(
    folder: Path,
    labels: Sequence[str] = ("bad", "good"),
    *,
    texts: Sequence[str] | None = None,
    examples: int = 400,
    steps: int = 60,
) -> RunFolder:
    """Write data beside the folder, and the folder of a run on them that is right about four times in five.

    Args:
        folder: the run folder, new.
        labels: names of the classes; each has as many examples as the others.
        texts: of the examples, made up when None.
        examples: how many, over all splits.
        steps: how many losses were logged.
    """
    made = [f"text {number} of many" for number in range(examples)] if texts is None else list(texts)
    data = tiny.write_jsonl(folder.parent / f"{folder.name}.jsonl", made, [labels[n % len(labels)] for n in range(len(made))])
    settings = RunConfig(data=DataConfig(train=str(data), test_share=0.5), train=TrainConfig(logging_steps=1)).resolved()
    splits = sources.load(settings.data)
    run = RunFolder.create(folder, settings)
    rng = np.random.default_rng(0)
    answers = {name: (split.labels, _logits(rng, split.labels, len(splits.label_names)))
               for name, split in (("validation", splits.validation), ("test", splits.test))}  # fmt: skip
    run.save_predictions(answers)
    for step in range(1, steps + 1):
        run.log({"step": step, "epoch": step / 20, "event": "train", "loss": 1 / step + 0.1, "learning_rate": 1e-3 / step})
        if step % 20 == 0:
            run.log({"step": step, "epoch": step / 20, "event": "validation", "loss": 0.3 + step / 1000})
    truth, logits = answers["test"]
    names = splits.label_names
    majority = experiment.score(truth, np.zeros_like(truth), names)["metrics"]
    run.update(**_facts(splits), baselines={"majority class": majority}, **experiment.score(truth, logits.argmax(1), names))
    run.update(status="done", finished="2026-01-01T00:00:00+0000")
    return run


def _logits(rng: np.random.Generator, labels: np.ndarray, classes: int) -> np.ndarray:
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += np.where(rng.random(len(labels)) < 0.8, 4.0, 0.0)
    return logits.astype(np.float32)


def _facts(splits: sources.Splits) -> dict[str, Any]:
    return {
        "base": {"name": "tiny", "revision": None, "sha256": "0" * 64, "model_type": "bert", "new_tensors": []},
        "data": {
            "origin": splits.origin, "fingerprint": splits.fingerprint(), "labels": splits.label_names,
            "examples": {name: len(getattr(splits, name)) for name in sources.SPLITS}, "notes": list(splits.notes),
            "truncated": dict.fromkeys(sources.SPLITS, 0), "columns": dataclasses.asdict(splits.columns),
        },
        "method": "lora", "seed": 42, "device": "cpu", "precision": "fp32", "precision_reason": "asked for",
        "trainable": {"parameters": 1000, "head_parameters": 100, "all_parameters": 20_000},
        "versions": {"python": "3.12.1", "torch": "2.9.0"},
        "hardware": {"system": "Linux", "processor": "a processor", "cores": 2, "threads": 1, "memory_bytes": 2**33, "gpu": None},
        "fit": {"train_seconds": 12.3, "steps": 60, "epochs": 3.0, "tokens": 1000, "padding_share": 0.0, "peak_bytes": 10**9},
        "engine": "fast", "engine_reason": "asked for", "attention": "packed", "seconds": {"train": 12.3},
    }  # fmt: skip
