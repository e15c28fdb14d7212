"""The numbers of a packed batch as tensors, where they are computed with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lorabert.data.packing import PackedBatch
from lorabert.engine.packed.attention import Places, Rectangles, places_of


@dataclass(frozen=True)
class Entering:
    """What a batch's tokens are below a layer, where that is known already.

    Attributes:
        layer: the first that is to be computed.
        states: what it is given, (T, hidden).
    """

    layer: int
    states: Tensor


@dataclass(frozen=True)
class Inputs:
    """A batch on its device: all that a step reads besides weights and random bits.

    Attributes:
        batch: whose numbers they were first; its form is that of all others that take their place.
        ids, positions: (T,) int64.
        segments: (T,) int64, or None.
        firsts: (n,) int64, the token that each text begins with.
        labels: (n,) int64.
        places: where its texts attend.
        entering: what is known of the layers below; None where all are to be computed.
    """

    batch: PackedBatch
    ids: Tensor
    positions: Tensor
    segments: Tensor | None
    firsts: Tensor
    labels: Tensor
    places: Places
    entering: Entering | None = None

    @classmethod
    def of(
        cls, batch: PackedBatch, heads: int, device: torch.device, dtype: torch.dtype, entering: Entering | None = None
    ) -> Inputs:
        """Of a batch, for attention with so many heads in this type."""
        ids, positions, firsts, labels = (
            torch.from_numpy(numbers).to(device) for numbers in (batch.ids, batch.positions, batch.starts, batch.labels)
        )
        segments = None if batch.segments is None else torch.from_numpy(batch.segments).to(device)
        return cls(batch, ids, positions, segments, firsts, labels, places_of(batch, heads, device, dtype), entering)

    def take(self, batch: PackedBatch, entering: Entering | None = None) -> None:
        """Put the numbers of another batch of the same form in the place of these: a step recorded on them then computes it."""
        self.ids.copy_(torch.from_numpy(batch.ids))
        self.positions.copy_(torch.from_numpy(batch.positions))
        if self.segments is not None and batch.segments is not None:
            self.segments.copy_(torch.from_numpy(batch.segments))
        self.firsts.copy_(torch.from_numpy(batch.starts))
        self.labels.copy_(torch.from_numpy(batch.labels))
        if self.entering is not None and entering is not None:
            self.entering.states.copy_(entering.states)
        assert isinstance(self.places, Rectangles)  # compiled steps are a CPU's, and there nothing is recorded
        self.places.take(batch)
