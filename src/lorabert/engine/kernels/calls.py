"""Calling the compiled steps with tensors: on a CPU, in fp32 or bf16, the numbers of a row one after the other."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lorabert.engine.kernels.building import state

_TYPES = {torch.float32: "float", torch.bfloat16: "bf16"}
_KINDS = {"p": ctypes.c_void_p, "n": ctypes.c_long, "f": ctypes.c_float, "i": ctypes.c_int, "w": ctypes.c_uint64}
# What each takes: pointers, whole numbers, floats, 64-bit words; last, how many threads.
_SIGNATURES = {
    "attention_forward": "pppppnnnn" + "pnppnpfppi",
    "attention_backward": "pppppnnnn" + "pnppnpfpppppi",
    "dropout": "pnipwi",
    "low_rank_forward": "pnpnnnppnnfppni",
    "low_ranks": "pnnpppnpni",
    "low_rank_backward": "pnpnpnnnppnnfppnppi",
    "norm_forward": "pppfppfnnppppi",
    "norm_backward": "ppppppfnnppi",
    "norm_parameters": "ppppnnppi",
    "column_sums": "pnnpi",
}


class Texts(NamedTuple):
    """Where the texts of a batch lie, for attention; each (n,) int64.

    Attributes:
        begins: first row of each.
        lengths: rows of each.
        asking: its first query's row: as `begins`, or 0, 1, 2, ... where each text asks once.
        kept: where its mask begins, (heads, longest or 1, longest).
        longest: columns of that mask.
        heads: how many.
        once: whether each text asks once.
    """

    begins: np.ndarray
    lengths: np.ndarray
    asking: np.ndarray
    kept: np.ndarray
    longest: np.ndarray
    heads: int
    once: bool


class Prepared:
    """The LoRAs that one adapter has on one input, laid as `low_ranks` reads them.

    Args:
        parts: first column of y, A (r, in), B (out, r), and the scale of each.

    Attributes:
        places: of each the addresses of A and B^T, r, the first column and how many columns, (k, 5) int64.
        times: the scales, (k,) float32.
    """

    def __init__(self, parts: Sequence[tuple[int, Tensor, Tensor, float]]) -> None:
        # Whose addresses `places` holds.
        self._held = [(a.float().contiguous(), b.float().t().contiguous()) for _, a, b, _ in parts]
        places = [[a.data_ptr(), b.data_ptr(), len(a), column, b.shape[1]]
                  for (a, b), (column, *_) in zip(self._held, parts, strict=True)]  # fmt: skip
        self.places, self.times = np.array(places, np.int64), np.array([times for *_, times in parts], np.float32)


def usable(*tensors: Tensor) -> bool:
    """Whether there are compiled steps, and for tensors like these."""
    return state().library is not None and all(tensor.is_cpu and tensor.dtype in _TYPES for tensor in tensors)


def dropout(keep: Tensor, least: int, seeded: np.ndarray, position: int) -> None:
    """Fill a flat mask with ones where 16 random bits are at least `least` as a signed number, and zeros elsewhere.

    Args:
        keep: to be filled.
        least: between -2^15 and 2^15.
        seeded: PCG64's first state and its increment, high and low halves, (4,) uint64.
        position: words drawn before.
    """
    _call("dropout", keep, keep, keep.numel(), least, seeded, position)


def attention(
    texts: Texts, queries: Tensor, keys: Tensor, values: Tensor, keep: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention of each text to itself.

    Args:
        texts: where they lie.
        queries: (Q, hidden), maybe columns of a wider matrix.
        keys: (T, hidden), columns of the same matrix as the values.
        values: (T, hidden).
        keep: of the probabilities, flat; None for all.
        scale: of what is kept.

    Returns:
        What is mixed, (Q, hidden), rows of no text left as they come; and of each softmax what the backward needs, (Q, heads, 2).
    """
    out = queries.new_empty(queries.shape)
    softened = torch.empty(len(queries), texts.heads, 2)
    lying = [*_laid(texts, queries), *_rows(queries), keys, values, keys.stride(0)]
    _call("attention_forward", queries, *lying, keep, scale, out, softened)
    return out, softened


def attention_backward(
    texts: Texts,
    inputs: Sequence[Tensor],
    keep: Tensor | None,
    scale: float,
    g: Tensor,
    softened: Tensor,
    places: Sequence[Tensor],
) -> None:
    """Write the gradients of queries, keys and values to their places, which lie as the inputs do."""
    queries, keys, values = inputs
    lying = [*_laid(texts, queries), *_rows(queries), keys, values, keys.stride(0)]
    _call("attention_backward", queries, *lying, keep, scale, g.contiguous(), softened, *places)


def low_rank(x: Tensor, keep: Tensor | None, a: Tensor, b: Tensor, times: float, y: Tensor) -> Tensor:
    """Add times * (x * keep) A^T B^T to y, and return (x * keep) A^T, (n, r) float32.

    Args:
        x: (n, in).
        keep: (n, in), maybe columns of a wider matrix; None for all ones.
        a: (r, in) float32.
        b: (out, r) float32.
        times: alpha / r and the scale of the mask.
        y: (n, out), maybe columns of a wider matrix.
    """
    low = torch.empty(len(x), len(a))
    matrices = [*x.shape, a.contiguous(), b.contiguous(), len(b), len(a), times]
    _call("low_rank_forward", x, *_rows(x), *_rows(keep), *matrices, low, *_rows(y))
    return low


def low_ranks(x: Tensor, parts: Sequence[tuple[slice, Prepared]], y: Tensor) -> None:
    """Add what `low_rank` adds, for many adapters at once, each on its own rows, without masks.

    Args:
        x: (n, in).
        parts: rows of each adapter, and its LoRAs.
        y: (n, out).
    """
    places, times = (np.concatenate(found) for found in zip(*((own.places, own.times) for _, own in parts), strict=True))
    rows = np.array([(stretch.start, stretch.stop) for stretch, _ in parts], np.int64)
    rows = rows.repeat([len(own.times) for _, own in parts], axis=0)
    _call("low_ranks", x, *_rows(x), x.shape[1], places, rows, times, len(times), *_rows(y))


def low_rank_backward(
    g: Tensor, x: Tensor, keep: Tensor | None, a: Tensor, b: Tensor, times: float, low: Tensor, dx: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Add the gradient of x to dx where it is wanted, and return those of A and B."""
    d_a, d_b = torch.empty_like(a), torch.empty_like(b)
    matrices = [*x.shape, a.contiguous(), b.contiguous(), len(b), len(a), times]
    _call("low_rank_backward", x, *_rows(g), *_rows(x), *_rows(keep), *matrices, low, *_rows(dx), d_a, d_b)
    return d_a, d_b


def add_norm(
    u: Tensor, residual: Tensor | None, keep: Tensor | None, scale: float, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """LayerNorm(residual + u * keep * scale), the sum itself, and of each row its mean and 1 / deviation."""
    summed, y = torch.empty_like(u), torch.empty_like(u)
    mean, inverse = torch.empty(len(u)), torch.empty(len(u))
    _call("norm_forward", u, u, residual, keep, scale, weight, bias, eps, *u.shape, summed, y, mean, inverse)
    return y, summed, mean, inverse


def add_norm_backward(
    g: Tensor, summed: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor, keep: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Gradients of the sum and of u."""
    g, d_summed = g.contiguous(), torch.empty_like(summed)
    d_u = None if keep is None else torch.empty_like(summed)
    _call("norm_backward", g, g, summed, mean, inverse, weight, keep, scale, *g.shape, d_summed, d_u)
    return d_summed, d_summed if d_u is None else d_u


def norm_parameters(g: Tensor, summed: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a layer norm's weight and bias, each (hidden,) float32."""
    g, d_weight, d_bias = g.contiguous(), torch.empty(g.shape[1]), torch.empty(g.shape[1])
    _call("norm_parameters", g, g, summed, mean, inverse, *g.shape, d_weight, d_bias)
    return d_weight, d_bias


def column_sums(g: Tensor) -> Tensor:
    """Sum over rows, (columns,) float32."""
    g, sums = g.contiguous(), torch.empty(g.shape[1])
    _call("column_sums", g, g, *g.shape, sums)
    return sums


def _laid(texts: Texts, queries: Tensor) -> list[Any]:
    size = queries.shape[1] // texts.heads
    arrays = [texts.begins, texts.lengths, texts.asking, texts.kept, texts.longest]
    return [*arrays, len(texts.begins), texts.heads, size, int(texts.once)]


def _rows(matrix: Tensor | None) -> tuple[Tensor | None, int]:
    return matrix, 0 if matrix is None else matrix.stride(0)


def _call(name: str, like: Tensor, *arguments: Any) -> None:
    """Call a step in the type of a tensor, with as many threads as PyTorch has."""
    _function(name, like.dtype)(*map(_plain, arguments), torch.get_num_threads())


def _plain(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return argument.data_ptr()
    return argument.ctypes.data if isinstance(argument, np.ndarray) else argument


@functools.cache
def _function(name: str, dtype: torch.dtype) -> Any:
    function = getattr(state().library, f"{name}_{_TYPES[dtype]}")
    function.argtypes, function.restype = [_KINDS[kind] for kind in _SIGNATURES[name]], None
    return function
