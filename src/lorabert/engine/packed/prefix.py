"""The lowest layers of a base in which nothing changes while a run trains: what they give for a text is computed once and kept.

A layer is such where it and all below it carry no adapter, train nothing and drop nothing (`lora.layers`: top-K makes those below
the top K so). Then a step begins at the first layer that does change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lorabert.data.batching import by_length
from lorabert.data.encoding import EncodedSplit
from lorabert.data.packing import PackedBatch, pack
from lorabert.engine.packed.forward import PackedBase
from lorabert.engine.packed.inputs import Entering
from lorabert.engine.packed.reading import has, layers_of, parts_of
from lorabert.models.wrapped import classifier_of, part

# More is computed anew at every step. It's a constant, so that a run that is resumed does as it did.
_MOST_BYTES = 2 << 30
_TEXTS = 64


def fixed_layers(model: Any) -> int:
    """How many of the lowest layers give the same for a text however long a model trains; never the last one.

    Args:
        model: a model from `models.methods.apply`.

    Raises:
        Unsupported: an architecture that the packed forward does not know.
    """
    classifier = classifier_of(model)
    parts = parts_of(classifier)
    before = [name for name in ("embeddings", parts.projected) if name and has(part(classifier, parts.base), name)]
    if any(_changes(part(classifier, f"{parts.base}.{name}")) for name in before):
        return 0
    names = layers_of(classifier, parts)
    changing = {name for name in set(names) if _changes(part(classifier, name))}
    return next((number for number, name in enumerate(names) if name in changing), len(names) - 1)


def _changes(module: nn.Module) -> bool:
    trained = any(parameter.requires_grad for parameter in module.parameters())
    return trained or any(isinstance(inner, nn.Dropout) and inner.p > 0 for inner in module.modules())


class Prefix:
    """What enters one of a base's layers for every token of a split.

    Args:
        base: whose layers below that one are fixed.
        split: the texts.
        layer: the first that is not computed.
    """

    def __init__(self, base: PackedBase, split: EncodedSplit, layer: int) -> None:
        self.base, self.split, self.layer = base, split, layer
        states = None
        for batch in (pack(split, rows, base.layout) for rows in by_length(split.lengths, _TEXTS)):
            found = base.below(base.inputs(batch), layer)
            if states is None:
                states = torch.empty(len(split.ids), found.shape[1], dtype=found.dtype, device=found.device)
            source = split.positions(batch.rows)
            states[torch.from_numpy(source).to(found.device)] = found[: len(source)]
        assert states is not None
        self.states = states

    @classmethod
    def of(cls, base: PackedBase, split: EncodedSplit, layer: int) -> Prefix | None:
        """None where there is nothing to keep, or too much."""
        width = int(base.layers[0].mixed_norm.normalized_shape[0])
        bytes_needed = len(split.ids) * width * base.dtype.itemsize
        return cls(base, split, layer) if layer and len(split) and bytes_needed <= _MOST_BYTES else None

    def take(self, rows: np.ndarray, tokens: int) -> Tensor:
        """The states of some texts one after the other, (tokens, hidden); zeros where the texts have fewer tokens."""
        source = torch.from_numpy(self.split.positions(rows)).to(self.states.device)
        taken = self.states.new_zeros(tokens, self.states.shape[1])
        torch.index_select(self.states, 0, source, out=taken[: len(source)])
        return taken


def entering(batch: PackedBatch, prefixes: list[Prefix | None]) -> Entering | None:
    """What a batch's texts enter with; None where it is not kept of all its parts, or not of the same layer.

    Args:
        batch: with a part for each prefix.
        prefixes: of the parts' splits.
    """
    known = [prefix for prefix in prefixes if prefix]
    if len(known) < len(prefixes) or len({prefix.layer for prefix in known}) != 1:
        return None
    found = [prefix.take(batch.rows[one.texts], one.tokens.stop - one.tokens.start)
             for prefix, one in zip(known, batch.parts, strict=True)]  # fmt: skip
    missing = len(batch.ids) - sum(map(len, found))
    return Entering(known[0].layer, torch.cat([*found, found[0].new_zeros(missing, found[0].shape[1])]))
