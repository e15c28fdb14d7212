"""DoRA's part of a projection, left to autograd: two products that LoRA does not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lorabert.engine.packed.masks import Mask
from lorabert.engine.packed.pointwise import dropout
from lorabert.engine.packed.reading import LowRank


def dora(y: Tensor, x: Tensor, weight: Tensor, low: LowRank, rows: slice, columns: slice, mask: Mask | None) -> Tensor:
    """Add (k - 1) x' W^T + k s x' A^T B^T on its rows and columns, with x' = x * m and k = magnitude / |W + s B A|.

    The norm is of each output's row and is taken as a constant (Liu et al. 2024, section 4.3). Without dropout the result is
    x k (W + s B A)^T; with it, W too sees the dropped x, as in PEFT.

    Args:
        y: x W^T + b, (T, out of all columns).
        x: (T, in).
        weight: W of all columns, (out of all, in).
        low: A, B, s and the magnitude.
        rows: its adapter's own.
        columns: its layer's own, of y.
        mask: dropout on its rows of x.
    """
    own = weight[columns]
    with torch.no_grad():
        norm = (own.float() + low.scale * (low.b @ low.a)).norm(dim=1)
    ratio = (low.magnitude / norm).to(x.dtype)
    kept = dropout(x[rows], mask)
    change = (ratio - 1) * F.linear(kept, own)
    change = change + ratio * low.scale * F.linear(F.linear(kept, low.a.to(x.dtype)), low.b.to(x.dtype))
    return y + F.pad(change, (columns.start, y.shape[1] - columns.stop, rows.start, len(y) - rows.stop))
