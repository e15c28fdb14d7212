"""CUDA graphs: what a GPU has been told once, it can be told again in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lorabert.engine.packed import Bits


class CudaGraphs:
    """Records steps on a GPU (PyTorch's documentation, "CUDA Graphs"; it has not been run on one yet).

    Work must stand on a stream of its own to be recorded, and so must the backward that brings the gradients into being. What the
    graphs compute on the way lies in one pool: none of them reads what another has left there.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream: Any = torch.cuda.Stream(device)
        self.pool: Any = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on that stream, after all that has been asked for before and before all that is asked for later."""
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            yield
        outside.wait_stream(self.stream)

    def record(self, compute: Callable[[], Tensor], bits: Bits) -> tuple[Callable[[], None], Tensor]:
        """Note what `compute` would tell the GPU, without telling it.

        Args:
            compute: reads and writes tensors that stay where they are; it draws from `bits` and nowhere else.
            bits: their position goes on with every replay as it would without.

        Returns:
            What tells it, and the tensor in which the result then lies.
        """
        graph = torch.cuda.CUDAGraph()
        if bits.generator is not None:
            graph.register_generator_state(bits.generator)
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            result = compute()
        self.pool = graph.pool()
        return graph.replay, result
