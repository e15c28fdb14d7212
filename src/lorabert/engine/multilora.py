"""Many adapters on one base in one forward, for answering: each adapter is a few tensors, read from its folder in no time.

Shared(classifier)                      one frozen base in memory
read(folder, shared) -> Adapter         A, B and head of one adapter: no second base, no Transformers model
shared.logits([(emotion, texts), (topic, texts), ...])      one forward for all of them
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorabert.data.encoding import EncodedSplit
from lorabert.data.packing import merge, pack
from lorabert.engine.packed import Adapter, LowRank, PackedBase
from lorabert.errors import Unsupported

# How LoRA may start without changing the base's own weights, as PEFT's other ways do.
SHARES_BASE = (True, "gaussian", "orthogonal")
_PREFIX = "base_model.model."
_LOW_RANK = (".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector")


class Shared:
    """One frozen base whose forward answers for any adapters on it.

    Args:
        classifier: a Transformers classifier of the base, on the device to compute on; it is frozen, and its own head answers
            for no adapter.
        dtype: of the matrix products.

    Raises:
        Unsupported: an architecture that the packed forward does not know.
    """

    def __init__(self, classifier: Any, dtype: torch.dtype = torch.float32) -> None:
        # Weights that could still be trained would be joined and cast at every forward.
        self.base = PackedBase(classifier.eval().requires_grad_(False), dtype)
        self.layers = {name for name, module in classifier.named_modules() if isinstance(module, torch.nn.Linear)}

    @torch.inference_mode()
    def logits(self, requests: Sequence[tuple[Adapter, EncodedSplit]]) -> list[np.ndarray]:
        """Logits of each request's texts in their order, (n, C) float32, from one forward over all of them."""
        batches = [pack(split, np.arange(len(split))) for _, split in requests]
        answers = self.base(self.base.inputs(merge(batches)), [adapter for adapter, _ in requests])
        return [
            found.cpu().numpy()[np.argsort(batch.rows)] for found, batch in zip(answers, batches, strict=True)
        ]  # fmt: skip


def read(folder: Path, shared: Shared) -> Adapter:
    """The adapter in a folder that `shipping.adapters.save` wrote and that has been verified.

    Raises:
        Unsupported: it trains more than LoRA and the head, or the base has no such layers: it needs a base of its own.
    """
    from safetensors.torch import load_file

    settings = json.loads((folder / "adapter_config.json").read_bytes())
    if settings["init_lora_weights"] not in SHARES_BASE or settings.get("rank_pattern") or settings.get("alpha_pattern"):
        raise Unsupported(f"Its LoRA starts as {settings['init_lora_weights']} or differs by layer: it changes the base")
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors = {name.removeprefix(_PREFIX): tensor.float() for name, tensor in tensors.items()}
    low_ranks = {
        name.removesuffix(".lora_A.weight"): _low_rank(name.removesuffix(".lora_A.weight"), tensors, settings)
        for name in tensors
        if name.endswith(".lora_A.weight")
    }
    names = {layer.name for layer in shared.base.head}
    head = {
        name: (tensors[f"{name}.weight"], tensors.get(f"{name}.bias")) for name in names if f"{name}.weight" in tensors
    }  # fmt: skip
    known = {f"{name}{end}" for name in low_ranks for end in _LOW_RANK} | {f"{n}.{e}" for n in head for e in ("weight", "bias")}
    strange = sorted(set(tensors) - known) or sorted(set(low_ranks) - shared.layers)
    if strange:
        raise Unsupported(f"It holds {strange[0]}, which is neither LoRA on this base nor its head")
    if shared.base.head[-1].name not in head:
        raise Unsupported("It has no head of its own")
    return Adapter(low_ranks, head)


def _low_rank(name: str, tensors: dict[str, Tensor], settings: dict[str, Any]) -> LowRank:
    a, b = tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"]
    rank = settings["r"]
    scale = settings["lora_alpha"] / (rank**0.5 if settings.get("use_rslora") else rank)
    return LowRank(a, b, scale, 0.0, tensors.get(f"{name}.lora_magnitude_vector"))
