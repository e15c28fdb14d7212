"""Self-attention of a packed batch: every text attends to itself alone, texts of like length in one rectangle.

A rectangle holds the rows of m texts of at most L tokens. The cells past a text's end hold a filler, and as keys they get a
score of -inf. The cells of all rectangles lie one after the other, with one for all fillers at the end:

    stream       [a0 a1 a2 a3 | b0 b1 b2 | c0 | d0 | - -]        two rectangles: L = 4 and L = 1
    rectangles   [a0 a1 a2 a3]   [c0]
                 [b0 b1 b2  -]   [d0]
    cells        [a0 a1 a2 a3 b0 b1 b2 - c0 d0 -]

Nothing reads a filler, so its gradient is zero, and so are those of the cells that hold one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorabert.data.packing import Block, PackedBatch
from lorabert.engine import kernels
from lorabert.engine.packed.masks import Mask
from lorabert.engine.packed.rows import Rows
from lorabert.engine.packed.spans import Spans, mix


class Rectangles:
    """The rectangles of a batch, on the device of the tensors.

    Attributes:
        batch: whose texts they hold.
        blocks: which texts and which cells each holds.
        dtype: in which attention is computed.
        biases: of each, (texts * heads, 1, longest) 0 for tokens and -inf past them; None where every cell holds a token.
        cells: (T,) the cell of each token.
        tokens: (cells,) the token in each cell.
        order: (n,) the texts as the blocks take them; None when that is the batch's own order.
    """

    def __init__(self, batch: PackedBatch, heads: int, device: torch.device, dtype: torch.dtype) -> None:
        self.batch, self.blocks, self.heads = batch, batch.blocks, heads
        # A CPU's matrix library compiles a kernel for every shape of a small half-precision product; in fp32 it has them all.
        self.dtype = torch.float32 if device.type == "cpu" else dtype
        self.cells, self.tokens = (torch.from_numpy(numbers).to(device) for numbers in (batch.cells, batch.tokens))
        self.order = None if batch.order is None else torch.from_numpy(batch.order).to(device)
        self.biases = [None if block.full else self._bias(batch, block).to(device) for block in batch.blocks]

    def take(self, batch: PackedBatch) -> None:
        """Put the numbers of another batch of the same form in the place of these."""
        self.cells.copy_(torch.from_numpy(batch.cells))
        self.tokens.copy_(torch.from_numpy(batch.tokens))
        if batch.order is not None and self.order is not None:
            self.order.copy_(torch.from_numpy(batch.order))
        for block, bias in zip(batch.blocks, self.biases, strict=True):
            if bias is not None:
                bias.copy_(self._bias(batch, block))

    def _bias(self, batch: PackedBatch, block: Block) -> Tensor:
        lengths = batch.lengths if batch.order is None else batch.lengths[batch.order]
        past = torch.from_numpy(np.arange(block.longest) >= lengths[block.first : block.last, None])
        bias = torch.zeros(past.shape, dtype=self.dtype).masked_fill_(past, -math.inf)
        return bias.repeat_interleave(self.heads, 0).unsqueeze(1)

    def spread(self, rows: Tensor) -> Tensor:
        """Rows of the tokens, (T, width), to rows of the cells."""
        return rows.index_select(0, self.tokens)

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of the cells back to rows of the tokens; those of fillers are zeros."""
        rows[-1] = 0
        return rows.index_select(0, self.cells)

    def inside(self, cells: Tensor, block: Block, parts: int) -> Tensor:
        """A block's cells, of width parts * hidden, seen as (parts, texts, heads, longest, d)."""
        size = cells.shape[1] // (parts * self.heads)
        rows = cells[block.begin : block.end].view(-1, block.longest, parts, self.heads, size)
        return rows.permute(2, 0, 3, 1, 4)

    def firsts(self, rows: Tensor, block: Block) -> Tensor:
        """A block's rows of (n, hidden) seen as (1, texts, heads, 1, d)."""
        return rows[block.first : block.last].view(1, block.last - block.first, self.heads, 1, -1)

    def flat(self, seen: Tensor) -> Tensor:
        """(parts, texts, heads, length, d) as (parts, texts * heads, length, d), contiguous and in the type of attention."""
        copy = torch.empty(seen.shape, dtype=self.dtype, device=seen.device).copy_(seen)
        return copy.view(len(seen), -1, *seen.shape[-2:])


Places = Rectangles | Spans


def places_of(batch: PackedBatch, heads: int, device: torch.device, dtype: torch.dtype) -> Places:
    """Where the texts of a batch attend: where they lie if there is a compiled step, else in rectangles."""
    if kernels.usable(torch.empty(0, dtype=dtype, device=device)):
        return Spans(batch, heads, dtype)
    return Rectangles(batch, heads, device, dtype)


def attend(first: Tensor | None, states: Tensor, places: Places, p: float, rows: Rows) -> Tensor:
    """Mix values by softmax(q k^T / sqrt(d)), by text and head, with dropout on the probabilities.

    Args:
        first: (n, hidden) queries of each text's first token, when only those ask; None when all tokens do.
        states: (T, 3 hidden) queries, keys and values, or (T, 2 hidden) keys and values beside `first`.
        places: of the batch.
        p: dropout rate of the probabilities.
        rows: each adapter draws the dropout of its own texts.

    Returns:
        (T, hidden), or (n, hidden) beside `first`.
    """
    shapes = [
        ((block.last - block.first) * places.heads, block.longest if first is None else 1, block.longest)
        for block in places.batch.blocks
    ]
    sizes = [math.prod(shape) for shape in shapes]
    # One draw for all rectangles: many small ones would cost more calls than bits.
    drawn = rows.flat_mask([sum(sizes[part.blocks]) for part in places.batch.parts], p, places.dtype)
    if isinstance(places, Spans):
        return mix(first, states, places, drawn)
    pieces: list[Mask | None] = [None] * len(shapes)
    if drawn is not None:
        kept = drawn.keep.split(sizes)
        pieces = [Mask(keep.view(shape), drawn.scale) for keep, shape in zip(kept, shapes, strict=True)]
    if first is None or places.order is None:
        return _Attend.apply(first, states, places, pieces)
    mixed = _Attend.apply(first.index_select(0, places.order), states, places, pieces)
    return mixed.index_select(0, places.order.argsort())


class _Attend(torch.autograd.Function):
    """Of S = q k^T / sqrt(d), P = softmax(S), D = P * m and o = D v, with g = dL/do, the gradients are these.

    dL/dv = D^T g     dL/dP = (g v^T) * m     dL/dS = P * (dL/dP - rowsum(P * dL/dP))
    dL/dq = dL/dS k / sqrt(d)                 dL/dk = dL/dS^T q / sqrt(d)
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor | None, states: Tensor, rectangles: Rectangles, masks: list[Mask | None]) -> Tensor:
        cells, saved = rectangles.spread(states), []
        out = torch.empty_like(first) if first is not None else cells.new_empty(len(cells), cells.shape[1] // 3)
        for block, bias, mask in zip(rectangles.blocks, rectangles.biases, masks, strict=True):
            queries, keys, values = _read(first, cells, rectangles, block)
            scores = _product(queries, keys.transpose(1, 2), queries.shape[-1] ** -0.5, bias)
            probabilities = torch.softmax(scores, -1)
            dropped = probabilities if mask is None else probabilities * mask.keep
            place = _place(out, first, rectangles, block)
            place.copy_(_product(dropped, values, mask.scale if mask else 1.0).view(place.shape))
            saved += [queries, keys, values, probabilities]
        ctx.rectangles, ctx.masks, ctx.shape, ctx.has_first = rectangles, masks, cells.shape, first is not None
        ctx.save_for_backward(*saved)
        return out if first is not None else rectangles.gather(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,), rectangles, saved = gradients, ctx.rectangles, iter(ctx.saved_tensors)
        d_cells = g.new_empty(ctx.shape)
        d_first = torch.empty_like(g) if ctx.has_first else None
        g = g if ctx.has_first else rectangles.spread(g)
        for block, mask in zip(rectangles.blocks, ctx.masks, strict=True):
            seen = _place(g, d_first, rectangles, block)
            (go,) = rectangles.flat(seen)
            queries, keys, values, probabilities = (next(saved) for _ in range(4))
            found = _gradients(go, queries, keys, values, probabilities, mask)
            _write(found, d_first, d_cells, rectangles, block)
        return d_first, rectangles.gather(d_cells), None, None


def _gradients(
    go: Tensor, queries: Tensor, keys: Tensor, values: Tensor, probabilities: Tensor, mask: Mask | None
) -> list[Tensor]:
    """Gradients of queries, keys and values of one rectangle, each (texts * heads, length, d)."""
    scale = mask.scale if mask else 1.0
    dropped = probabilities if mask is None else probabilities * mask.keep
    d_dropped = torch.bmm(go, values.transpose(1, 2))
    if mask is not None:
        d_dropped.mul_(mask.keep)
    d_scores = torch._softmax_backward_data(d_dropped, probabilities, -1, probabilities.dtype)
    root = scale * queries.shape[-1] ** -0.5
    return [
        _product(d_scores, keys, root),
        _product(d_scores.transpose(1, 2), queries, root),
        _product(dropped.transpose(1, 2), go, scale),
    ]


def _product(left: Tensor, right: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
    """Compute scale * left @ right + bias, by batch."""
    if bias is None:
        return torch.baddbmm(left.new_empty(()), left, right, beta=0, alpha=scale)
    return torch.baddbmm(bias, left, right, alpha=scale)


def _read(first: Tensor | None, cells: Tensor, rectangles: Rectangles, block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Contiguous queries, keys and values of a rectangle, each (texts * heads, length, d)."""
    seen = rectangles.inside(cells, block, 3 if first is None else 2)
    parts = list(rectangles.flat(seen))
    if first is not None:
        parts[:0] = rectangles.flat(rectangles.firsts(first, block))
    queries, keys, values = parts
    return queries, keys, values


def _place(rows: Tensor, first: Tensor | None, rectangles: Rectangles, block: Block) -> Tensor:
    """Where a rectangle's mixed values, or their gradients, stand: (1, texts, heads, length, d)."""
    return rectangles.inside(rows, block, 1) if first is None else rectangles.firsts(rows, block)


def _write(found: list[Tensor], d_first: Tensor | None, d_cells: Tensor, rectangles: Rectangles, block: Block) -> None:
    """Put a rectangle's gradients in their places."""
    if d_first is not None:
        places = [rectangles.firsts(d_first, block)[0], *rectangles.inside(d_cells, block, 2)]
    else:
        places = list(rectangles.inside(d_cells, block, 3))
    for place, values in zip(places, found, strict=True):
        place.copy_(values.view(place.shape))
