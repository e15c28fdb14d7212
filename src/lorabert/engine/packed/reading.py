"""Reading a live, PEFT-wrapped classifier: what the packed forward computes with are the model's own parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lorabert.engine.kernels import Prepared
from lorabert.errors import Unsupported
from lorabert.models.families import FAMILIES, Parts
from lorabert.models.wrapped import classifier_of, part


@dataclass(frozen=True)
class LowRank:
    """What LoRA puts on one linear layer: y = W x + s B A x.

    Attributes:
        a: A, (r, in).
        b: B, (out, r).
        scale: s, lora_alpha / r or lora_alpha / sqrt(r).
        p: dropout rate on the input of A.
        magnitude: DoRA's m, (out,), with which y = m / |W + s B A| (W + s B A) x by rows; None without DoRA.
    """

    a: Tensor
    b: Tensor
    scale: float
    p: float
    magnitude: Tensor | None = None


@dataclass(frozen=True)
class Adapter:
    """What one adapter puts on a base, by the names that the base gives its linear layers.

    Attributes:
        low_ranks: LoRA of each layer that carries one.
        head: weight (C, in) and bias (C,) of each layer of the head that is the adapter's own.
        prepared: LoRAs laid for compiled steps, which only answer, by the joined names of the layers that read one input; what is
            here is not in `low_ranks`.
    """

    low_ranks: Mapping[str, LowRank]
    head: Mapping[str, tuple[Tensor, Tensor | None]]
    prepared: Mapping[str, Prepared] = field(default_factory=dict)


def has(module: Any, path: str) -> bool:
    """Whether there is something at a dotted path."""
    *words, last = path.split(".")
    return hasattr(part(module, ".".join(words)) if words else module, last)


def linear(module: Any, path: str) -> nn.Linear:
    """The linear layer at a dotted path, without the LoRA around it.

    Raises:
        Unsupported: it is another kind of layer.
    """
    layer = part(module, path)
    layer = getattr(layer, "base_layer", layer)
    if not isinstance(layer, nn.Linear):
        raise Unsupported(f"The fast engine does not know the layer {type(layer).__name__}")
    return layer


def rate(module: Any, path: str | None) -> float:
    """The rate of the dropout at a path; 0 without one."""
    return float(part(module, path).p) if path else 0.0


def parts_of(classifier: Any) -> Parts:
    """What the packed forward needs to know of an architecture.

    Raises:
        Unsupported: it does not know the architecture, or not with these settings.
    """
    config = classifier.config
    family = FAMILIES.get(config.model_type)
    if family is None or family.parts is None:
        raise Unsupported(f"The fast engine does not know the architecture {config.model_type}")
    if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        raise Unsupported(f"The fast engine does not know {config.position_embedding_type} positions")
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise Unsupported("The fast engine knows encoders only")
    return family.parts


def layers_of(classifier: Any, parts: Parts) -> list[str]:
    """The names of the layers in the order of their use; ALBERT uses one several times (Lan et al. 2020, section 3.1)."""
    config, place = classifier.config, f"{parts.base}.{parts.layers}"
    groups = len(part(classifier, place))
    if parts.inner is None:
        return [f"{place}.{number}" for number in range(groups)]
    used = [int(number / (config.num_hidden_layers / groups)) for number in range(config.num_hidden_layers)]
    return [f"{place}.{group}.{parts.inner}.{inner}" for group in used for inner in range(config.inner_group_num)]


def adapter_in(model: Any) -> Adapter:
    """The adapter of a live model; it holds the parameters themselves, so what trains there shows here.

    Raises:
        Unsupported: a kind of adapter that the packed forward does not know.
    """
    classifier = classifier_of(model)
    low_ranks = {name: _low_rank(module) for name, module in classifier.named_modules() if hasattr(module, "lora_A")}
    head = {}
    for step in parts_of(classifier).head:
        layer = linear(classifier, step.linear)
        if layer.weight.requires_grad or _saved_whole(classifier, step.linear):
            head[step.linear] = (layer.weight, layer.bias)
    return Adapter(low_ranks, head)


def _saved_whole(module: Any, path: str) -> bool:
    for word in path.split("."):
        module = getattr(module, word)
        if hasattr(module, "modules_to_save"):
            return True
    return False


def _low_rank(layer: Any) -> LowRank:
    if len(layer.active_adapters) != 1 or layer.merged:
        raise Unsupported("The fast engine trains one adapter that is not merged")
    name = layer.active_adapters[0]
    variant = getattr(layer, "lora_variant", {}).get(name)
    magnitude = layer.lora_magnitude_vector[name].weight if name in layer.lora_magnitude_vector else None
    if variant is not None and magnitude is None:
        raise Unsupported(f"The fast engine does not know {type(variant).__name__}")
    a, b = layer.lora_A[name], layer.lora_B[name]
    if b.bias is not None:
        raise Unsupported("The fast engine does not know lora_bias")
    return LowRank(a.weight, b.weight, layer.scaling[name], float(getattr(layer.lora_dropout[name], "p", 0.0)), magnitude)
