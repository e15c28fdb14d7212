"""Dropout masks from raw random bits; each part of a batch draws from a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_BITS = 16


@dataclass(frozen=True)
class Mask:
    """What dropout leaves of a tensor: x becomes keep * x * scale.

    Attributes:
        keep: ones and zeros, of the tensor's shape and type.
        scale: 1 / P(one), with the probability that the mask was really drawn with.
    """

    keep: torch.Tensor
    scale: float


def draw(generators: Sequence[torch.Generator], sizes: Sequence[int], p: float, dtype: torch.dtype) -> Mask | None:
    """A flat mask of zeros with probability p, each generator's elements after the other's; None when p is 0.

    A mask compares 16 random bits an element with a threshold: the rate is p to within 2^-17, and four elements share one
    64-bit draw, which costs a sixth of `bernoulli_`. What one generator gives depends on its own sizes alone.

    Args:
        generators: on the device of the tensors.
        sizes: elements that each draws.
        p: dropout rate.
        dtype: of the mask.
    """
    dropped = round(p * 2**_BITS)
    if not dropped:
        return None
    keep = torch.empty(sum(sizes), dtype=dtype, device=generators[0].device)
    begin = 0
    for generator, size in zip(generators, sizes, strict=True):
        words = torch.empty(-(-size // 4), dtype=torch.int64, device=keep.device)
        # Without bounds random_ fills 63 bits; the fourth element of a word needs the last one too.
        words.random_(-(2**63), None, generator=generator)
        torch.ge(words.view(torch.int16)[:size], dropped - 2 ** (_BITS - 1), out=keep[begin : begin + size])
        begin += size
    return Mask(keep, 2**_BITS / (2**_BITS - dropped))
