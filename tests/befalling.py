"""What may befall a process before its command begins: streams closed, full or left, places that cannot be used, odd settings.

Each is a function without arguments, so that a forked process can be told which; CONDITIONS has them by name.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

SHORT = 2048  # bytes


def _closed(number: int) -> None:
    """As Python finds it when it starts with a closed descriptor."""
    os.close(number)
    setattr(sys, ("stdin", "stdout", "stderr")[number], None)


def stdin_closed() -> None:
    _closed(0)


def stdout_closed() -> None:
    _closed(1)


def stderr_closed() -> None:
    _closed(2)


def all_closed() -> None:
    for number in range(3):
        _closed(number)


def _to(path: str, number: int) -> None:
    os.dup2(os.open(path, os.O_WRONLY), number)


def stdout_full() -> None:
    _to("/dev/full", 1)


def stderr_full() -> None:
    _to("/dev/full", 2)


def both_full() -> None:
    stdout_full()
    stderr_full()


def _nobody_reads(number: int) -> None:
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, number)
    os.close(write)


def stdout_left() -> None:
    _nobody_reads(1)


def stderr_left() -> None:
    _nobody_reads(2)


def _below_a_file() -> str:
    """A path that no right can make: root may write everywhere else."""
    file = Path("a_file").absolute()
    file.touch()
    return str(file / "below")


def _missing(name: str) -> str:
    """A folder that is not there, where whoever makes it is in nobody's way."""
    return str(Path(_below_a_file()).parent.parent / "not_there" / name)


def _set(*names: str, value: str | None = None) -> None:
    for name in names:
        os.environ[name] = _below_a_file() if value is None else value


def _without(*names: str) -> None:
    for name in names:
        os.environ.pop(name, None)


def home_unset() -> None:
    _without("HOME", "LORABERT_CACHE", "HF_HOME", "XDG_CACHE_HOME", "LORABERT_KERNELS")


def home_missing() -> None:
    home_unset()
    _set("HOME", value=_missing("home"))


def home_unwritable() -> None:
    home_unset()
    _set("HOME")


def caches_unwritable() -> None:
    home_unset()
    _set("XDG_CACHE_HOME", "HF_HOME", "LORABERT_CACHE", "LORABERT_KERNELS")


def cache_is_a_file() -> None:
    home_unset()
    _set("XDG_CACHE_HOME", "HF_HOME", "LORABERT_CACHE", value=str(Path(_below_a_file()).parent))


def tmpdir_missing() -> None:
    _set("TMPDIR", "TEMP", "TMP", value=_missing("tmp"))


def tmpdir_unwritable() -> None:
    _set("TMPDIR", "TEMP", "TMP")


def folder_deleted() -> None:
    """Work in a folder that is gone; what the command names lies elsewhere, by its whole path."""
    gone = Path("gone").absolute()
    gone.mkdir(exist_ok=True)
    os.chdir(gone)
    gone.rmdir()


def folder_unwritable() -> None:
    os.chdir("/proc/self")


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def short_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SHORT, SHORT))


def no_columns() -> None:
    _set("COLUMNS", value="1")


def ten_columns() -> None:
    _set("COLUMNS", value="10")


def absurd_columns() -> None:
    _set("COLUMNS", "LINES", value="-many")


def dumb_terminal() -> None:
    _set("TERM", value="dumb")
    _set("NO_COLOR", value="1")


def no_terminal() -> None:
    _without("TERM", "COLUMNS", "LINES", "LANG", "LC_ALL", "PATH", "USER", "LOGNAME")


CONDITIONS: dict[str, Callable[[], None]] = {
    name: value for name, value in list(globals().items()) if callable(value) and not name.startswith("_") and name.islower()
    and getattr(value, "__module__", "") == __name__
}  # fmt: skip
