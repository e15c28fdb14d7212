"""The sweep's folder: who works in it, and that nobody else does."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorabert import locks
from lorabert.errors import InputError
from lorabert.files import write_atomically
from lorabert.folders import clear_partial
from lorabert.kinds import record, text
from lorabert.received import record_of, refuse_link

_WORKER = "worker.json"


def worker(folder: Path, study: str) -> str:
    """Who works in this folder: the same name after a kill, another in another folder.

    Raises:
        InputError: the folder is another study's.
    """
    file = folder / _WORKER
    if not os.path.lexists(file):
        write_atomically(file, json.dumps({"worker": secrets.token_hex(8), "study": study}).encode())
    known = record_of(file)
    if problem := next(_WORKER_KIND(known, ""), None):
        raise InputError(f"{file} is damaged", got=problem, fix="Name another --out")
    if known["study"] != study:
        raise InputError(
            f"{folder} belongs to another sweep", got=f"its study {known['study']}, not {study}", fix="Name another --out"
        )
    return str(known["worker"])


_WORKER_KIND = record({"worker": text(100), "study": text(1000)})


@contextmanager
def alone(folder: Path) -> Iterator[locks.Hold]:
    """Keep a second process out of the folder, and clear what a killed one left half-written in it.

    Raises:
        InputError: another process sweeps in it, or what lies there is no sweep.
    """
    made = ("study.db", _WORKER, "sweep.json")
    refuse_link(folder / "study.db", "a sweep")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", fix="Name another --out")
    if folder.is_dir() and not any((folder / name).exists() for name in made):
        strange = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
        if strange:
            raise InputError(
                f"{folder} already holds something that is no sweep", got=f"'{strange[0]}'", fix="Name another --out"
            )
    hold = locks.take(folder, "sweeps in", fix="Wait for it, or name another --out")
    try:
        clear_partial(folder)
        yield hold
    finally:
        hold.release()
