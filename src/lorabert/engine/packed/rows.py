"""Which rows of a matrix belong to which adapter, and the dropout that each draws for its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lorabert.engine.packed.masks import Bits, Mask, draw
from lorabert.engine.packed.reading import Adapter


@dataclass(frozen=True)
class Rows:
    """The rows of a matrix, one stretch an adapter: of its tokens, or of its texts.

    Attributes:
        adapters: in the order of their rows.
        stretches: the rows of each.
        streams: of each, for its dropout; None for no dropout.
        dtype: of the matrices.
        count: of all rows; those past the last stretch are fillers.
    """

    adapters: Sequence[Adapter]
    stretches: Sequence[slice]
    streams: Sequence[Bits] | None
    dtype: torch.dtype
    count: int

    def mask(self, width: int, p: float) -> Mask | None:
        """Dropout for a matrix of this width, (rows, width)."""
        sizes = [(rows.stop - rows.start) * width for rows in self.stretches]
        found = self.flat_mask(sizes, p, self.dtype, self.count * width - sum(sizes))
        return None if found is None else Mask(found.keep.view(-1, width), found.scale)

    def flat_mask(self, sizes: Sequence[int], p: float, dtype: torch.dtype, rest: int = 0) -> Mask | None:
        """Dropout for elements laid in a row, so many of each adapter, and for the rest that nothing reads."""
        return None if self.streams is None else draw(self.streams, sizes, p, dtype, rest)

    def own_mask(self, number: int, width: int, p: float) -> Mask | None:
        """Dropout for the rows of one adapter, (its rows, width)."""
        return None if self.streams is None else self.alone(number).mask(width, p)

    def alone(self, number: int) -> Rows:
        """The rows of one adapter, counted from 0."""
        size = self.stretches[number].stop - self.stretches[number].start
        streams = None if self.streams is None else [self.streams[number]]
        return Rows([self.adapters[number]], [slice(0, size)], streams, self.dtype, size)
