"""What somebody named where another thing was wanted: what it is, and what to name instead."""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lorabert.received import oddity

RUN, ADAPTER, STORE, COMPARISON = "run.json", "lorabert.json", "store.json", "comparison.json"
# What each of our folders is known by, the more particular first.
_KINDS = {
    RUN: "a run", ADAPTER: "an adapter or an export", STORE: "a store", COMPARISON: "a comparison", "sweep.json": "a sweep",
    "adapter_config.json": "an adapter of PEFT's alone, without a lorabert.json",
}  # fmt: skip
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!$)")  # a Path holds one of the two slashes
_MOST_TOLD, _MOST_LOOKED_AT = 3, 200


def kind_of(path: Path) -> str:
    """What lies at a path, with its article; of nothing, that there is nothing."""
    if _URL.match(str(path)):
        return "a URL"
    try:
        if not os.path.lexists(path):
            return _kind_of_nothing(path)
        if path.is_dir():
            return _kind_of_folder(path)
        odd = oddity(path)
    except (OSError, ValueError) as error:
        return f"no name that a file can have ({getattr(error, 'strerror', None) or error})"
    if odd is None:
        return "a file"
    return "a link that leads nowhere" if odd.startswith("cannot") else odd.removeprefix("is ").removesuffix(", not a file")


def _kind_of_nothing(path: Path) -> str:
    if not path.parent.name or path.parent.is_dir():
        return "nothing of that name"
    return f"{path.parent}, which is no folder" if path.parent.exists() else f"no such folder as {path.parent}"


def _kind_of_folder(folder: Path) -> str:
    names = {entry.name for entry in _entries(folder)}
    if mark := next((mark for mark in _KINDS if mark in names), None):
        return _KINDS[mark]
    if "config.json" in names and any(name.endswith(".safetensors") for name in names):
        return "a base"
    return "a folder" if names else "an empty folder"


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(itertools.islice(folder.iterdir(), _MOST_LOOKED_AT))
    return []


def instead(path: Path, marks: Sequence[str] = ()) -> str:
    """What to name instead of a path, as a sentence; nothing where nothing suggests itself.

    Args:
        path: what was named.
        marks: the files that the folders wanted are known by; none where a file is wanted.
    """
    with suppress(OSError, ValueError):
        if advice := _of_the_shell(str(path)):
            return advice
        if not os.path.lexists(path):
            return f"Did you mean {near}?" if (near := nearest(path, folders=bool(marks))) else ""
        found = _holding(path, marks)
        if len(found) == 1:
            return f"Name {found[0]}"
        if found:
            more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
            return f"Name one of {', '.join(map(str, found[:_MOST_TOLD]))}{more}"
    return ""


def is_local(name: str) -> bool:
    """Whether a name that may be a hub's id means something on this machine: it is there, or is written as a path or a URL."""
    return os.path.lexists(name) or name.startswith(("/", "./", "../", "~", "\\")) or _URL.match(name) is not None


def _of_the_shell(text: str) -> str:
    """What is to be said of a URL, and of a word that the shell was meant to change and did not."""
    if scheme := _URL.match(text):
        rest = text[scheme.end() :].lstrip("/")
        if scheme[1].lower() != "file":
            return "A URL is not fetched: fetch it first, and name what it gave"
        return f"Name the path alone, without file://: {rest if Path(rest).exists() else f'/{rest}'}"
    home = Path(text).expanduser() if text.startswith("~/") or text == "~" else Path(text)
    if str(home) != text:
        return f"The shell makes a home folder of ~ only at the beginning of a word without quotation marks: name {home}"
    return ""


def nearest(path: Path, *, folders: bool) -> Path | None:
    """What lies beside a path that is not there and has nearly its name; of a long path, the first part that is not there.

    Args:
        path: what is not there.
        folders: a folder is wanted, otherwise a file.
    """
    parts = [path, *path.parents]
    lacking = next((part for part in parts if not os.path.lexists(part) and part.parent.is_dir()), None)
    if lacking is None:
        return None
    wanted = folders or lacking != path
    names = [entry.name for entry in _entries(lacking.parent) if (entry.is_dir() if wanted else entry.is_file())]
    alike = {name.lower(): name for name in names}
    name = lacking.name.strip().strip("\"'")
    near = [name] if name in names else difflib.get_close_matches(name.lower(), alike, n=1, cutoff=0.6)
    if not near:
        return None
    found = lacking.with_name(alike.get(near[0].lower(), near[0]))
    rest = path.relative_to(lacking)
    return found / rest if os.path.lexists(found / rest) else found


def _holding(path: Path, marks: Sequence[str]) -> list[Path]:
    """Folders with one of the marks: one or two steps below a path, else the nearest around it."""
    around = (path.parent, path.parent.parent) if str(path.parent) != "." else (path.parent,)
    below = _entries(path) if path.is_dir() else []
    inner = [entry for folder in below if folder.is_dir() for entry in _entries(folder)]
    found = [folder for folder in (*below, *inner) if _has_one(folder, marks)]
    return found or [folder for folder in around if _has_one(folder, marks)][:1]


def _has_one(folder: Path, marks: Sequence[str]) -> bool:
    return any((folder / mark).is_file() for mark in marks)
