"""Where a classifier's first token looks when training begins: as the base has it look, or evenly at all tokens.

Heads of Transformers read the first token's state and no mean of the tokens', although frozen encoders say more by the mean
(Reimers and Gurevych 2019, section 3). In the last layer nothing but the first token's query decides where it looks: with a query
of zero all its attention weights are alike, and what it gathers is the mean of all tokens' values. That query hardly differs
between texts, so LoRA of rank 1, or a bias, makes it nearly zero, and plain Transformers and PEFT compute the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lorabert.models.families import FAMILIES
from lorabert.models.wrapped import classifier_of, part


def last_layer(model: Any) -> tuple[Any, Any] | None:
    """The last layer of a classifier's encoder and the linear layer of its queries.

    None where the family's layers are not known, or where one layer is used several times.

    Args:
        model: a Transformers classifier, or PEFT's model around one.
    """
    classifier = classifier_of(model)
    family = FAMILIES.get(classifier.config.model_type)
    if family is None or family.parts is None or family.parts.inner is not None:
        return None
    parts = family.parts
    layer = part(classifier, f"{parts.base}.{parts.layers}")[-1]
    return layer, part(layer, parts.query)


def can_attend_evenly(model: Any) -> bool:
    """Whether what is trained in a model from `models.methods.apply` reaches the last layer's queries."""
    found = last_layer(model)
    return found is not None and (_fresh_lora(found[1]) or _trained_bias(found[1]) is not None)


def attend_evenly(model: Any, entering: np.ndarray) -> None:
    """Have the last layer's first token look at all tokens alike, before anything is trained.

    With q̄ = W x̄ + b the mean query of the first tokens, LoRA gets s B A = -q̄ x̄ᵀ / |x̄|², a bias that is trained -q̄ more.

    Args:
        model: from `models.methods.apply`, one that `can_attend_evenly`.
        entering: what the last layer is given for the first token of some training texts, (n, hidden) float32.
    """
    _, query = last_layer(model)  # type: ignore[misc]
    mean = torch.from_numpy(entering.mean(0))
    with torch.no_grad():
        if _fresh_lora(query):
            _aim(query, mean)
        else:
            _trained_bias(query).sub_(_linear(query)(mean))  # type: ignore[union-attr]


def _aim(query: Any, mean: torch.Tensor) -> None:
    """Rank 1 of a LoRA takes the mean query away; A's row keeps the length that rows of A start with."""
    name = query.active_adapters[0]
    a, b = query.lora_A[name].weight, query.lora_B[name].weight
    length = a[0].norm()
    a[0] = mean * (length / mean.norm())
    b[:, 0] = -query.base_layer(mean) / (query.scaling[name] * length * mean.norm())
    if name in query.lora_magnitude_vector:  # of DoRA, which keeps the rows' lengths apart from their direction
        whole = query.base_layer.weight + query.scaling[name] * b @ a
        query.lora_magnitude_vector[name].weight.copy_(whole.norm(dim=1))


def _fresh_lora(query: Any) -> bool:
    """Whether a layer has a LoRA that adds nothing as yet."""
    return hasattr(query, "lora_A") and not any(low.weight.any() or low.bias is not None for low in query.lora_B.values())


def _linear(query: Any) -> Any:
    """The layer that computes, without a LoRA around it."""
    return getattr(query, "base_layer", query)


def _trained_bias(query: Any) -> torch.Tensor | None:
    bias = _linear(query).bias
    return bias if bias is not None and bias.requires_grad else None
