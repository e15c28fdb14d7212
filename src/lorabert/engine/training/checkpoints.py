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
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lorabert import received
from lorabert.errors import InputError
from lorabert.files import write_atomically
from lorabert.kinds import Check, loss, number, optional, record, whole

_COMPLETE = "complete"
_PROGRESS = "progress.json"
_TENSORS = "tensors.safetensors"
_MOST_BYTES = 1 << 40  # of every weight of a base, and its moments
_FIX = "Remove that checkpoint, and the same command goes on from the one before it"


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
    """The newest complete checkpoint of this engine, if there is one.

    Raises:
        InputError: it is damaged, or leads elsewhere.
    """
    steps = _steps(folder)
    if not steps:
        return None
    place = folder / f"checkpoint-{steps[-1]}"
    written = received.json_of(place / _PROGRESS, place)
    if problem := next(_WRITTEN(written, ""), None):
        raise InputError(f"{place / _PROGRESS} is damaged", got=problem, fix=_FIX)
    return Progress(**{name: written[name] for name in _FIELDS}), weights(folder, steps[-1])


_COUNT = whole(0, 1 << 60)
_FIELDS: dict[str, Check] = {
    "step": _COUNT,
    "skipped": _COUNT,
    "epochs": _COUNT,
    "loss_sum": loss,
    "reported": _COUNT,
    "best_loss": optional(number),
    "best_step": optional(_COUNT),
    "waited": _COUNT,
    "seconds": number,
}
_WRITTEN = record(_FIELDS)


def weights(folder: Path, step: int) -> dict[str, Tensor]:
    """The tensors of the checkpoint of a step.

    Raises:
        InputError: they are missing, damaged, or lead elsewhere.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    file = folder / f"checkpoint-{step}" / _TENSORS
    try:
        return load(received.content_of(file, file.parent, _MOST_BYTES))
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{file} is damaged", got=str(error)[:200], fix=_FIX) from None


def _steps(folder: Path) -> list[int]:
    places = [place for place in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-[0-9]{1,18}", place.name)]
    for place in places:
        received.refuse_link(place, "a run's checkpoints")
    return sorted(int(place.name.rpartition("-")[2]) for place in places
                  if (place / _COMPLETE).exists() and os.path.lexists(place / _PROGRESS))  # fmt: skip


def _prune(folder: Path, best: int | None) -> None:
    for step in _steps(folder)[:-2]:
        if step != best:
            shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)
