"""The packed forward's three steps with hand-written backwards, which keep and compute only what somebody needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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

    @property
    def span(self) -> slice:
        """The columns from the first LoRA's to the last one's."""
        return slice(self.columns[0].start, self.columns[-1].stop)

    def kept(self, x: Tensor) -> Tensor:
        """The adapter's rows of x after each LoRA's own dropout, not yet scaled, (n, k in); without dropout (n, in)."""
        x = x[self.rows]
        if self.mask is None:
            return x
        return (x.unsqueeze(1) * self.mask.keep.view(len(x), -1, x.shape[1])).view(len(x), -1)

    def places(self, matrices: Sequence[Tensor]) -> Iterator[tuple[slice, slice, slice, float]]:
        """Of each LoRA its ranks, its columns of `kept`, its rows of B, all counted in the group, and the scale of B."""
        rank, scale = 0, self.mask.scale if self.mask else 1.0
        for number, (a, columns, own) in enumerate(zip(matrices[::2], self.columns, self.scales, strict=True)):
            begin = number * a.shape[1] if self.mask else 0
            out = slice(columns.start - self.span.start, columns.stop - self.span.start)
            yield slice(rank, rank + len(a)), slice(begin, begin + a.shape[1]), out, scale * own
            rank += len(a)

    def stacked(self, matrices: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """All A's, (ranks, width of `kept`), and all B's with their scales, (columns of the span, ranks), zeros elsewhere.

        So k LoRAs cost two products and not 2 k, of which most of the time would go into the calls.
        """
        if len(self.columns) == 1:
            (a, b), scale = matrices, self.scales[0] * (self.mask.scale if self.mask else 1.0)
            return a.to(dtype), (b if scale == 1 else b * scale).to(dtype)
        *_, (last, inputs, _, _) = places = list(self.places(matrices))
        a_all = matrices[0].new_zeros(last.stop, inputs.stop, dtype=dtype)
        b_all = matrices[0].new_zeros(self.span.stop - self.span.start, last.stop, dtype=dtype)
        for a, b, (ranks, inputs, out, scale) in zip(matrices[::2], matrices[1::2], places, strict=True):
            a_all[ranks, inputs] = a
            torch.mul(b, scale, out=b_all[out, ranks])
        return a_all, b_all


class Weight(NamedTuple):
    """A linear layer's W and b, for the forward and for the backward.

    Attributes:
        plain: W, (out, in), in the type of the products when frozen.
        bias: b, (out,), or None.
        packed: W as the matrix library wants it for x W^T, or None: laid out once, it need not be at every call.
    """

    plain: Tensor
    bias: Tensor | None
    packed: Tensor | None = None


def packed(weight: Tensor) -> Tensor | None:
    """A frozen W laid out for x W^T, where that pays: half precision on a CPU whose oneDNN multiplies in it."""
    if weight.dtype != torch.bfloat16 or weight.device.type != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return torch.ops.mkldnn._reorder_linear_weight(weight)


def project(x: Tensor, weight: Weight, low_ranks: Sequence[tuple[Group, Sequence[Tensor]]]) -> Tensor:
    """Compute y = x W^T + b, and on the rows and columns of each LoRA + s (x * m) A^T B^T.

    Args:
        x: (T, in).
        weight: W and b.
        low_ranks: of each adapter, where its LoRAs work, with A (r, in) and B (out, r) of each, one after the other.

    Returns:
        (T, out), in the type of x.
    """
    return _Project.apply(x, *weight, [group for group, _ in low_ranks], *chain(*(own for _, own in low_ranks)))


class _Project(torch.autograd.Function):
    """With g = dL/dy (T, out) and, for each LoRA, u = (x * m) A^T (n, r) and v = s g B (n, r), the gradients are these.

        dL/dx = g W + (v A) * m      dL/dA = v^T (x * m)      dL/dB = s g^T u
        dL/dW = g^T x                dL/db = sum of g over tokens

    A LoRA reads and writes its own rows alone, so other adapters' examples give its A and B a gradient of exactly zero.
    A frozen W costs neither its gradient nor the memory of x; of x only what an adapter has read is kept.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, packed: Tensor | None, groups: list[Group],
                *matrices: Tensor) -> Tensor:  # fmt: skip
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        y = F.linear(x, weight, bias) if packed is None else _packed_linear(x, packed, bias)
        saved = []
        for group, own in _shared_out(groups, matrices):
            a, b = group.stacked(own, x.dtype)
            kept = group.kept(x)
            low = F.linear(kept, a)
            y[group.rows, group.span].addmm_(low, b.t())
            saved += [kept, low, a, b]
        ctx.groups = groups
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, *matrices, *saved)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,) = gradients
        x, weight, *rest = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        dx = g @ weight if needs_x else None
        matrices, saved = rest[: len(rest) - 4 * len(ctx.groups)], iter(rest[len(rest) - 4 * len(ctx.groups) :])
        d_matrices: list[Tensor] = []
        for group, own in _shared_out(ctx.groups, matrices):
            kept, low, a, b = (next(saved) for _ in range(4))
            columns = g[group.rows, group.span]
            v = columns @ b
            d_a, d_b = v.t() @ kept, columns.t() @ low
            for like, (ranks, inputs, out, scale) in zip(own[::2], group.places(own), strict=True):
                d_matrices += [d_a[ranks, inputs].to(like.dtype), d_b[out, ranks].to(like.dtype) * scale]
            if dx is not None:
                _add_masked(dx[group.rows], v, a, group.mask)
        d_weight = (g.t() @ x).float() if needs_weight else None
        d_bias = g.sum(0, dtype=torch.float32) if needs_bias else None
        return dx, d_weight, d_bias, None, None, *d_matrices


def _packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _shared_out(groups: Sequence[Group], matrices: Sequence[Tensor]) -> Iterator[tuple[Group, Sequence[Tensor]]]:
    """Each group with its own matrices, of a list of all."""
    begin = 0
    for group in groups:
        yield group, matrices[begin : begin + 2 * len(group.columns)]
        begin += 2 * len(group.columns)


def _add_masked(dx: Tensor, v: Tensor, a: Tensor, mask: Mask | None) -> None:
    """Add (v A) * m, of each LoRA that read x under a mask of its own."""
    if mask is None:
        dx.addmm_(v, a)
        return
    width = dx.shape[1]
    d_kept = v @ a
    for begin in range(0, d_kept.shape[1], width):
        dx.addcmul_(d_kept[:, begin : begin + width], mask.keep[:, begin : begin + width])


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
        y, mean, deviation = torch.native_layer_norm(_wide(total), weight.shape, weight, bias, eps)
        ctx.mask = mask
        ctx.save_for_backward(total, mean, deviation, weight, bias)
        return y.to(total.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        total, mean, deviation, weight, bias = ctx.saved_tensors
        needs_u, needs_residual, _, needs_weight, needs_bias, _ = ctx.needs_input_grad
        wanted = [needs_u or needs_residual, needs_weight, needs_bias]
        (g,) = gradients
        d_total, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            _wide(g), _wide(total), weight.shape, mean, deviation, weight, bias, wanted
        )
        d_total = d_total if d_total is None else d_total.to(total.dtype)
        d_u = None
        if needs_u:
            d_u = d_total if ctx.mask is None else (d_total * ctx.mask.keep).mul_(ctx.mask.scale)
        return d_u, d_total if needs_residual else None, None, d_weight, d_bias, None


def _wide(x: Tensor) -> Tensor:
    """As the layer norm takes it: a GPU's wants its input in the weights' type."""
    return x.float() if x.is_cuda else x


def dropout(x: Tensor, mask: Mask | None) -> Tensor:
    """What the mask leaves of x."""
    return x if mask is None else x * mask.keep * mask.scale
