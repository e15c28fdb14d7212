"""The packed forward's three steps with hand-written backwards, which keep and compute only what somebody needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lorabert.engine.packed.masks import Mask


@dataclass(frozen=True)
class Stretch:
    """Where one LoRA works: some rows of a projection's input, and some columns of its output.

    Attributes:
        rows: its adapter's own, (n, in) of the input.
        begin, end: the columns, out = end - begin.
        scale: lora_alpha / r, or lora_alpha / sqrt(r).
        mask: dropout on the input of A, (n, in).
    """

    rows: slice
    begin: int
    end: int
    scale: float
    mask: Mask | None

    @property
    def whole_scale(self) -> float:
        """The scale of B A with that of the dropout in it."""
        return self.scale * self.mask.scale if self.mask else self.scale

    def kept(self, x: Tensor) -> Tensor:
        """The rows of x after dropout, not yet scaled."""
        return x[self.rows] if self.mask is None else x[self.rows] * self.mask.keep


def project(x: Tensor, weight: Tensor, bias: Tensor | None, low_ranks: list[tuple[Stretch, Tensor, Tensor]]) -> Tensor:
    """Compute y = x W^T + b, and on the rows and columns of each LoRA + s (x * m) A^T B^T.

    Args:
        x: (T, in).
        weight: W, (out, in), in the type of x when frozen.
        bias: b, (out,).
        low_ranks: where each works, with A (r, in) and B (out, r).

    Returns:
        (T, out), in the type of x.
    """
    matrices = [matrix for _, a, b in low_ranks for matrix in (a, b)]
    return _Project.apply(x, weight, bias, [stretch for stretch, _, _ in low_ranks], *matrices)


class _Project(torch.autograd.Function):
    """With g = dL/dy (T, out) and, for each LoRA, u = (x * m) A^T (n, r) and v = s g B (n, r), the gradients are these.

        dL/dx = g W + (v A) * m      dL/dA = v^T (x * m)      dL/dB = s g^T u
        dL/dW = g^T x                dL/db = sum of g over tokens

    A LoRA reads and writes its own rows alone, so other adapters' examples give its A and B a gradient of exactly zero.
    A frozen W costs neither its gradient nor the memory of x; x is kept only where an adapter or a trained W needs it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stretches: list[Stretch], *matrices: Tensor) -> Tensor:
        weight = weight.to(x.dtype)
        y = F.linear(x, weight, None if bias is None else bias.to(x.dtype))
        lows = []
        for stretch, a, b in zip(stretches, matrices[::2], matrices[1::2], strict=True):
            low = F.linear(stretch.kept(x), a.to(x.dtype))
            y[stretch.rows, stretch.begin : stretch.end].addmm_(low, b.to(x.dtype).t(), alpha=stretch.whole_scale)
            lows.append(low)
        ctx.stretches, ctx.bias = stretches, bias is not None
        ctx.save_for_backward(x if stretches or ctx.needs_input_grad[1] else None, weight, *lows, *matrices)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,) = gradients
        x, weight, *rest = ctx.saved_tensors
        lows, matrices = rest[: len(ctx.stretches)], rest[len(ctx.stretches) :]
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        dx = g @ weight if needs_x else None
        d_matrices: list[Tensor] = []
        for stretch, low, a, b in zip(ctx.stretches, lows, matrices[::2], matrices[1::2], strict=True):
            columns = g[stretch.rows, stretch.begin : stretch.end]
            v = (columns @ b.to(g.dtype)).mul_(stretch.whole_scale)
            d_matrices += [(v.t() @ stretch.kept(x)).to(a.dtype), (columns.t() @ low).mul_(stretch.whole_scale).to(b.dtype)]
            if dx is not None:
                _add_masked(dx[stretch.rows], v, a.to(g.dtype), stretch.mask)
        d_weight = (g.t() @ x).float() if needs_weight else None
        d_bias = g.sum(0, dtype=torch.float32) if needs_bias else None
        return dx, d_weight, d_bias, None, *d_matrices


def _add_masked(dx: Tensor, v: Tensor, a: Tensor, mask: Mask | None) -> None:
    if mask is None:
        dx.addmm_(v, a)
    else:
        dx.addcmul_(v @ a, mask.keep)


def add_norm(u: Tensor, residual: Tensor | None, mask: Mask | None, norm: torch.nn.LayerNorm) -> Tensor:
    """LayerNorm(residual + dropout(u)).

    Args:
        u: (T, hidden).
        residual: (T, hidden).
        mask: dropout on u.
        norm: its weights and epsilon; statistics are taken in fp32.
    """
    return _AddNorm.apply(u, residual, mask, norm.weight, norm.bias, norm.eps)


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, residual: Tensor | None, mask: Mask | None, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        if residual is None:
            total = u if mask is None else (u * mask.keep).mul_(mask.scale)
        else:
            total = residual + u if mask is None else torch.addcmul(residual, u, mask.keep, value=mask.scale)
        y, mean, deviation = torch.native_layer_norm(total, weight.shape, weight, bias, eps)
        ctx.mask = mask
        ctx.save_for_backward(total, mean, deviation, weight, bias)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        total, mean, deviation, weight, bias = ctx.saved_tensors
        needs_u, needs_residual, _, needs_weight, needs_bias, _ = ctx.needs_input_grad
        wanted = [needs_u or needs_residual, needs_weight, needs_bias]
        (g,) = gradients
        d_total, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            g, total, weight.shape, mean, deviation, weight, bias, wanted
        )
        d_u = None
        if needs_u:
            d_u = d_total if ctx.mask is None else (d_total * ctx.mask.keep).mul_(ctx.mask.scale)
        return d_u, d_total if needs_residual else None, None, d_weight, d_bias, None


def dropout(x: Tensor, mask: Mask | None) -> Tensor:
    """What the mask leaves of x."""
    return x if mask is None else x * mask.keep * mask.scale
