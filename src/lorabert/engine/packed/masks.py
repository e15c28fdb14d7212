"""Dropout masks from raw random bits; each part of a batch draws from a stream of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lorabert.engine import kernels

_BITS = 16


class Bits:
    """A stream of random bits that follows from a seed, and goes on from any position.

    On a CPU they are numpy's PCG64 DXSM (O'Neill 2014), which draws a word in half the time that torch's generator takes; the
    compiled step draws the same ones.

    Args:
        seed: of the stream.
        device: where its masks are needed.

    Attributes:
        generator: what draws on a GPU; None on a CPU.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device, self._seed = torch.device(device), seed
        self._position = self._drawn = 0  # words of the stream that are used up, and those that numpy itself has drawn
        self._on_cpu = np.random.PCG64DXSM(seed)
        self.generator = None if self.device.type == "cpu" else torch.Generator(self.device).manual_seed(seed)
        numbers: Any = self._on_cpu.state["state"]
        halves = [half for number in (numbers["state"], numbers["inc"]) for half in divmod(number, 2**64)]
        self._seeded = np.array(halves, dtype=np.uint64)

    def fill(self, keep: torch.Tensor, dropped: int) -> None:
        """Draw a flat mask: zeros with probability dropped / 2^16, ones elsewhere; four elements share a word."""
        least, words = dropped - 2 ** (_BITS - 1), -(-keep.numel() // 4)
        if self.generator is None and kernels.usable(keep):
            kernels.dropout(keep, least, self._seeded, self._position)
            self._position += words
        else:
            torch.ge(self.words(words).view(torch.int16)[: keep.numel()], least, out=keep)

    def words(self, count: int) -> torch.Tensor:
        """The next 64-bit words, (count,) int64; every bit is random."""
        if self.generator is None:
            if self._drawn != self._position:
                self._on_cpu = np.random.PCG64DXSM(self._seed).advance(self._position)
            self._position += count
            self._drawn = self._position
            return torch.from_numpy(self._on_cpu.random_raw(count).view(np.int64))
        # Without bounds random_ fills 63 bits; whoever reads a word in pieces needs the last one too.
        return torch.empty(count, dtype=torch.int64, device=self.device).random_(-(2**63), None, generator=self.generator)

    def state(self) -> torch.Tensor:
        """What `restore` needs to go on from here, on the same kind of device."""
        return torch.tensor([self._position]) if self.generator is None else self.generator.get_state()

    def restore(self, state: torch.Tensor) -> None:
        """Go on from where `state` was taken, in a stream of the same seed."""
        if self.generator is None:
            self._position = int(state[0])
        else:
            # A row of a matrix as it lies there crashes torch 2.13.
            self.generator.set_state(state.clone())


@dataclass(frozen=True)
class Mask:
    """What dropout leaves of a tensor: x becomes keep * x * scale.

    Attributes:
        keep: ones and zeros, of the tensor's shape and type.
        scale: 1 / P(one), with the probability that the mask was really drawn with.
    """

    keep: torch.Tensor
    scale: float


def draw(streams: Sequence[Bits], sizes: Sequence[int], p: float, dtype: torch.dtype, rest: int = 0) -> Mask | None:
    """A flat mask of zeros with probability p, each stream's elements after the other's; None when p is 0.

    A mask compares 16 random bits an element with a threshold: the rate is p to within 2^-17, and four elements share one
    64-bit word. What one stream gives depends on its own sizes alone.

    Args:
        streams: on the device of the tensors.
        sizes: elements that each draws.
        p: dropout rate.
        dtype: of the mask.
        rest: elements that nobody draws, zeros after all others.
    """
    dropped = round(p * 2**_BITS)
    if not dropped:
        return None
    keep = torch.empty(sum(sizes) + rest, dtype=dtype, device=streams[0].device)
    begin = 0
    for stream, size in zip(streams, sizes, strict=True):
        stream.fill(keep[begin : begin + size], dropped)
        begin += size
    keep[begin:] = 0
    return Mask(keep, 2**_BITS / (2**_BITS - dropped))
