"""Files that are whole or absent, their hashes, and what to say when a disk refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from lorabert import interrupts
from lorabert.errors import InputError

_CAUSES = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EFBIG: "A file grew beyond the allowed size",
    errno.EACCES: "The folder may not be written to",
    errno.EPERM: "The folder may not be written to",
    errno.EROFS: "The file system is read-only",
    errno.ENAMETOOLONG: "The path is too long",
    errno.ENOTDIR: "A part of the path is a file, not a folder",
    errno.EEXIST: "The place is taken by a file, or by a link that leads nowhere",
    errno.ELOOP: "The path is a link that leads back to itself",
    errno.EISDIR: "A folder lies where a file is to be written",
    errno.EIO: "The disk failed",
    errno.EBUSY: "The folder is in use, or is a mount point, below which another can be named",
    errno.EXDEV: "The folder is a mount point, below which another can be named",
}
# safetensors and PyTorch write through code of their own, whose errors carry the cause in words only.
_WORDS = {
    "No space left": errno.ENOSPC,
    "os error 28": errno.ENOSPC,
    "File too large": errno.EFBIG,
    "os error 27": errno.EFBIG,
    "PytorchStreamWriter failed": errno.ENOSPC,
    "inline_container.cc": errno.ENOSPC,
}


_GO_ON = (
    "Free some space or name another folder with --out; what was saved before is untouched, "
    "and the same command with --resume goes on from it"
)
STUDY_GOES_ON = "Free some space or name another folder with --out; what was saved stays, and the same command goes on from it"


def cache_folder() -> Path:
    """The user's cache folder of lorabert; LORABERT_CACHE names another."""
    return Path(os.environ.get("LORABERT_CACHE") or platformdirs.user_cache_dir("lorabert", appauthor=False))


@contextmanager
def disk_errors(folder: Path, fix: str = _GO_ON) -> Iterator[None]:
    """Turn a full disk, a missing right or a read-only file system into an InputError that names the folder."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else _number_in_words(str(error))
        if number not in _CAUSES:
            raise
        raise InputError(
            _CAUSES[number],
            got=f"{str(error).splitlines()[0][:120]} while writing below {folder}",
            fix=fix,
        ) from error


def _number_in_words(message: str) -> int | None:
    return next((number for words, number in _WORDS.items() if words in message), None)


def write_atomically(path: Path, content: bytes, *, parents: bool = True) -> None:
    """Write a file that is whole or absent: beside its place, flushed to disk, then moved into it.

    Args:
        path: its place.
        content: its bytes.
        parents: make the folders above it; otherwise they have to be there.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    with interrupts.held():
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _put(beside, path)
        finally:
            beside.unlink(missing_ok=True)


def _put(beside: Path, path: Path) -> None:
    """Move a file into its place. Windows refuses while somebody reads what lies there, which takes no longer than a moment."""
    for wait in (0.01, 0.1, 1.0):
        try:
            beside.replace(path)
            return
        except PermissionError:
            if sys.platform != "win32":
                raise
            time.sleep(wait)
    beside.replace(path)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
