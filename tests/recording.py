"""Steps recorded and replayed on a CPU as CUDA graphs record and replay them: the same calls on the same tensors, blindly."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Replays:
    """Stands in for `engine.training.graphs.CudaGraphs`.

    Attributes:
        recorded: of each recording, its calls: function, arguments, keyword arguments and results.
        replayed: how many replays there were.
    """

    def __init__(self, device):
        self.recorded, self.replayed = [], 0

    def aside(self):
        return nullcontext()

    def record(self, compute, bits):
        """As on a GPU, what is recorded is not carried out: what it has changed is put back."""
        with _Calls() as calls:
            result = compute()
        with torch.no_grad():
            for tensor, before in reversed(calls.changed):
                tensor.copy_(before)
        self.recorded.append(calls.made)

        def replay():
            self.replayed += 1
            calls.again()

        return replay, result


class _Calls(TorchDispatchMode):
    """Every call below autograd, with the very tensors that went in and came out.

    Attributes:
        made: the calls.
        changed: each tensor from outside that was written into, with what it held before.
    """

    def __init__(self):
        super().__init__()
        self.made, self.changed, self._own = [], [], set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
        for argument in func._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in _tensors(given.get(argument.name)):
                    if _place(tensor) not in self._own:
                        self.changed.append((tensor, tensor.clone()))
        out = func(*args, **kwargs)
        self._own |= {_place(tensor) for tensor in _tensors(out)} - {_place(tensor) for tensor in _tensors(given)}
        self.made.append((func, args, kwargs, out))
        return out

    def again(self):
        with torch.no_grad():
            for func, args, kwargs, out in self.made:
                for old, new in zip(_tensors(out), _tensors(func(*args, **kwargs)), strict=True):
                    if _place(old) != _place(new):
                        old.copy_(new)


def _tensors(values):
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _place(tensor):
    return tensor.untyped_storage().data_ptr()
