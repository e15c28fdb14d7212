"""Who works in a folder, and that nobody else does.

The lock is the operating system's, on the file `.lock` in the folder. The system frees it when its holder ends, however it ends,
so what a killed process leaves keeps nobody out. Who holds it stands beside it in `.lock.json`, for people. Both go when the
holder is done.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorabert import interrupts
from lorabert.errors import InputError
from lorabert.files import write_atomically
from lorabert.received import record_of, refuse_link

LOCK, HOLDER = ".lock", ".lock.json"
FOREVER = -1.0
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


class Lost(InputError):
    """The folder that this process worked in was removed, moved or replaced under it."""


class Hold:
    """A folder that this process holds. Within one thread it may be taken again, and is free when all holds are released.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, lock: Any, *, made: bool) -> None:
        self.folder, self._lock, self._made = folder, lock, made
        self._identity = _identity(folder)
        self._begun = True
        interrupts.begin()

    def check(self, lost: str) -> None:
        """Check that the folder is still the one that was taken; what would be written now would lie in another, or in none.

        Args:
            lost: what the user has lost with it, as a sentence.

        Raises:
            Lost: it was removed, moved, or replaced by another.
        """
        if not self._is_there():
            state = "another folder lies there now" if self.folder.exists() else "there is no such folder any more"
            raise Lost(f"{self.folder} was removed or moved while it was written to", got=state, fix=lost)

    def _is_there(self) -> bool:
        return self._lock is None or _identity(self.folder) == self._identity

    def release(self) -> None:
        """Let others in; a folder that was made for the lock and holds nothing else goes with it."""
        lock, self._lock = self._lock, None
        if self._begun:
            self._begun = False
            interrupts.end()
        if lock is None or not lock.is_locked:
            return
        if lock.lock_counter > 1 or _identity(self.folder) != self._identity:
            lock.release()
            return
        for name in (HOLDER, LOCK):
            with suppress(OSError):  # Windows keeps an open file, and removes the lock's own when it is closed
                (self.folder / name).unlink()
        lock.release()
        if self._made:
            with suppress(OSError):
                self.folder.rmdir()


def take(folder: Path, what: str, *, fix: str = "Wait for it, or end it", wait: float = 0.0) -> Hold:
    """Hold a folder alone, made if it is not there.

    Args:
        folder: the folder.
        what: what another one does that holds it, as in `Another process trains in runs/reviews`.
        fix: what to do then.
        wait: seconds to wait for another one to end; `FOREVER` waits for as long as it takes.

    Raises:
        InputError: another process holds it, which is named; or its lock leads elsewhere, or is somebody else's.
        OSError: the folder cannot be made or written to.
    """
    from filelock import FileLock, Timeout

    made = not folder.exists()
    refuse_link(folder / LOCK, "a folder that is worked in")
    _refuse_strange(folder / LOCK)
    lock = FileLock(str(folder.absolute() / LOCK), is_singleton=True)
    for _ in range(100):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=wait, poll_interval=0.05)
            break
        except FileNotFoundError:  # whoever made the folder for a lock alone took it away at this moment
            continue
        except Timeout:
            raise InputError(f"Another process {what} {folder}", got=_holder(folder), fix=fix) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(f"The file system of {folder} has no locks: nothing keeps a second process out", stacklevel=2)
            return Hold(folder, None, made=made)
    if lock.lock_counter == 1:
        _sign(folder)
    return Hold(folder, lock, made=made)


def tidy(folder: Path) -> None:
    """Remove the lock of a process that was killed between its last word and its lock's removal; one that is held stays."""
    if (folder / LOCK).exists():
        with suppress(InputError, OSError):
            take(folder, "works in").release()


def _refuse_strange(file: Path) -> None:
    """Refuse a file under the lock's name that holds something: ours is empty, and is emptied and removed.

    Raises:
        InputError: it does.
    """
    try:
        size = file.stat().st_size
    except OSError:  # none there, or what is to be said of it is said when it is opened
        return
    if size:
        raise InputError(f"{file} is no lock of lorabert's, and stays as it is", got=f"{size:,} bytes in it",
                         expected="an empty file, or none of that name", fix="Name another folder")  # fmt: skip


def is_ours(name: str) -> bool:
    """Whether a file in a folder is there for its lock alone."""
    return name in (LOCK, HOLDER)


def _identity(folder: Path) -> tuple[int, int] | None:
    """The lock file's own number, which another file at its place does not have while this one is held open."""
    try:
        found = (folder / LOCK).stat()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return None
    return found.st_dev, found.st_ino


def _sign(folder: Path) -> None:
    """Say who holds the folder; that nobody can read it is no reason to stop."""
    known = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
             "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:500]}  # fmt: skip
    with suppress(OSError):
        write_atomically(folder / HOLDER, (json.dumps(known) + "\n").encode())


def _holder(folder: Path) -> str:
    """The process that holds a folder, in words."""
    try:
        known = record_of(folder / HOLDER)
        where = "" if known["host"] == socket.gethostname() else f" on {known['host']}"
        return f"process {int(known['pid'])}{where}, since {known['since']}"
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return "a process that has not said who it is"
