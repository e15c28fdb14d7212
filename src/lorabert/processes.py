"""The processes that train one model together: torchrun or accelerate starts them, each with the same command.

The first one reads the input, makes the run folder, saves and prints; the others follow it. They speak through the launcher's
key-value store, where the first one tells the folder and one of them claims the right to say why a run fails, and through one
sum of gradients a step. Without a launcher there is one process, and nothing here imports PyTorch.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from lorabert.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# A process that dies is noticed by its closed connections and by the launcher, not by waiting in vain.
_PATIENCE = timedelta(days=1)
_LAUNCHERS_WORDS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def count() -> int:
    """How many processes train together; 1 without a launcher."""
    return int(os.environ["WORLD_SIZE"]) if all(os.environ.get(word) for word in _LAUNCHERS_WORDS) else 1


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def tell(key: str, text: str) -> None:
    """Let the others hear a text."""
    if count() > 1:
        _store().set(f"lorabert/{key}", text)


def hear(key: str) -> str:
    """What another process tells; waits until it does."""
    with _others_alive():
        return str(_store().get(f"lorabert/{key}").decode())


def said_already() -> bool:
    """Whether another process has said why the run ends; otherwise it falls to this one, and the others stay silent."""
    if count() == 1:
        return False
    try:
        return int(_store().add("lorabert/failed", 1)) > 1
    except Exception:  # twice is better than not at all
        return False


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Connect the processes for sums of tensors, each on a GPU of its own if the device is one.

    Raises:
        InputError: a machine has fewer GPUs than processes, or another process has ended.
    """
    if count() == 1:
        yield
        return
    import torch
    from torch import distributed

    if device == "cuda":
        _take_gpu()
    with _others_alive():
        distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            store=distributed.PrefixStore("lorabert/group", _store()),
            rank=rank(),
            world_size=count(),
            timeout=_PATIENCE,
            device_id=torch.device("cuda", torch.cuda.current_device()) if device == "cuda" else None,
        )
    # Until here a signal may find this process waiting where Python sees none; from here on it says why it ends.
    signal.signal(signal.SIGTERM, stop)
    yield
    # Not after an error: this would wait for processes that no longer answer.
    distributed.destroy_process_group()


def add_up(tensor: Tensor) -> Tensor:
    """The sum of every process's tensor, in the place of this one's."""
    if count() > 1:
        from torch import distributed

        with _others_alive():
            distributed.all_reduce(tensor)
    return tensor


def collect(tensor: Tensor) -> Tensor:
    """Every process's tensor, (processes, *shape), on the CPU."""
    if count() == 1:
        return tensor.cpu().unsqueeze(0)
    import torch
    from torch import distributed

    own = tensor.cuda() if distributed.get_backend() == "nccl" else tensor
    found = [torch.empty_like(own) for _ in range(count())]
    with _others_alive():
        distributed.all_gather(found, own)
    return torch.stack(found).cpu()


def stop(number: int, frame: Any) -> None:  # noqa: ARG001
    """A handler that ends as on Ctrl-C; a launcher asks for it when another process has ended."""
    raise KeyboardInterrupt("Stopped by the launcher, as another process has ended" if count() > 1 else "")


def _take_gpu() -> None:
    import torch

    number, there = int(os.environ.get("LOCAL_RANK", rank())), torch.cuda.device_count()
    if number >= there:
        raise InputError(
            "Each process on a machine takes a GPU of its own",
            got=f"process {number + 1} on a machine with {there}",
            fix=f"Start at most {there} with --nproc_per_node",
        )
    torch.cuda.set_device(number)


@contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise InputError(
            "Another process of this run has ended",
            got=str(error).splitlines()[0][:120],
            fix="See what it or its launcher says (it may have been killed for want of memory); "
            "the same command with --resume goes on from the newest checkpoint",
        ) from error


@cache
def _store() -> Any:
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(iter(rendezvous("env://")))
    store.set_timeout(_PATIENCE)
    return store
