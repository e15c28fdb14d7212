"""The packed forward's steps that look at one token at a time: layer norm after dropout and residual, and dropout alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lorabert.engine import kernels
from lorabert.engine.packed.masks import Mask


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
        keep, ctx.scale = (mask.keep, mask.scale) if mask else (None, 1.0)
        compute = kernels.add_norm if kernels.usable(u) else _add_norm
        y, total, *statistics = compute(u, residual, keep, ctx.scale, weight, bias, eps)
        ctx.save_for_backward(total, *statistics, weight, keep)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,), (total, mean, inverse, weight, keep) = gradients, ctx.saved_tensors
        needs_u, needs_residual, _, needs_weight, needs_bias, _ = ctx.needs_input_grad
        d_u = d_total = d_weight = d_bias = None
        if needs_u or needs_residual:
            compute = kernels.add_norm_backward if kernels.usable(g) else _add_norm_backward
            d_total, d_u = compute(g, total, mean, inverse, weight, keep, ctx.scale)
        if needs_weight or needs_bias:
            d_weight, d_bias = (kernels.norm_parameters if kernels.usable(g) else _norm_parameters)(g, total, mean, inverse)
        return d_u, d_total if needs_residual else None, None, d_weight, d_bias, None


# The same three steps as PyTorch has them.


def _add_norm(
    u: Tensor, residual: Tensor | None, keep: Tensor | None, scale: float, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if residual is None:
        total = u if keep is None else (u * keep).mul_(scale)
    else:
        total = residual + u if keep is None else torch.addcmul(residual, u, keep, value=scale)
    y, mean, inverse = torch.native_layer_norm(_wide(total), weight.shape, weight, bias, eps)
    return y.to(total.dtype), total, mean, inverse


def _add_norm_backward(
    g: Tensor, total: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor, keep: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    wanted = [True, False, False]
    found, _, _ = torch.ops.aten.native_layer_norm_backward(
        _wide(g), _wide(total), weight.shape, mean, inverse, weight, None, wanted
    )
    d_total = found.to(total.dtype)
    return d_total, d_total if keep is None else (d_total * keep).mul_(scale)


def _norm_parameters(g: Tensor, total: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    wanted, ones = [False, True, True], mean.new_ones(total.shape[1])
    _, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
        _wide(g), _wide(total), ones.shape, mean, inverse, ones, ones, wanted
    )
    return d_weight, d_bias


def _wide(x: Tensor) -> Tensor:
    """As the layer norm takes it: a GPU's wants its input in the weights' type."""
    return x.float() if x.is_cuda else x


def dropout(x: Tensor, mask: Mask | None) -> Tensor:
    """What the mask leaves of x."""
    return x if mask is None else x * mask.keep * mask.scale
