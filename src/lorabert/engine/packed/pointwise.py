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
        keep, scale = (mask.keep, mask.scale) if mask else (None, 1.0)
        ctx.scale, ctx.compiled = scale, kernels.usable(u)
        if ctx.compiled:
            y, total, *statistics = kernels.add_norm(u, residual, keep, scale, weight, bias, eps)
        else:
            total = u if keep is None else u * keep * scale
            if residual is not None:
                total = residual + u if keep is None else torch.addcmul(residual, u, keep, value=scale)
            y, *statistics = torch.native_layer_norm(_wide(total), weight.shape, weight, bias, eps)
        ctx.save_for_backward(total, *statistics, weight, bias, keep)
        return y.to(total.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        total, mean, deviation, weight, bias, keep = ctx.saved_tensors
        needs_u, needs_residual, _, needs_weight, needs_bias, _ = ctx.needs_input_grad
        (g,) = gradients
        d_total = d_u = d_weight = d_bias = None
        if ctx.compiled:
            if needs_u or needs_residual:
                d_total, d_u = kernels.add_norm_backward(g, total, mean, deviation, weight, keep, ctx.scale)
            if needs_weight or needs_bias:
                d_weight, d_bias = kernels.norm_parameters(g, total, mean, deviation)
        else:
            wanted = [needs_u or needs_residual, needs_weight, needs_bias]
            d_total, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
                _wide(g), _wide(total), weight.shape, mean, deviation, weight, bias, wanted
            )
            d_total = d_total if d_total is None else d_total.to(total.dtype)
            if needs_u:
                d_u = d_total if keep is None else (d_total * keep).mul_(ctx.scale)
        return d_u, d_total if needs_residual else None, None, d_weight, d_bias, None


def _wide(x: Tensor) -> Tensor:
    """As the layer norm takes it: a GPU's wants its input in the weights' type."""
    return x.float() if x.is_cuda else x


def dropout(x: Tensor, mask: Mask | None) -> Tensor:
    """What the mask leaves of x."""
    return x if mask is None else x * mask.keep * mask.scale
