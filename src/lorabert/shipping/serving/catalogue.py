"""Which adapters can be asked for, and where they lie: stores, and folders named one by one.

A name from a request is looked up, never joined to a path. Looking up reads the disk, so the loader's thread does it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorabert.errors import InputError, MismatchError
from lorabert.shipping.manifests import MANIFEST
from lorabert.shipping.serving.names import check_name
from lorabert.shipping.store import Entry, Store

log = logging.getLogger(__name__)


class UnknownAdapter(InputError):
    """There is no adapter of a name, or in a folder."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no adapter {name!a}", fix="GET /v1/models lists those there are")


class NameTaken(InputError):
    """A name stands for another adapter."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The name {name!a} is taken", fix="Take another, or unload the adapter of that name")


@dataclass(frozen=True)
class Place:
    """One adapter on disk.

    Attributes:
        id: what it is called in answers: `emotion@1`, or the name of a folder.
        folder: where it lies.
        created: when it was added, in seconds since 1970.
        stored: whether it lies in a store.
    """

    id: str
    folder: Path
    created: int
    stored: bool


class Catalogue:
    """Names to adapters on disk.

    Args:
        stores: every version in them can be asked for, from the moment it is added.
        folders: adapters outside of stores, by name.
    """

    def __init__(self, stores: Sequence[Store], folders: Mapping[str, Path]) -> None:
        self._stores = list(stores)
        self._folders = {name: _of_folder(name, folder) for name, folder in folders.items()}
        self._withdrawn: set[str] = set()

    def find(self, name: str) -> Place:
        """The adapter in service that `emotion`, `emotion@1` or a folder's name stands for.

        Args:
            name: from a request: anything at all.

        Raises:
            UnknownAdapter: there is none.
            MismatchError: it is there, and damaged.
        """
        place = self._place(name)
        if place is None or not self.serves(place):
            raise UnknownAdapter(name)
        return place

    def candidate(self, name: str, folder: Path | None) -> Place:
        """An adapter to put into service: one of a store, withdrawn or not, or a folder by a name that is free.

        Raises:
            UnknownAdapter: no store has it, or none lies in the folder.
            NameTaken: the name stands for something else.
            InputError: a folder cannot be served by that name.
            MismatchError: it is there, and damaged.
        """
        there = self._place(name)
        if folder is None:
            if there is None:
                raise UnknownAdapter(name)
            return there
        if there is not None and there.folder != folder:
            raise NameTaken(name)
        if not (folder / MANIFEST).is_file():
            raise UnknownAdapter(str(folder))
        return _of_folder(check_name(name), folder)

    def _place(self, name: str) -> Place | None:
        if name in self._folders:
            return self._folders[name]
        for store in self._stores:
            try:
                entry = store.resolve(name)
                return _of_entry(entry, store.folder(entry))
            except MismatchError:
                raise
            except InputError:
                continue
        return None

    def listed(self) -> list[Place]:
        """Every adapter in service that can be read."""
        listed: dict[str, Place] = dict(self._folders)
        for store in self._stores:
            for entry, folder in readable(store):
                # Stores may have come to hold one name: the first answers to it.
                listed.setdefault(entry.reference, _of_entry(entry, folder))
        return [place for place in listed.values() if self.serves(place)]

    def only(self) -> str:
        """The name that everything in service goes by.

        Raises:
            UnknownAdapter: nothing is in service.
            InputError: there are several.
        """
        stored = [entry for store in self._stores for entry in store.entries() if entry.reference not in self._withdrawn]
        names = list(dict.fromkeys([*self._folders, *(entry.name for entry in stored)]))
        if len(names) > 1:
            raise InputError("The request names no adapter, and there are several", expected=_shown(names), fix='Give "model"')
        if not names:
            raise UnknownAdapter("")
        return names[0]

    def serves(self, place: Place) -> bool:
        """Whether an adapter is in service."""
        return place.id not in self._withdrawn if place.stored else self._folders.get(place.id) == place

    def admit(self, place: Place) -> None:
        """Put an adapter into service."""
        if place.stored:
            self._withdrawn.discard(place.id)
        else:
            self._folders[place.id] = place

    def withdraw(self, place: Place) -> None:
        """Take an adapter out of service; a folder's name becomes free."""
        if place.stored:
            self._withdrawn.add(place.id)
        else:
            self._folders.pop(place.id, None)


def _of_folder(name: str, folder: Path) -> Place:
    manifest = folder / MANIFEST
    return Place(name, folder, int(manifest.stat().st_mtime) if manifest.is_file() else 0, stored=False)


def readable(store: Store) -> Iterator[tuple[Entry, Path]]:
    """Every version whose adapter lies where it should; a damaged one is logged, and refused when it is asked for."""
    for entry in store.entries():
        try:
            yield entry, store.folder(entry)
        except MismatchError as error:
            log.warning("%s", error)


def _shown(names: list[str], most: int = 20) -> str:
    return ", ".join(map(ascii, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def _of_entry(entry: Entry, folder: Path) -> Place:
    created = int(datetime.datetime.strptime(entry.added, "%Y-%m-%dT%H:%M:%S%z").timestamp())
    return Place(entry.reference, folder, created, stored=True)
