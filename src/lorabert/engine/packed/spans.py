"""Self-attention by the compiled step: every text by itself where it lies in the stream, without rectangles.

Dropout's mask is laid out as the rectangles have it, so that the same bits drop the same probabilities either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorabert.data.packing import PackedBatch
from lorabert.engine import kernels
from lorabert.engine.packed.masks import Mask


class Spans:
    """Where the texts of a batch lie.

    Attributes:
        batch: whose texts they are.
        heads: of attention.
        dtype: of the tensors, and of dropout's mask.
        fillers: (f,) rows of no text.
    """

    def __init__(self, batch: PackedBatch, heads: int, dtype: torch.dtype) -> None:
        self.batch, self.heads, self.dtype = batch, heads, dtype
        self.fillers = torch.from_numpy(np.flatnonzero(batch.cells == batch.blocks[-1].end))
        self._asked: dict[bool, kernels.Texts] = {}

    def texts(self, once: bool) -> kernels.Texts:
        """For the compiled step; `once` where each text's first token alone asks."""
        if once not in self._asked:
            batch, count = self.batch, len(self.batch.starts)
            kept, longest, size = np.empty(count, np.int64), np.empty(count, np.int64), 0
            for block in batch.blocks:
                held = slice(block.first, block.last) if batch.order is None else batch.order[block.first : block.last]
                one = self.heads * block.longest * (1 if once else block.longest)
                kept[held] = size + one * np.arange(block.last - block.first)
                longest[held] = block.longest
                size += one * (block.last - block.first)
            starts, lengths = (np.ascontiguousarray(numbers, np.int64) for numbers in (batch.starts, batch.lengths))
            asking = np.arange(count) if once else starts
            self._asked[once] = kernels.Texts(starts, lengths, asking, kept, longest, self.heads, once)
        return self._asked[once]


def mix(first: Tensor | None, states: Tensor, spans: Spans, mask: Mask | None) -> Tensor:
    """Attention as `attention.attend` has it, with a flat mask over the rectangles' cells."""
    return _Mix.apply(first, states, spans, mask)


class _Mix(torch.autograd.Function):
    """Keeps two numbers of each softmax and makes the probabilities again in the backward (Dao et al. 2022, section 3.1)."""

    @staticmethod
    def forward(ctx: Any, first: Tensor | None, states: Tensor, spans: Spans, mask: Mask | None) -> Tensor:
        keep, ctx.scale = (mask.keep, mask.scale) if mask else (None, 1.0)
        texts = spans.texts(first is not None)
        out, softened = kernels.attention(texts, *_inputs(first, states), keep, ctx.scale)
        if first is None:
            out[spans.fillers] = 0
        ctx.spans = spans
        ctx.save_for_backward(first, states, keep, softened)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,), (first, states, keep, softened) = gradients, ctx.saved_tensors
        texts = ctx.spans.texts(first is not None)
        d_first, d_states = None if first is None else torch.empty_like(first), torch.empty_like(states)
        d_states[ctx.spans.fillers] = 0
        places = _inputs(d_first, d_states)
        kernels.attention_backward(texts, _inputs(first, states), keep, ctx.scale, g, softened, places)
        return d_first, d_states, None, None


def _inputs(first: Tensor | None, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values."""
    if first is None:
        queries, keys, values = states.chunk(3, 1)
        return queries, keys, values
    keys, values = states.chunk(2, 1)
    return first, keys, values
