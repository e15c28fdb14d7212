"""The folder a store lies in: made, recognised, and held by one writer at a time.

The lock is the operating system's, which frees it when its holder is killed. What lies in `partial/` while one holds it is
therefore nobody's work in progress, and is cleared without asking how old it is.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorabert import interrupts, mistaken
from lorabert.errors import InputError
from lorabert.files import disk_errors, write_atomically
from lorabert.received import refuse_link

SCHEMA_VERSION = 1
MARK = "store.json"
_LOCK = ".lock"
_WAIT_SECONDS = 600
_FIX = "Make room or mend the rights, and give the same command again; what the store held before is untouched"


class Ground:
    """A store's folder and the three below it.

    Attributes:
        root: the folder itself.
        names: an entry for each version of each name.
        objects: the adapters.
        partial: what a writer is working on.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names, self.objects, self.partial = root / "names", root / "objects", root / "partial"

    def exists(self) -> bool:
        """Whether the folder is a store."""
        return (self.root / MARK).is_file()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Check that the folder is a store, and say so in words where it cannot be read."""
        try:
            self._recognise()
            yield
        except OSError as error:
            raise InputError(f"The store '{self.root}' cannot be read", got=f"{error.strerror}: {error.filename}") from None

    @contextmanager
    def writing(self, *, make: bool = False) -> Iterator[Path]:
        """Hold the store alone, and give a folder to make things in; what killed writers left is cleared first.

        Args:
            make: make the store where there is none.

        Raises:
            InputError: the folder is no store, cannot be written, or is held by another writer for too long.
        """
        with disk_errors(self.root, _FIX):
            if make and not self.exists():
                self._make()
            self._recognise()
            with self._alone():
                yield from self._workplace()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock; the system frees it when this process ends, however it ends."""
        import filelock

        lock = filelock.FileLock(self.root / _LOCK, timeout=_WAIT_SECONDS)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(f"Another process has been writing to the store '{self.root}' for {_WAIT_SECONDS} s",
                             fix="Wait for it, or end it, and give the same command again") from None  # fmt: skip
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            raise InputError(f"The file system of {self.root} has no file locks",
                             fix="Keep the store on another, and copy it there") from None  # fmt: skip
        try:
            yield
        finally:
            lock.release()

    def _workplace(self) -> Iterator[Path]:
        shutil.rmtree(self.partial, ignore_errors=True)
        for folder in (self.names, self.objects, self.partial):
            folder.mkdir(exist_ok=True)  # tools that copy folders may leave out the empty ones
        place = self.partial / secrets.token_hex(4)
        with interrupts.undoing():
            try:
                place.mkdir()
                yield place
            finally:
                with interrupts.held():
                    shutil.rmtree(self.partial, ignore_errors=True)

    def _make(self) -> None:
        """Make an empty store; a folder that holds something of its own is left alone."""
        if os.path.lexists(self.root) and not self.root.is_dir():
            raise InputError(f"{self.root} cannot be a store", got=mistaken.kind_of(self.root),
                             expected="a new or empty folder, or a store")  # fmt: skip
        self.root.mkdir(parents=True, exist_ok=True)
        strange = sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))
        if strange and not self.exists():  # another process may have made it meanwhile, the mark before all else
            raise InputError(f"{self.root} is not a store", got=f"a folder without {MARK} that holds '{strange[0]}'",
                             expected="a new or empty folder, or a store")  # fmt: skip
        write_atomically(self.root / MARK, (json.dumps({"schema_version": SCHEMA_VERSION}) + "\n").encode())

    def _recognise(self) -> None:
        """Refuse a folder that is no store, or one of a newer lorabert, or one whose parts lie elsewhere."""
        for part in (self.root / MARK, self.root / _LOCK, self.names, self.objects, self.partial):
            refuse_link(part, "a store")
        try:
            version = json.loads((self.root / MARK).read_bytes())["schema_version"]
        except (FileNotFoundError, NotADirectoryError):
            other = mistaken.instead(self.root, (MARK,))
            raise InputError(f"There is no store at '{self.root}'", got=mistaken.kind_of(self.root),
                             fix=other or "`lorabert store add RUN --name NAME` makes one; --store or LORABERT_STORE names "
                             "another") from None  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError):
            version = None
        if not isinstance(version, int):
            whole = json.dumps({"schema_version": SCHEMA_VERSION})
            raise InputError(f"{self.root / MARK} was changed: it gives no schema_version",
                             fix=f"Write {whole} into it, then `lorabert store verify`")  # fmt: skip
        if version > SCHEMA_VERSION:
            raise InputError(f"The store '{self.root}' was written by a newer lorabert", fix="Update this one")


def move(source: Path, place: Path) -> bool:
    """Move a folder to a place that is free, in one step; False where something lies there already.

    A rename of a folder onto one that is not empty is refused by every system, so that of two who try one succeeds.
    """
    place.parent.mkdir(exist_ok=True)
    try:
        os.rename(source, place)  # noqa: PTH104 - Path.replace is for files
    except OSError:
        if not place.exists():
            raise
        return False
    return True
