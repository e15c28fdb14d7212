"""A linear layer with its LoRAs, with a hand-written backward that keeps and computes only what somebody needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lorabert.engine import kernels
from lorabert.engine.packed.lowrank import Group


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
        saved = [group.add(x, own, y) for group, own in _shared_out(groups, matrices)]
        ctx.groups, ctx.counts = groups, [len(matrices), *map(len, saved)]
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, *matrices, *chain(*saved))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,) = gradients
        x, weight, *rest = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        dx = g @ weight if needs_x else None
        matrices, *saved = _cut(rest, ctx.counts)
        d_matrices: list[Tensor] = []
        for (group, own), kept in zip(_shared_out(ctx.groups, matrices), saved, strict=True):
            d_matrices += group.gradients(g, own, kept, dx)
        d_weight = (g.t() @ x).float() if needs_weight else None
        d_bias = _column_sums(g) if needs_bias else None
        return dx, d_weight, d_bias, None, None, *d_matrices


def _packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _shared_out(groups: Sequence[Group], matrices: Sequence[Tensor]) -> Iterator[tuple[Group, Sequence[Tensor]]]:
    """Each group with its own matrices, of a list of all."""
    begin = 0
    for group in groups:
        yield group, matrices[begin : begin + 2 * len(group.columns)]
        begin += 2 * len(group.columns)


def _cut(tensors: Sequence[Tensor], counts: Sequence[int]) -> Iterator[Sequence[Tensor]]:
    """So many of them, then so many."""
    ends = list(accumulate(counts))
    return (tensors[end - count : end] for end, count in zip(ends, counts, strict=True))


def _column_sums(g: Tensor) -> Tensor:
    return kernels.column_sums(g) if kernels.usable(g) else g.sum(0, dtype=torch.float32)
