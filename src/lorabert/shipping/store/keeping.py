"""The store itself: add, resolve, remove, verify."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorabert.errors import InputError, MismatchError
from lorabert.shipping import manifests
from lorabert.shipping.store import entries, ground, names, objects
from lorabert.shipping.store.entries import Entry, Slot
from lorabert.shipping.store.names import Reference

_DAMAGED = "`lorabert store verify` names every mismatch; add the adapter again, or take the store from a copy"


@dataclass(frozen=True)
class Removal:
    """What a removal took away.

    Attributes:
        references: the versions removed, such as `emotion@1`.
        freed_bytes: of the adapters that no version names any more.
    """

    references: list[str]
    freed_bytes: int


@dataclass(frozen=True)
class Check:
    """What `Store.verify` found.

    Attributes:
        entries: the versions that are whole.
        problems: every mismatch, a sentence each that begins with what it is about.
        notes: what is harmless, and how it goes away.
    """

    entries: list[Entry]
    problems: list[str]
    notes: list[str]


def default_root() -> Path:
    """The folder that LORABERT_STORE names, else `store` here."""
    return Path(os.environ.get("LORABERT_STORE") or "store")


class Store:
    """A folder of named, versioned adapters; reading needs no right to write.

    Args:
        root: its folder, made by the first `add`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ground = ground.Ground(root)

    def exists(self) -> bool:
        """Whether the folder is a store."""
        return self._ground.exists()

    def slots(self, name: str | None = None) -> list[Slot]:
        """Every version ever taken, of one name or of all, by name and number: there, removed or damaged.

        Raises:
            InputError: the folder is no store, or one of a newer lorabert, or cannot be read.
        """
        with self._ground.reading():
            known = [each for each in self._known() if name in (each, None)]
            return [slot for each in known for slot in entries.slots_of(self._ground.names / each)]

    def entries(self) -> list[Entry]:
        """Every version that is there, by name and number; `verify` names what cannot be read.

        Raises:
            InputError: the folder is no store, or cannot be read.
        """
        return [slot.entry for slot in self.slots() if slot.entry]

    def versions(self, name: str) -> list[Slot]:
        """The versions of a name that were not removed, damaged ones too, at least one, in order.

        Raises:
            InputError: there is none.
        """
        there = [slot for slot in self.slots(names.check_name(name)) if slot.removed is None]
        if not there:
            raise self._unknown(Reference(name))
        return there

    def resolve(self, reference: str) -> Entry:
        """The version that `emotion` (the newest), `emotion@2` or `emotion@sha256:1f3a09c2` stands for.

        Raises:
            InputError: there is no such version, or the folder is no store.
            MismatchError: the version cannot be read; an older one never stands in for it.
        """
        slot = self._slot(names.parse(reference))
        if slot.entry is None:
            raise MismatchError(f"'{slot.reference}'", [slot.problem or ""], fix=_DAMAGED)
        return slot.entry

    def folder(self, entry: Entry) -> Path:
        """The adapter's folder, as `adapters.load` and `PeftModel.from_pretrained` take it: to be read, never written to.

        Raises:
            MismatchError: it is missing, or another adapter lies there.
        """
        folder = self._ground.objects / entry.sha256
        with self._ground.reading():
            if folder.is_symlink() or not (folder / manifests.MANIFEST).is_file() or objects.address(folder) != entry.sha256:
                raise MismatchError(f"'{entry.reference}'", objects.problems(folder), fix=_DAMAGED)
        return folder

    def add(self, adapter: Path, name: str) -> Entry:
        """Copy an adapter into the store as the next version of a name.

        Raises:
            InputError: no such adapter, a name that cannot be, or a folder that cannot be written.
            MismatchError: the adapter is not what its manifest says.
        """
        names.check_name(name)
        manifests.manifest_of(adapter)
        with self._ground.writing(make=True) as beside:
            sha256 = objects.copy(adapter, beside / "adapter")
            self._place_object(beside, sha256)
            return self._place_entry(beside, name, sha256)

    def remove(self, reference: str) -> Removal:
        """Remove one version, or with a bare name all of them; their numbers are never given again.

        Raises:
            InputError: there is no such version, or the folder cannot be written.
        """
        asked = names.parse(reference)
        with self._ground.writing() as beside:
            slots = self.versions(asked.name) if asked.is_whole_name else [self._slot(asked)]
            for slot in slots:
                entries.write_removal(self._ground.names / slot.name / str(slot.version))
            return Removal([slot.reference for slot in slots], self._collect(beside))

    def verify(self, references: Sequence[str] = ()) -> Check:
        """Check every byte of every version, or of those named; no base is needed and no model is loaded.

        Raises:
            InputError: a version named is not there, or the folder is no store.
        """
        slots = [self._slot(names.parse(reference)) for reference in references] if references else self.slots()
        there = [slot for slot in slots if slot.removed is None]
        addresses = {slot.entry.sha256 for slot in there if slot.entry}
        found = {sha256: objects.problems(self._ground.objects / sha256) for sha256 in addresses}
        whole, problems = [], []
        for slot in there:
            wrong = found[slot.entry.sha256] if slot.entry else [slot.problem or ""]
            problems += [f"{slot.reference}: {problem}" for problem in wrong]
            if slot.entry and not wrong:
                whole.append(slot.entry)
        return Check(whole, problems, [] if references else self._notes(addresses))

    # ---- finding

    def _known(self) -> list[str]:
        """Every name that has or had a version."""
        folder = self._ground.names
        return sorted(path.name for path in folder.iterdir() if _is_named(path)) if folder.is_dir() else []

    def _slot(self, asked: Reference) -> Slot:
        """The version asked for, the newest where several are meant; it may be damaged, but is not removed.

        Raises:
            InputError: there is none.
        """
        there = self.versions(asked.name)
        if asked.version is not None:
            there = [slot for slot in there if slot.version == asked.version]
        elif asked.sha256 is not None:
            there = [slot for slot in there if slot.entry and slot.entry.sha256.startswith(asked.sha256)]
        if not there:
            raise self._unknown(asked)
        return there[-1]

    def _unknown(self, asked: Reference) -> InputError:
        """What to say of a version that is not there: when it was removed, which others there are, or the nearest name."""
        slots = self.slots()
        removed = [slot for slot in slots if slot.name == asked.name and slot.removed and asked.version in (slot.version, None)]
        there = [slot.reference for slot in slots if slot.name == asked.name and slot.removed is None]
        live = sorted({slot.name for slot in slots if slot.removed is None})
        near = difflib.get_close_matches(asked.name, live, n=1, cutoff=0.6)
        if there:
            expected = ", ".join(there if len(there) < 10 else [there[0], "...", *there[-3:]])
        else:
            expected = f"one of {', '.join(live)}" if 0 < len(live) <= 10 else ""
        fix = "" if there else "`lorabert store list` shows what there is"
        fix = f"Did you mean '{near[0]}'? {fix}" if near and not there else fix
        return InputError(
            f"The store '{self.root}' has no '{asked}'",
            got=f"{removed[-1].reference}, which was removed {removed[-1].removed}" if removed and not asked.sha256 else "",
            expected=expected,
            fix=fix,
        )

    # ---- writing, all of it with the ground held

    def _place_object(self, beside: Path, sha256: str) -> None:
        """Move a copied adapter to its address; the same adapter is kept once, and a whole one replaces a damaged one."""
        place = self._ground.objects / sha256
        if place.exists() and objects.problems(place):
            ground.move(place, beside / "damaged")
        ground.move(beside / "adapter", place)

    def _place_entry(self, beside: Path, name: str, sha256: str) -> Entry:
        """Give the adapter the next number; where another took that one meanwhile, the one after."""
        folder = self._ground.names / name
        taken = [slot.version for slot in entries.slots_of(folder)] if folder.is_dir() else []
        version = max(taken, default=0)
        while True:
            version += 1
            entry = Entry(name, version, sha256, entries.now())
            made = entries.write_entry(beside / f"entry-{version}", entry)
            if ground.move(made, folder / str(version)):
                return entry

    def _collect(self, beside: Path) -> int:
        """Delete the adapters that no version names, and give their bytes; while an entry is damaged nothing is deleted."""
        slots = [slot for slot in self.slots() if slot.removed is None]
        if any(slot.entry is None for slot in slots):
            return 0
        freed = 0
        for folder in self._unnamed({slot.entry.sha256 for slot in slots if slot.entry}):
            bytes_in_it = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            with suppress(OSError):  # Windows keeps what a server has open; the next removal takes it
                if ground.move(folder, beside / folder.name):
                    freed += bytes_in_it
        return freed

    def _unnamed(self, addresses: set[str]) -> list[Path]:
        """The adapters that no version names: what a kill between the adapter and its entry leaves."""
        folder = self._ground.objects
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [path for path in found if names.is_sha256(path.name) and path.name not in addresses]

    def _notes(self, addresses: set[str]) -> list[str]:
        notes = [f"objects/{path.name} is named by no version; the next `remove` deletes it" for path in self._unnamed(addresses)]
        folder = self._ground.names
        strange = sorted(path.name for path in folder.iterdir() if not _is_named(path)) if folder.is_dir() else []
        return notes + [f"names/{names.shown(name)} is no name and is passed over" for name in strange if name[0] != "."]


def _is_named(path: Path) -> bool:
    return names.is_name(path.name) and path.is_dir()
