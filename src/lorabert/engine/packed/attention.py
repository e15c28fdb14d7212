"""Self-attention of a packed batch: every text attends to itself alone, texts of like length in one rectangle.

A rectangle holds the rows of m texts of at most L tokens. Where all have L, it is a view of the stream; otherwise the cells
past a text's end are zeros, and as keys they get a score of -inf:

    stream      [a0 a1 a2 a3 b0 b1 b2 | c0 d0]        two blocks: L = 4 and L = 1
    rectangle   [a0 a1 a2 a3]   [c0]
                [b0 b1 b2  -]   [d0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorabert.data.batching import Block
from lorabert.engine.packed.masks import Mask, Masks


@dataclass(frozen=True)
class Rectangle:
    """A block on the device of the tensors.

    Attributes:
        block: which texts and tokens.
        cells: (tokens,) the flattened cell of each token; None when every cell holds one.
        bias: (texts, 1, 1, longest) 0 for tokens and -inf past them; None when every cell holds one.
    """

    block: Block
    cells: Tensor | None
    bias: Tensor | None

    @property
    def texts(self) -> int:
        """How many."""
        return self.block.last - self.block.first

    @classmethod
    def of(cls, block: Block, device: torch.device, dtype: torch.dtype) -> Rectangle:
        """Bring a block to the device."""
        if block.cells is None:
            return cls(block, None, None)
        texts = block.last - block.first
        bias = torch.full((texts * block.longest,), -math.inf, dtype=dtype)
        bias[torch.from_numpy(block.cells)] = 0
        return cls(block, torch.from_numpy(block.cells).to(device), bias.view(texts, 1, 1, block.longest).to(device))

    def spread(self, rows: Tensor) -> Tensor:
        """Rows of the block's tokens, (tokens, width), to (texts, longest, width) with zeros past the texts' ends."""
        if self.cells is None:
            return rows.view(self.texts, self.block.longest, -1)
        padded = rows.new_zeros(self.texts * self.block.longest, rows.shape[1])
        return padded.index_copy_(0, self.cells, rows).view(self.texts, self.block.longest, -1)

    def gather(self, padded: Tensor, out: Tensor) -> None:
        """The inverse of spread: (texts * longest, width) to the block's tokens, (tokens, width)."""
        if self.cells is None:
            out.copy_(padded)
        else:
            torch.index_select(padded, 0, self.cells, out=out)


def attend(q: Tensor, kv: Tensor, rectangles: list[Rectangle], heads: int, p: float, masks: Masks | None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v by text and head, with dropout on the probabilities.

    Args:
        q: (T, hidden) queries of all tokens, or (n, hidden) of the first token of each text.
        kv: (T, 2 hidden) keys and values.
        rectangles: the blocks of the batch.
        heads: d = hidden / heads.
        p: dropout rate of the probabilities.
        masks: draws the dropout; None for none.

    Returns:
        Of q's shape.
    """
    rows = [(r.texts * heads, r.block.longest if len(q) == len(kv) else 1, r.block.longest) for r in rectangles]
    drawn = [masks.draw(shape, p) if masks else None for shape in rows]
    return _Attend.apply(q, kv, rectangles, heads, drawn)


class _Attend(torch.autograd.Function):
    """Of S = q k^T / sqrt(d), P = softmax(S), D = P * m and o = D v, with g = dL/do, the gradients are these.

    dL/dv = D^T g     dL/dP = (g v^T) * m     dL/dS = P * (dL/dP - rowsum(P * dL/dP))
    dL/dq = dL/dS k / sqrt(d)                 dL/dk = dL/dS^T q / sqrt(d)
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, kv: Tensor, rectangles: list[Rectangle], heads: int, masks: list[Mask | None]) -> Tensor:
        out = torch.empty_like(q)
        saved: list[Tensor] = []
        every = len(q) == len(kv)
        for rectangle, mask in zip(rectangles, masks, strict=True):
            block = rectangle.block
            queries = _heads(_queries(q, rectangle, every), 1, heads)[0]
            keys, values = _heads(rectangle.spread(kv[block.begin : block.end]), 2, heads)
            scores = torch.bmm(queries, keys.transpose(1, 2)).mul_(queries.shape[-1] ** -0.5)
            if rectangle.bias is not None:
                scores.view(rectangle.texts, heads, -1, block.longest).add_(rectangle.bias)
            probabilities = torch.softmax(scores, -1)
            mixed = torch.bmm(probabilities if mask is None else probabilities * mask.keep, values)
            _put(out, _tokens(mixed, heads), rectangle, every, mask.scale if mask else 1.0)
            saved += [queries, keys, values, probabilities]
        ctx.rectangles, ctx.heads, ctx.masks, ctx.every, ctx.shapes = rectangles, heads, masks, every, (q.shape, kv.shape)
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,) = gradients
        dq, dkv = (g.new_empty(shape) for shape in ctx.shapes)
        saved = iter(ctx.saved_tensors)
        for rectangle, mask in zip(ctx.rectangles, ctx.masks, strict=True):
            queries, keys, values, probabilities = (next(saved) for _ in range(4))
            scale = mask.scale if mask else 1.0
            root = queries.shape[-1] ** -0.5
            go = _heads(_queries(g, rectangle, ctx.every), 1, ctx.heads)[0]
            dropped = probabilities if mask is None else probabilities * mask.keep
            d_values = torch.bmm(dropped.transpose(1, 2), go).mul_(scale)
            d_dropped = torch.bmm(go, values.transpose(1, 2))
            if mask is not None:
                d_dropped.mul_(mask.keep)
            d_scores = torch._softmax_backward_data(d_dropped, probabilities, -1, probabilities.dtype)
            d_queries = torch.bmm(d_scores, keys)
            d_keys = torch.bmm(d_scores.transpose(1, 2), queries).mul_(root * scale)
            _put(dq, _tokens(d_queries, ctx.heads), rectangle, ctx.every, root * scale)
            block = rectangle.block
            both = torch.cat([_tokens(d_keys, ctx.heads), _tokens(d_values, ctx.heads)], -1)
            rectangle.gather(both.view(-1, both.shape[-1]), dkv[block.begin : block.end])
        return dq, dkv, None, None, None


def _queries(q: Tensor, rectangle: Rectangle, every: bool) -> Tensor:
    """A block's rows of q as (texts, queries of a text, hidden)."""
    block = rectangle.block
    return rectangle.spread(q[block.begin : block.end]) if every else q[block.first : block.last].unsqueeze(1)


def _heads(rows: Tensor, parts: int, heads: int) -> Tensor:
    """(texts, L, parts * hidden) to contiguous (parts, texts * heads, L, d)."""
    texts, length, width = rows.shape
    split = rows.view(texts, length, parts, heads, width // (parts * heads)).permute(2, 0, 3, 1, 4)
    return split.reshape(parts, texts * heads, length, -1)


def _tokens(values: Tensor, heads: int) -> Tensor:
    """(texts * heads, L, d) to (texts, L, hidden), a copy."""
    _, length, size = values.shape
    return values.view(-1, heads, length, size).transpose(1, 2).reshape(-1, length, heads * size)


def _put(out: Tensor, values: Tensor, rectangle: Rectangle, every: bool, scale: float) -> None:
    """Write a block's rows, (texts, queries, hidden), scaled, to their place in the stream."""
    block = rectangle.block
    values = values.view(-1, values.shape[-1]).mul_(scale)
    if every:
        rectangle.gather(values, out[block.begin : block.end])
    else:
        out[block.first : block.last] = values
