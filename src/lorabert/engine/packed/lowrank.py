"""The LoRAs of one adapter on layers that read the same input: their part of the output, and their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lorabert.engine import kernels
from lorabert.engine.packed.masks import Mask


@dataclass(frozen=True)
class Group:
    """The LoRAs of one adapter on layers that read the same input.

    Attributes:
        rows: of the input, its adapter's own n.
        columns: of the output, of each LoRA.
        scales: lora_alpha / r, or lora_alpha / sqrt(r), of each.
        mask: dropout on the inputs of their A's, side by side, (n, k in).
    """

    rows: slice
    columns: Sequence[slice]
    scales: Sequence[float]
    mask: Mask | None

    def add(self, x: Tensor, matrices: Sequence[Tensor], y: Tensor) -> list[Tensor]:
        """Add s (x * m) A^T B^T of each LoRA to its columns of y.

        Args:
            x: (T, in).
            matrices: A (r, in) and B (out, r) of each LoRA, one after the other.
            y: (T, out).

        Returns:
            What `gradients` needs.
        """
        if _compiled(x, matrices):
            own = x[self.rows]
            parts = self._apart(matrices, y)
            return [own, *(kernels.low_rank(own, keep, a, b, scale, columns) for a, b, columns, keep, scale in parts)]
        a, b = self.stacked(matrices, x.dtype)
        kept = self._kept(x)
        low = F.linear(kept, a)
        y[self.rows, self.span].addmm_(low, b.t())
        return [kept, low, a, b]

    def gradients(self, g: Tensor, matrices: Sequence[Tensor], saved: Sequence[Tensor], dx: Tensor | None) -> list[Tensor]:
        """Gradients of each A and B; that of x is added to dx.

        Args:
            g: of y, (T, out).
            matrices: as `add` had them.
            saved: what it returned.
            dx: (T, in), or None where nobody wants it.
        """
        dx = None if dx is None else dx[self.rows]
        if _compiled(g, matrices):
            x, *lows = saved
            parts = zip(lows, self._apart(matrices, g), strict=True)
            found = (kernels.low_rank_backward(own, x, keep, a, b, scale, low, dx) for low, (a, b, own, keep, scale) in parts)
            return [gradient for pair in found for gradient in pair]
        kept, low, a, b = saved
        own = g[self.rows, self.span]
        v = own @ b
        d_a, d_b = v.t() @ kept, own.t() @ low
        if dx is not None:
            _add_masked(dx, v, a, self.mask)
        return [
            gradient
            for ranks, inputs, out, scale in self._places(matrices)
            for gradient in (d_a[ranks, inputs].to(matrices[0].dtype), d_b[out, ranks].to(matrices[0].dtype) * scale)
        ]

    def stacked(self, matrices: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """All A's, (ranks, width of `_kept`), and all B's with their scales, (columns of the span, ranks), zeros elsewhere.

        So k LoRAs cost two products and not 2 k, of which most of the time would go into the calls.
        """
        if len(self.columns) == 1:
            (a, b), scale = matrices, self._dropout_scale * self.scales[0]
            return a.to(dtype), (b if scale == 1 else b * scale).to(dtype)
        *_, (last, inputs, _, _) = places = list(self._places(matrices))
        a_all = matrices[0].new_zeros(last.stop, inputs.stop, dtype=dtype)
        b_all = matrices[0].new_zeros(self.span.stop - self.span.start, last.stop, dtype=dtype)
        for a, b, (ranks, inputs, out, scale) in zip(matrices[::2], matrices[1::2], places, strict=True):
            a_all[ranks, inputs] = a
            torch.mul(b, scale, out=b_all[out, ranks])
        return a_all, b_all

    @property
    def span(self) -> slice:
        """The columns from the first LoRA's to the last one's."""
        return slice(self.columns[0].start, self.columns[-1].stop)

    @property
    def _dropout_scale(self) -> float:
        return self.mask.scale if self.mask else 1.0

    def _apart(self, matrices: Sequence[Tensor], y: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None, float]]:
        """Of each LoRA A, B, its rows and columns of y, its own columns of the mask, and its scale with that of dropout."""
        for number, (columns, scale) in enumerate(zip(self.columns, self.scales, strict=True)):
            a, b = matrices[2 * number : 2 * number + 2]
            keep = None if self.mask is None else self.mask.keep[:, number * a.shape[1] : (number + 1) * a.shape[1]]
            yield a, b, y[self.rows, columns], keep, self._dropout_scale * scale

    def _kept(self, x: Tensor) -> Tensor:
        """The adapter's rows of x after each LoRA's own dropout, not yet scaled, (n, k in); without dropout (n, in)."""
        x = x[self.rows]
        if self.mask is None:
            return x
        return (x.unsqueeze(1) * self.mask.keep.view(len(x), -1, x.shape[1])).view(len(x), -1)

    def _places(self, matrices: Sequence[Tensor]) -> Iterator[tuple[slice, slice, slice, float]]:
        """Of each LoRA its ranks, its columns of `_kept`, its rows of B, all counted in the group, and the scale of B."""
        rank = 0
        for number, (a, columns, own) in enumerate(zip(matrices[::2], self.columns, self.scales, strict=True)):
            begin = number * a.shape[1] if self.mask else 0
            out = slice(columns.start - self.span.start, columns.stop - self.span.start)
            yield slice(rank, rank + len(a)), slice(begin, begin + a.shape[1]), out, self._dropout_scale * own
            rank += len(a)


def _compiled(x: Tensor, matrices: Sequence[Tensor]) -> bool:
    """Whether compiled steps take it; they compute with A and B in fp32."""
    return kernels.usable(x) and matrices[0].dtype == torch.float32


def _add_masked(dx: Tensor, v: Tensor, a: Tensor, mask: Mask | None) -> None:
    """Add (v A) * m, of each LoRA that read x under a mask of its own."""
    if mask is None:
        dx.addmm_(v, a)
        return
    width = dx.shape[1]
    d_kept = v @ a
    for begin in range(0, d_kept.shape[1], width):
        dx.addcmul_(d_kept[:, begin : begin + width], mask.keep[:, begin : begin + width])
