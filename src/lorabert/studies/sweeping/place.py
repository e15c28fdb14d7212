"""The sweep's folder: who works in it, and that nobody else does."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorabert.errors import InputError
from lorabert.files import write_atomically

_WORKER, _LOCK = "worker.json", ".lock"


def worker(folder: Path, study: str) -> str:
    """Who works in this folder: the same name after a kill, another in another folder.

    Raises:
        InputError: the folder is another study's.
    """
    file = folder / _WORKER
    if not file.exists():
        write_atomically(file, json.dumps({"worker": secrets.token_hex(8), "study": study}).encode())
    known = json.loads(file.read_bytes())
    if known["study"] != study:
        raise InputError(
            f"{folder} belongs to another sweep", got=f"its study {known['study']}, not {study}", fix="Name another --out"
        )
    return known["worker"]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second process out of the folder; the operating system lets go of the lock when this one ends, however it ends."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout:
        raise InputError(f"Another process sweeps in {folder}", fix="Wait for it, or name another --out") from None
