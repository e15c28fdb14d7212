"""Dropout masks from raw random bits, drawn from one explicit generator."""

from __future__ import annotations

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


class Masks:
    """Draws dropout masks; all that is random in a forward follows its generator.

    A mask compares 16 random bits an element with a threshold: the rate is p to within 2^-17, and four elements share one
    64-bit draw, which costs a sixth of `bernoulli_`.

    Args:
        generator: on the device of the tensors.
        dtype: of the tensors.
    """

    def __init__(self, generator: torch.Generator, dtype: torch.dtype) -> None:
        self.generator, self.dtype = generator, dtype

    def draw(self, shape: tuple[int, ...], p: float) -> Mask | None:
        """A mask of zeros with probability p; None when p is 0."""
        dropped = round(p * 2**_BITS)
        if not dropped:
            return None
        keep = torch.empty(shape, dtype=self.dtype, device=self.generator.device)
        words = torch.empty(-(-keep.numel() // 4), dtype=torch.int64, device=keep.device)
        # Without bounds random_ fills 63 bits; the fourth element of a word needs the last one too.
        words.random_(-(2**63), None, generator=self.generator)
        torch.ge(words.view(torch.int16)[: keep.numel()].view(shape), dropped - 2 ** (_BITS - 1), out=keep)
        return Mask(keep, 2**_BITS / (2**_BITS - dropped))
