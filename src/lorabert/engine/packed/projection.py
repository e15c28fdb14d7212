"""Linear layers that read the same input, as one matrix product, with every adapter's part on its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from lorabert.engine import kernels
from lorabert.engine.packed.dora import dora
from lorabert.engine.packed.functions import Group, Weight, packed, project
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
        self.names, self.joined, self.dtype = names, "+".join(names), dtype
        self.layers = [linear(classifier, name) for name in names]
        self.ends = list(accumulate(layer.out_features for layer in self.layers))
        self.frozen: Weight | None = None
        trained = any(p.requires_grad for layer in self.layers for p in layer.parameters(recurse=False))
        if merged is not None or not trained:
            low_ranks = merged.low_ranks if merged else {}
            weight = _joined([_merged(layer.weight, low_ranks.get(name)) for name, layer in self]).to(dtype)
            bias = None if self.layers[0].bias is None else _joined([layer.bias for layer in self.layers]).detach().to(dtype)
            self.frozen = Weight(weight, bias, packed(weight))

    def __iter__(self) -> Any:
        """Name and layer of each."""
        return zip(self.names, self.layers, strict=True)

    def __call__(self, x: Tensor, rows: Rows) -> Tensor:
        """The layers' outputs side by side, (T, out)."""
        weight = self.frozen or self._trained()
        groups: list[tuple[Group, list[Tensor]]] = []
        magnified: list[tuple[int, slice, LowRank]] = []
        for number, adapter in enumerate(rows.adapters):
            carried = self._carried(adapter)
            plain = [(columns, low) for columns, low in carried if low.magnitude is None]
            if plain:
                groups.append((_group(number, plain, x.shape[1], rows), _matrices(plain)))
            magnified += [(number, columns, low) for columns, low in carried if low.magnitude is not None]
        y = project(x, weight, groups)
        prepared = [(rows.stretches[number], adapter.prepared[self.joined])
                    for number, adapter in enumerate(rows.adapters) if self.joined in adapter.prepared]  # fmt: skip
        if prepared:
            kernels.low_ranks(x, prepared, y)
        for number, columns, low in magnified:
            y = dora(y, x, weight.plain, low, rows.stretches[number], columns, rows.own_mask(number, x.shape[1], low.p))
        return y

    def _trained(self) -> Weight:
        """The layers as they are now."""
        bias = None if self.layers[0].bias is None else _joined([layer.bias for layer in self.layers])
        return Weight(_joined([layer.weight for layer in self.layers]), bias)

    def _carried(self, adapter: Adapter) -> list[tuple[slice, LowRank]]:
        """Each LoRA that an adapter has here, with its columns."""
        joined = adapter.low_ranks.get(self.joined)
        if joined is not None:
            return [(slice(0, self.ends[-1]), joined)]
        found = zip(self.layers, self.ends, map(adapter.low_ranks.get, self.names), strict=True)
        return [(slice(end - layer.out_features, end), low) for layer, end, low in found if low is not None]

    def ready(self, adapter: Adapter) -> Adapter:
        """An adapter's LoRAs here and no others, made ready for many answers; what is trained or dropped later does not show.

        Compiled steps get them laid out for one call of all adapters. PyTorch's get them scaled, in the type of the products and
        as few as can be: several become one, their A's one below the other, each B on its own columns.
        """
        own = {name: adapter.low_ranks[name] for name in self.names if name in adapter.low_ranks}
        if not own or any(low.magnitude is not None for low in own.values()):
            return Adapter(own, {})
        carried = self._carried(adapter)
        if kernels.usable(self.layers[0].weight.new_empty(0, dtype=self.dtype)):
            prepared = kernels.Prepared([(columns.start, low.a, low.b, low.scale) for columns, low in carried])
            return Adapter({}, {}, {self.joined: prepared})
        group = Group(slice(0, 0), [columns for columns, _ in carried], [low.scale for _, low in carried], None)
        a, b = group.stacked(_matrices(carried), self.dtype)
        if len(carried) == 1:
            return Adapter(dict.fromkeys(own, LowRank(a, b, 1.0, 0.0)), {})
        whole = b.new_zeros(self.ends[-1], b.shape[1])
        whole[group.span] = b
        return Adapter({self.joined: LowRank(a, whole, 1.0, 0.0)}, {})


def _group(number: int, carried: list[tuple[slice, LowRank]], width: int, rows: Rows) -> Group:
    (_, first), *_ = carried
    mask = rows.own_mask(number, width * len(carried), first.p)
    return Group(rows.stretches[number], [columns for columns, _ in carried], [low.scale for _, low in carried], mask)


def _matrices(carried: list[tuple[slice, LowRank]]) -> list[Tensor]:
    return [matrix for _, low in carried for matrix in (low.a, low.b)]


def _joined(tensors: list[Any]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


@torch.no_grad()
def _merged(weight: Tensor, low: LowRank | None) -> Tensor:
    if low is None:
        return weight.detach()
    total = weight + low.scale * (low.b @ low.a)
    return total if low.magnitude is None else total * (low.magnitude / total.norm(dim=1)).unsqueeze(1)
