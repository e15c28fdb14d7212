"""The names of a store: which version of which name is which adapter.

An entry never changes once it is there. Removing a version adds a file beside it, so that its number stays taken.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert.errors import InputError
from lorabert.files import write_atomically
from lorabert.kinds import record, text, whole, wrong
from lorabert.received import oddity, record_of
from lorabert.shipping import manifests
from lorabert.shipping.store import names

ENTRY = "entry.json"
REMOVED = "removed.json"
SCHEMA_VERSION = 1
_SEAL = "entry_sha256"
_TIME = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True)
class Entry:
    """One version of one name.

    Attributes:
        name: what it is called.
        version: 1 for the first that was added, then 2.
        sha256: of its manifest `lorabert.json`, which holds the hash of every other file.
        added: when, as ISO 8601.
    """

    name: str
    version: int
    sha256: str
    added: str

    @property
    def reference(self) -> str:
        """`emotion@1`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Slot:
    """A version number that is taken: by an entry, by one that was removed, or by one that cannot be read.

    Attributes:
        name: what it is called.
        version: the number.
        entry: what lies there; None where it cannot be read.
        problem: why it cannot be read.
        removed: when it was removed, None while it is there.
    """

    name: str
    version: int
    entry: Entry | None
    problem: str | None
    removed: str | None

    @property
    def reference(self) -> str:
        """`emotion@1`."""
        return f"{self.name}@{self.version}"


def slots_of(folder: Path) -> list[Slot]:
    """Every number that is taken below the folder of one name, in order."""
    versions = sorted(version for path in folder.iterdir() if (version := names.version_of(path.name)) is not None)
    return [_slot(folder / str(version), folder.name, version) for version in versions]


def _slot(folder: Path, name: str, version: int) -> Slot:
    problem = _oddity(folder)
    if problem is None and (folder / REMOVED).exists():
        return Slot(name, version, None, None, removed=_when(folder / REMOVED))
    document = _read(folder / ENTRY) if problem is None else problem
    if isinstance(document, str):
        return Slot(name, version, None, document, None)
    if problem := next(_ENTRY(document, ""), None):
        return Slot(name, version, None, f"in {ENTRY} {problem}", None)
    entry = Entry(**{field.name: document[field.name] for field in dataclasses.fields(Entry)})
    if (entry.name, entry.version) != (name, version):
        return Slot(name, version, None, f"{ENTRY} belongs to {names.shown(entry.reference)[1:-1]}", None)
    return Slot(name, version, entry, None, None)


def _oddity(folder: Path) -> str | None:
    """What keeps a version's folder from being one of the store's own."""
    if folder.is_symlink() or folder.parent.is_symlink():
        return "its entry is a link that leads out of the store"
    if os.path.lexists(folder) and not folder.is_dir():
        return "its entry is no folder"
    for name in (ENTRY, REMOVED):
        if os.path.lexists(folder / name) and (odd := oddity(folder / name, folder)) is not None:
            return f"{name} {odd}"
    return None


def _read(path: Path) -> dict[str, Any] | str:
    """An entry's document, or why it cannot be read."""
    try:
        document = manifests.unsealed(path.read_bytes(), _SEAL)
    except OSError as error:
        return f"{ENTRY} cannot be read ({error.strerror})"
    return f"{ENTRY} was changed after it was written" if document is None else document


def _time(value: Any, where: str) -> Iterator[str]:
    """When it was added, as `now` writes it."""
    try:
        datetime.datetime.strptime(value, _TIME)
    except (ValueError, TypeError):
        yield wrong(value, where, "a time")


_SHA256 = text(64, "[0-9a-f]{64}", "a sha256 in hex")
_ENTRY = record({"name": text(names.LONGEST), "version": whole(1, 10**9), "sha256": _SHA256, "added": _time})


def _when(path: Path) -> str:
    """The date in a removal's note; that the note is there is what counts."""
    try:
        return str(record_of(path)["removed"])
    except (InputError, KeyError):
        return "at an unknown time"


def write_entry(folder: Path, entry: Entry) -> Path:
    """Make the folder of a new version, which is then moved to its place as one."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(entry)}
    write_atomically(folder / ENTRY, manifests.sealed(content, _SEAL))
    return folder


def write_removal(folder: Path) -> None:
    """Mark a version as removed.

    Raises:
        InputError: its folder leads out of the store.
    """
    if (problem := _oddity(folder)) is not None:
        raise InputError(f"The version in {folder} cannot be removed", got=problem, fix="Remove it by hand")
    write_atomically(folder / REMOVED, (json.dumps({"removed": now()}) + "\n").encode())


def now() -> str:
    """The time, as ISO 8601 with its offset."""
    return time.strftime(_TIME)
