"""Checkpoints of the fast engine: safetensors and JSON, whole or absent.

    checkpoints/checkpoint-<step>/
        tensors.safetensors   trained weights, AdamW's moments, the loss scale of fp16, the state of each process's random bits
        progress.json         where the run stands
        complete              written last

A folder is written under another name, flushed, and moved to its place; the newest two stay, and the best one.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lorabert.errors import InputError
from lorabert.files import write_atomically

_COMPLETE = "complete"
_PROGRESS = "progress.json"
_TENSORS = "tensors.safetensors"


@dataclass
class Progress:
    """Where a run stands after a whole number of epochs.

    Attributes:
        step: optimizer steps made.
        skipped: those of them that fp16 could not take, as a gradient was not finite.
        epochs: passes made.
        loss_sum: training losses since the last report, summed.
        reported: the step of the last report.
        best_loss: lowest validation loss so far.
        best_step: the step it was measured at.
        waited: epochs in a row without a lower one.
        seconds: of training so far.
    """

    step: int = 0
    skipped: int = 0
    epochs: int = 0
    loss_sum: float = 0.0
    reported: int = 0
    best_loss: float | None = None
    best_step: int | None = None
    waited: int = 0
    seconds: float = 0.0


def save(folder: Path, progress: Progress, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint and remove those that nobody needs any more."""
    from safetensors.torch import save as to_bytes

    place = folder / f"checkpoint-{progress.step}"
    beside = folder / f".{place.name}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    if folder.exists() and not folder.is_dir():
        raise InputError("A checkpoint cannot be written", got=f"{folder} is a file", expected="a folder, or nothing")
    folder.mkdir(exist_ok=True)  # and no more: a run folder that somebody removed is not made again by halves
    beside.mkdir()
    files = {
        _TENSORS: to_bytes({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}),
        _PROGRESS: json.dumps(dataclasses.asdict(progress), indent=2).encode(),
        _COMPLETE: b"",
    }
    for name, content in files.items():
        write_atomically(beside / name, content, parents=False)
    shutil.rmtree(place, ignore_errors=True)
    beside.replace(place)
    _prune(folder, progress.best_step)


def newest(folder: Path) -> tuple[Progress, dict[str, Tensor]] | None:
    """The newest complete checkpoint of this engine, if there is one."""
    steps = _steps(folder)
    if not steps:
        return None
    place = folder / f"checkpoint-{steps[-1]}"
    return Progress(**json.loads((place / _PROGRESS).read_bytes())), weights(folder, steps[-1])


def weights(folder: Path, step: int) -> dict[str, Tensor]:
    """The tensors of the checkpoint of a step."""
    from safetensors.torch import load

    return load((folder / f"checkpoint-{step}" / _TENSORS).read_bytes())


def _steps(folder: Path) -> list[int]:
    complete = [place for place in folder.glob("checkpoint-*") if (place / _COMPLETE).exists() and (place / _PROGRESS).exists()]
    return sorted(int(place.name.rpartition("-")[2]) for place in complete)


def _prune(folder: Path, best: int | None) -> None:
    for step in _steps(folder)[:-2]:
        if step != best:
            shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)
