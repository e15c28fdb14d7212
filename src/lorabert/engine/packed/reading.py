"""Reading a live, PEFT-wrapped classifier: what the packed forward computes with are the model's own parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lorabert.engine.packed.functions import LowRank, project
from lorabert.engine.packed.masks import Masks
from lorabert.errors import Unsupported


def classifier_of(model: Any) -> Any:
    """The Transformers classifier inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def part(module: Any, path: str) -> Any:
    """The module at a dotted path, stepping into the trained copy wherever PEFT saves a module whole."""
    for word in path.split("."):
        module = getattr(module, word)
        if hasattr(module, "modules_to_save"):
            module = module.modules_to_save[module.active_adapters[0]]
    return module


def rate(module: Any, path: str | None) -> float:
    """The rate of the dropout at a path; 0 without one."""
    return float(part(module, path).p) if path else 0.0


class Projection:
    """One or more linear layers that read the same input, as one.

    Args:
        layers: linear layers, or PEFT's LoRA around them.
        dtype: what frozen weights are cast to, once.
        merged: add the adapters into the weights, for prediction only; what is trained later does not show.
    """

    def __init__(self, layers: list[Any], dtype: torch.dtype, *, merged: bool = False) -> None:
        self.bases: list[nn.Linear] = [getattr(layer, "base_layer", layer) for layer in layers]
        self.adapters = _adapters(layers)
        weights: list[Tensor] = [base.weight for base in self.bases]
        self.frozen: Tensor | None = None
        if merged:
            self.frozen = self._merged(weights).to(dtype)
            self.adapters = []
        elif not any(weight.requires_grad for weight in weights):
            self.frozen = _joined(weights).detach().to(dtype)

    def __call__(self, x: Tensor, masks: Masks | None) -> Tensor:
        """The layers' outputs side by side, (T, out)."""
        weight = _joined([base.weight for base in self.bases]) if self.frozen is None else self.frozen
        bias = None if self.bases[0].bias is None else _joined([base.bias for base in self.bases])
        parts = [
            (LowRank(begin, end, scale, masks.draw((len(x), x.shape[1]), p) if masks else None), a.weight, b.weight)
            for begin, end, scale, p, a, b in self.adapters
        ]
        return project(x, weight, bias, parts)

    @torch.no_grad()
    def _merged(self, weights: list[Tensor]) -> Tensor:
        total = torch.cat([weight.detach() for weight in weights])
        for begin, end, scale, _, a, b in self.adapters:
            total[begin:end] += scale * (b.weight @ a.weight)
        return total


def _joined(tensors: list[Any]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _adapters(layers: list[Any]) -> list[tuple[int, int, float, float, nn.Linear, nn.Linear]]:
    """Of each LoRA: its columns, scale, dropout rate, A and B."""
    found, begin = [], 0
    for layer in layers:
        base = getattr(layer, "base_layer", layer)
        if not isinstance(base, nn.Linear):
            raise Unsupported(f"The fast engine does not know the layer {type(base).__name__}")
        end = begin + base.out_features
        if base is not layer:
            found.append((begin, end, *_low_rank(layer)))
        begin = end
    return found


def _low_rank(layer: Any) -> tuple[float, float, nn.Linear, nn.Linear]:
    if len(layer.active_adapters) != 1 or layer.merged:
        raise Unsupported("The fast engine trains one adapter that is not merged")
    name = layer.active_adapters[0]
    if getattr(layer, "lora_variant", {}).get(name) or getattr(layer, "use_dora", {}).get(name):
        raise Unsupported("The fast engine does not know use_dora and other variants of LoRA")
    a, b = layer.lora_A[name], layer.lora_B[name]
    if b.bias is not None:
        raise Unsupported("The fast engine does not know lora_bias")
    return layer.scaling[name], float(getattr(layer.lora_dropout[name], "p", 0.0)), a, b
