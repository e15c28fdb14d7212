"""What plain users do with a folder: the tokenizer as it lies there, padded batches, the model; and bases set otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer


def changed(base: Path, **settings: object) -> Path:
    """A base with some settings of its tokenizer changed; None takes one away."""
    file = base / "tokenizer_config.json"
    now = json.loads(file.read_text(encoding="utf-8")) | settings
    file.write_text(json.dumps({key: value for key, value in now.items() if value is not None}), encoding="utf-8")
    return base


def plain_batches(model: Any, folder: Path, texts: list[str], pairs: list[str] | None = None, *, size: int = 16) -> np.ndarray:
    """Logits of texts, (n, C), in batches in their order, as the folder's tokenizer makes them."""
    encode, model = AutoTokenizer.from_pretrained(folder), model.eval()
    found = []
    for start in range(0, len(texts), size):
        seconds = None if pairs is None else pairs[start : start + size]
        batch = encode(texts[start : start + size], seconds, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            found.append(model(**batch).logits.numpy())
    return np.concatenate(found)
