"""How a text's first state becomes logits: a head's layers, and how it starts from a linear probe of the frozen base."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from lorabert.models.families import FAMILIES
from lorabert.models.wrapped import classifier_of, part

# What stands between a head's layers, by the names of `models.families`.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"tanh": torch.tanh, "relu": F.relu, "gelu": F.gelu}


class Linear(Protocol):
    """logits = W x + b, as `evidence.probes.fit` finds them: W (C, hidden), b (C,)."""

    @property
    def weight(self) -> Any: ...  # noqa: D102
    @property
    def bias(self) -> Any: ...  # noqa: D102


def layers(model: Any) -> list[str]:
    """Names of the linear layers of a classifier's head in order; none where the family's head is not known."""
    family = FAMILIES.get(model.config.model_type)
    return [step.linear for step in family.parts.head] if family and family.parts else []


def can_start_from_probe(model: Any, new_tensors: Iterable[str]) -> bool:
    """Whether a head's layers are known, and the last one is new: one that was trained already is not thrown away."""
    names = layers(model)
    return bool(names) and f"{names[-1]}.weight" in set(new_tensors)


def reached(model: Any, states: np.ndarray) -> np.ndarray:
    """What reaches the last layer of a classifier's head of its texts' states, (n, in) float32.

    That is the states through the layers before it as they are: BERT's pooler, or RoBERTa's new layer, which turns and squashes a
    state but loses little of it.

    Args:
        model: a model from `models.methods.apply`.
        states: one a text, (n, hidden) float32.
    """
    classifier, *before = _steps(model)[:-1]
    found = torch.from_numpy(states)
    with torch.no_grad():
        for step in before:
            found = ACTIVATIONS[str(step.activation)](part(classifier, step.linear)(found))
    return found.numpy()


def start_from_probe(model: Any, probe: Linear) -> None:
    """Make the last layer of a classifier's head a linear probe of what reaches it, before anything is trained.

    So fine-tuning begins where a probe of the frozen base ends (LP-FT: Kumar et al. 2022, section 3), in a head that plain
    Transformers has.

    Args:
        model: a model from `models.methods.apply`.
        probe: of what `reached` gives.
    """
    classifier, *_, last = _steps(model)
    layer = part(classifier, last.linear)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(probe.weight))
        layer.bias.copy_(torch.as_tensor(probe.bias))


def divide_logits(model: Any, by: float) -> bool:
    """Divide what a classifier gives by a number, in its last linear layer's weights, so that whatever loads them gives that.

    Args:
        model: a model from `models.methods.apply`, trained.
        by: the number, above 0.

    Returns:
        Whether it has a layer that is trained and gives one number a label; where it has none, nothing was changed.
    """
    classes = model.config.num_labels
    found = [module for module in classifier_of(model).modules() if isinstance(module, torch.nn.Linear)
             and module.out_features == classes and module.weight.requires_grad]  # fmt: skip
    with torch.no_grad():
        for tensor in (found[-1].weight, found[-1].bias) if found else ():
            if tensor is not None:
                tensor.div_(by)
    return bool(found)


def _steps(model: Any) -> list[Any]:
    """The classifier in a model, and the steps of its head."""
    return [classifier_of(model), *FAMILIES[model.config.model_type].parts.head]  # type: ignore[union-attr]
