"""The names of a store: which version of which name is which adapter.

An entry never changes once it is there. Removing a version adds a file beside it, so that its number stays taken.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert.files import write_atomically
from lorabert.shipping import manifests
from lorabert.shipping.store import names

ENTRY = "entry.json"
REMOVED = "removed.json"
SCHEMA_VERSION = 1
_SEAL = "entry_sha256"


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
    if (folder / REMOVED).exists():
        return Slot(name, version, None, None, removed=_when(folder / REMOVED))
    try:
        document = manifests.unsealed((folder / ENTRY).read_bytes(), _SEAL)
    except OSError as error:
        return Slot(name, version, None, f"{ENTRY} cannot be read ({error.strerror})", None)
    if document is None:
        return Slot(name, version, None, f"{ENTRY} was changed after it was written", None)
    try:
        entry = Entry(**{field.name: document[field.name] for field in dataclasses.fields(Entry)})
    except KeyError:
        return Slot(name, version, None, f"{ENTRY} lacks what an entry holds", None)
    if (entry.name, entry.version) != (name, version) or not names.is_sha256(entry.sha256):
        return Slot(name, version, None, f"{ENTRY} belongs to {entry.name}@{entry.version}", None)
    return Slot(name, version, entry, None, None)


def _when(path: Path) -> str:
    """The date in a removal's note; that the note is there is what counts."""
    try:
        return str(json.loads(path.read_bytes())["removed"])
    except (OSError, ValueError, KeyError, TypeError):
        return "at an unknown time"


def write_entry(folder: Path, entry: Entry) -> Path:
    """Make the folder of a new version, which is then moved to its place as one."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(entry)}
    write_atomically(folder / ENTRY, manifests.sealed(content, _SEAL))
    return folder


def write_removal(folder: Path) -> None:
    """Mark a version as removed."""
    write_atomically(folder / REMOVED, (json.dumps({"removed": now()}) + "\n").encode())


def now() -> str:
    """The time, as ISO 8601 with its offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
