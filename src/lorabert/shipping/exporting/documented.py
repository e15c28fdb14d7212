"""An export asked as its README.md and docs/exporting.md say: its own tokenizer, padded batches as they come, its own model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lorabert.data.sources import Split
from lorabert.engine.prediction import Classifier
from lorabert.shipping.exporting.running import OnnxClassifier


def asking(export: Classifier) -> Callable[[Split, int], np.ndarray]:
    """A function from texts and a batch size to logits, (n, C) float32, for an export as it was opened from the disk.

    Of ours there is nothing in it: what the tokenizer's files and the model's say is what is asked, padding and cut included.
    """
    run = _onnx if isinstance(export, OnnxClassifier) else _transformers

    def logits(split: Split, batch_size: int) -> np.ndarray:
        results = [np.empty((0, len(export.label_names)), np.float32)]
        for start in range(0, len(split), batch_size):
            texts = split.texts[start : start + batch_size]
            pairs = split.pairs[start : start + batch_size] if split.pairs else None
            results.append(run(export.model, export.tokenizer(texts, pairs, truncation=True, padding=True, return_tensors="np")))
        return np.concatenate(results)

    return logits


def _onnx(session: Any, batch: Any) -> np.ndarray:
    found: np.ndarray = session.run(["logits"], {given.name: batch[given.name] for given in session.get_inputs()})[0]
    return found


def _transformers(model: Any, batch: Any) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = model(**{name: torch.from_numpy(values) for name, values in batch.items()}).logits.numpy()
    return found
