"""Tiny PEFT classifiers and random token streams for the engine's tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import tiny
from lorabert.config import LoraConfig, Method
from lorabert.data.batching import padded_batch
from lorabert.data.encoding import EncodedSplit
from lorabert.models import methods
from lorabert.models.bases import LoadedBase

VOCAB = 150
PACKED_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "albert")
METHODS: dict[str, tuple[Method, dict[str, Any]]] = {
    "lora": ("lora", {}),
    "all-linear": ("lora", {"target_modules": "all-linear"}),
    "dora": ("lora", {"target_modules": "all-linear", "use_dora": True}),
    "full": ("full", {}),
    "bitfit": ("bitfit", {}),
    "head": ("head", {}),
}
WITH_SEGMENTS = ("bert", "electra", "albert")
PAD_ID = 1


def classifier(family: str = "bert", method: Method = "lora", *, dropout: float = 0.0, seed: int = 0, **lora: Any) -> Any:
    """A tiny PEFT model with lively weights: B, biases and norms are not zero or one, so nothing cancels by chance."""
    model = tiny.build_model(family, vocab_size=VOCAB, seed=seed, head=True)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    wrapped = methods.apply(LoadedBase(model, []), method, LoraConfig(**{"lora_dropout": dropout, **lora}))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
            elif "lora_magnitude_vector" in name:
                parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
    for module in wrapped.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
        if hasattr(module, "dropout_prob"):  # where transformers 4 keeps the rate for its fused attention
            module.dropout_prob = dropout
    return wrapped


def stream(lengths: Sequence[int], *, seed: int = 0, pairs: bool = False, learnable: bool = False) -> EncodedSplit:
    """Random texts of the given lengths; `learnable` labels say which half of the vocabulary the first token is from."""
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = random.integers(5, VOCAB, offsets[-1]).astype(np.int32)
    segments = np.concatenate([np.arange(n) >= (n + 1) // 2 for n in lengths]).astype(np.uint8) if pairs else None
    labels = (ids[offsets[:-1]] > VOCAB // 2).astype(np.int64) if learnable else random.integers(0, 2, len(lengths))
    return EncodedSplit(ids, offsets, segments, labels, 0)


def padded(split: EncodedSplit, rows: np.ndarray) -> dict[str, torch.Tensor]:
    """Rows as Transformers takes them."""
    return {name: torch.from_numpy(values) for name, values in padded_batch(split, rows, PAD_ID).items()}
