"""Folders and files that are made beside their places and moved there whole, and what was left there by a kill.

Nothing is ever removed here but what was made here: a file that somebody put into a place meanwhile stays.

    .NAME.partial/      the workplace of what is to be NAME, held by its maker (see locks)
        whole/          what is made
        before/         what lay in the place, and was made by us, until the new one lies there
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lorabert import interrupts, locks
from lorabert.errors import InputError

# What write_atomically, the engines' checkpoints and this module leave when they are killed.
_PARTIAL_FILE = re.compile(r"\..+\.[0-9a-f]{4,8}\.partial")
_PARTIAL_FOLDER = re.compile(r"\.(?:.+\.[0-9a-f]{8}|adapter|checkpoint-\d+)\.partial")
_WHOLE, _BEFORE = "whole", "before"
Strangers = Callable[[Path], list[str]]


def clear_partial(folder: Path) -> None:
    """Remove the partial files and folders that killed processes left in a folder, which this process holds alone."""
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        if entry.is_symlink():
            continue
        if entry.is_dir() and _PARTIAL_FOLDER.fullmatch(entry.name):
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.is_file() and _PARTIAL_FILE.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """An empty folder beside a place, to make in it what is to lie there; it is held by this process and removed in the end.

    Raises:
        InputError: another process is making the same thing.
    """
    place = target.with_name(f".{target.name}.partial")
    hold = locks.take(place, f"is making {target} in", fix="Wait for it, end it, or name another place")
    try:
        _empty(place)
        yield place
    finally:
        with interrupts.held():
            _empty(place)
            hold.release()
            if place.exists() and not any(place.iterdir()):
                place.rmdir()


def _empty(place: Path) -> None:
    for name in (_WHOLE, _BEFORE):
        shutil.rmtree(place / name, ignore_errors=True)


def _nothing_is_ours(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@contextmanager
def whole_folder(folder: Path, strangers: Strangers = _nothing_is_ours) -> Iterator[Path]:
    """A folder to write into, beside its place; moved there in the end, or removed when that fails.

    Args:
        folder: the place.
        strangers: the names in an earlier folder at that place that were not made by us; one without any is replaced.

    Raises:
        InputError: something lies there that was not made by us, or another process is making the same folder.
    """
    folder = folder.resolve() if folder.is_symlink() else folder
    with workplace(folder) as place:
        made = place / _WHOLE
        made.mkdir()
        yield made
        _move(made, folder, place / _BEFORE, strangers)


def _move(made: Path, folder: Path, before: Path, strangers: Strangers) -> None:
    """Move a folder to its place; one that lies there is moved away first, and back where it is not ours alone."""
    if folder.is_dir() and any(folder.iterdir()):
        os.rename(folder, before)  # noqa: PTH104 - Path.replace is for files
        if strange := strangers(before):
            os.rename(before, folder)  # noqa: PTH104
            raise _not_ours(folder, strange)
    if sys.platform == "win32" and folder.is_dir():
        folder.rmdir()
    try:
        os.rename(made, folder)  # noqa: PTH104 - onto an empty folder, or none; every system refuses another
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise _not_ours(folder, _nothing_is_ours(folder) if folder.is_dir() else [folder.name]) from None


def _not_ours(folder: Path, strange: list[str]) -> InputError:
    return InputError(
        f"{folder} holds what was put there meanwhile by somebody else",
        got=", ".join(strange[:5]) + (f" and {len(strange) - 5} more" if len(strange) > 5 else ""),
        expected="a place that is new or empty, since nothing of another's is removed",
        fix="Move it elsewhere and give the same command again",
    )


def file_into(target: Path, content: bytes) -> None:
    """Write one file beside its place and move it there; what a kill left of an earlier try is removed first."""
    with workplace(target) as place:
        made = place / _WHOLE
        made.mkdir()
        _flushed(made / target.name, content)
        (made / target.name).replace(target)


def _flushed(file: Path, content: bytes) -> None:
    with file.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
