"""Linear layers that read the same input, as one matrix product, with every adapter's part on its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lorabert.engine.packed.dora import dora
from lorabert.engine.packed.functions import Stretch, project
from lorabert.engine.packed.reading import Adapter, LowRank, linear
from lorabert.engine.packed.rows import Rows


class Projection:
    """One or more linear layers that read the same input.

    Args:
        classifier: what the layers' names start from.
        names: of the layers; their outputs stand side by side.
        dtype: what frozen weights are cast to, once.
        merged: an adapter to add into the weights, for prediction only; what is trained later does not show.
    """

    def __init__(self, classifier: Any, names: Sequence[str], dtype: torch.dtype, merged: Adapter | None = None) -> None:
        self.names = names
        self.layers = [linear(classifier, name) for name in names]
        self.ends = torch.tensor([layer.out_features for layer in self.layers]).cumsum(0).tolist()
        self.frozen: Tensor | None = None
        if merged is not None:
            self.frozen = torch.cat([_merged(layer.weight, merged.low_ranks.get(name)) for name, layer in self]).to(dtype)
        elif not any(layer.weight.requires_grad for layer in self.layers):
            self.frozen = _joined([layer.weight for layer in self.layers]).detach().to(dtype)

    def __iter__(self) -> Any:
        """Name and layer of each."""
        return zip(self.names, self.layers, strict=True)

    def __call__(self, x: Tensor, rows: Rows) -> Tensor:
        """The layers' outputs side by side, (T, out)."""
        weight = _joined([layer.weight for layer in self.layers]) if self.frozen is None else self.frozen
        bias = None if self.layers[0].bias is None else _joined([layer.bias for layer in self.layers])
        plain: list[tuple[Stretch, LowRank]] = []
        magnified: list[tuple[Stretch, LowRank]] = []
        for number, (adapter, stretch) in enumerate(zip(rows.adapters, rows.stretches, strict=True)):
            for name, layer, end in zip(self.names, self.layers, self.ends, strict=True):
                low = adapter.low_ranks.get(name)
                if low is not None:
                    mask = rows.own_mask(number, x.shape[1], low.p)
                    place = Stretch(stretch, end - layer.out_features, end, low.scale, mask)
                    (plain if low.magnitude is None else magnified).append((place, low))
        y = project(x, weight, bias, [(place, low.a, low.b) for place, low in plain])
        for place, low in magnified:
            y = dora(y, x, weight, place, low)
        return y


def _joined(tensors: list[Any]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


@torch.no_grad()
def _merged(weight: Tensor, low: LowRank | None) -> Tensor:
    if low is None:
        return weight.detach()
    total = weight + low.scale * (low.b @ low.a)
    return total if low.magnitude is None else total * (low.magnitude / total.norm(dim=1)).unsqueeze(1)
