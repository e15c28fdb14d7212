"""What a frozen base gives for texts: one state a text, read in several ways at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lorabert.data.encoding import EncodedSplit
from lorabert.engine.prediction import forward_padded
from lorabert.hardware import Placement
from lorabert.models import attention


@dataclass(frozen=True)
class States:
    """What a base's last layer gives for each text, the head left out; arrays are (n, hidden) float32.

    Attributes:
        first: state of the first token, which heads read.
        mean: mean over the text's tokens.
        even: state of the first token if in the last layer it looked at all tokens alike; None where it was not asked for, or
            the layer is not known.
        entering: what the last layer is given for the first token; None likewise.
    """

    first: np.ndarray
    mean: np.ndarray
    even: np.ndarray | None = None
    entering: np.ndarray | None = None

    def rows(self, some: np.ndarray) -> States:
        """Those of some of the texts."""
        found = (self.first, self.mean, self.even, self.entering)
        return States(*(None if array is None else array[some] for array in found))  # type: ignore[arg-type]


def states(model: Any, split: EncodedSplit, *, pad_id: int, batch_size: int, placement: Placement,
           evenly: bool = False) -> States:  # fmt: skip
    """Read a split with a base: the model's own, as it is now.

    Args:
        model: a classifier.
        split: the texts.
        pad_id: of the tokenizer.
        batch_size: texts read together.
        placement: where, and in which precision.
        evenly: read the first token with even attention as well, for one more pass through the last layer.
    """
    last = attention.last_layer(model) if evenly else None

    def read(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with _watched(last[0] if last else None) as call:
            hidden = model.base_model(**batch)[0].float()
        inside = batch["attention_mask"].unsqueeze(-1)
        found = [hidden[:, 0], (hidden * inside).sum(1) / inside.sum(1)]
        return torch.stack([*found, *(_evenly(*last, *call) if last else ())], 1)

    found = forward_padded(model, split, read, pad_id, batch_size, placement, "Reading with the frozen base")
    return States(*(found[:, number] for number in range(found.shape[1])))


@contextmanager
def _watched(layer: Any) -> Iterator[list[Any]]:
    """Note what a layer is called with."""
    call: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, args, named: call.extend([args, named]), with_kwargs=True) if layer else None
    try:
        yield call
    finally:
        if hook:
            hook.remove()


def _evenly(layer: Any, query: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's first state with a first query of zero, and what it was given for it."""
    entering = args[0] if args else named["hidden_states"]
    hook = query.register_forward_hook(lambda _, __, queries: torch.cat([torch.zeros_like(queries[:, :1]), queries[:, 1:]], 1))
    try:
        output = layer(*args, **named)
    finally:
        hook.remove()
    return (output[0] if isinstance(output, tuple) else output)[:, 0].float(), entering[:, 0].float()
