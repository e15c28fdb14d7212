"""Folders that came from somebody else: only plain files of their own are read in them, and JSON of a size that can be.

An adapter, a base or a store is numbers and text. Whatever else a folder can hold, a link to a file elsewhere, a pipe that never
ends, a device, is refused before it is opened.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorabert.errors import InputError

SETTINGS_BYTES = 4 << 20  # a model's config.json has some 2 kB
VOCABULARY_BYTES = 256 << 20  # the largest published tokenizer.json have 35 MB
RECORD_BYTES = 64 << 20  # a run of a thousand classes records a confusion matrix of 10 MB
_LONGEST_INTEGER = 40
_DEEPEST = 64  # what is nested further could be read, and then neither walked over nor written


def oddity(path: Path, folder: Path | None = None) -> str | None:
    """What keeps a path from being read as a file of its folder, as the rest of a sentence about it; None for a plain file.

    Links are followed inside the folder, and from a snapshot of the hub's cache to that model's blobs.

    Args:
        path: a path that is there.
        folder: the folder that it must not lead out of; None where links may lead anywhere.
    """
    try:
        target = path.resolve(strict=True)
        kind = os.stat(target).st_mode  # noqa: PTH116 - one look, at what was resolved
    except (OSError, RuntimeError, ValueError) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or 'a link that leads nowhere'})"
    if not stat.S_ISREG(kind):
        return f"is {_KINDS.get(stat.S_IFMT(kind), 'no file')}, not a file"
    if folder is not None and not _inside(target, folder.resolve()):
        return "is a link that leads out of its folder"
    return None


_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
          stat.S_IFBLK: "a device"}  # fmt: skip


def _inside(target: Path, folder: Path) -> bool:
    blobs = folder.parent.parent / "blobs"
    in_cache = folder.parent.name == "snapshots" and target.is_relative_to(blobs)
    return target.is_relative_to(folder) or in_cache


def is_plain(name: object) -> bool:
    """Whether a file name stays in its folder on every system: no path parts, no drive, nothing hidden in it."""
    return isinstance(name, str) and name not in ("", ".", "..") and not any(letter in name for letter in "/\\:\0")


def content_of(path: Path, folder: Path | None = None, most_bytes: int = SETTINGS_BYTES) -> bytes:
    """The bytes of a plain file.

    Raises:
        InputError: no plain file of its folder, too large, or not to be read.
    """
    if (odd := oddity(path, folder)) is not None:
        raise InputError(f"{path.name} in {path.parent} {odd}", expected="a file that lies there itself")
    try:
        if (size := path.stat().st_size) > most_bytes:
            raise InputError(f"{path} is too large to be what its name says", got=f"{size:,} bytes",
                             expected=f"at most {most_bytes:,}")  # fmt: skip
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=error.strerror or str(error)) from None


def json_of(path: Path, folder: Path | None = None, most_bytes: int = SETTINGS_BYTES) -> dict[str, Any]:
    """The object that a JSON file holds, whoever wrote it.

    Raises:
        InputError: no plain file of its folder, too large, too deep, or not the JSON of an object.
    """
    return _object(path, content_of(path, folder, most_bytes), lambda content: _shallow(json.loads(content, parse_int=_integer)))


def record_of(path: Path) -> dict[str, Any]:
    """The object in a JSON file such as lorabert writes: a record of a run, a study, a sweep.

    Raises:
        InputError: as `json_of`; or in it is what lorabert does not write: see `loads`.
    """
    return _object(path, content_of(path, path.parent, RECORD_BYTES), loads)


def _object(path: Path, content: bytes, read: Callable[[bytes], Any]) -> dict[str, Any]:
    try:
        document = read(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON that can be read", got=str(error)[:200]) from None
    if not isinstance(document, dict):
        raise InputError(f"{path} does not hold what its name says", got=f"a JSON {type(document).__name__}",
                         expected="an object of names and values")  # fmt: skip
    return document


def loads(content: bytes, *, finite: bool = True) -> Any:
    """What a JSON text of lorabert's own stands for: UTF-8, each key once, every number finite, every character whole.

    Args:
        content: the text.
        finite: refuse infinities and NaN, which a loss can be and nothing else.

    Raises:
        ValueError: it is none.
    """
    strict: dict[str, Any] = {"parse_float": _finite, "parse_constant": _finite} if finite else {}
    try:
        document = json.loads(content.decode(), parse_int=_integer, object_pairs_hook=_once, **strict)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    return _shallow(document, strict=True)


_TOO_DEEP = f"more than {_DEEPEST} levels, one inside the other"


def _shallow(document: Any, *, strict: bool = False) -> Any:
    """The same document, walked over without recursion.

    Raises:
        ValueError: it is nested too deep; or, when strict, half a character stands in it.
    """
    level, depth = [document], 0
    while level:
        if depth > _DEEPEST:
            raise ValueError(_TOO_DEEP)
        if strict:
            _check_characters(level)
        level = [value for each in level if isinstance(each, (dict, list)) for value in _values(each)]
        depth += 1
    return document


def _values(value: dict[str, Any] | list[Any]) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, dict) else value


def _check_characters(values: list[Any]) -> None:
    for value in values:
        if isinstance(value, str) and not value.isascii():
            value.encode()  # half a character, such as \\ud800 alone, can be read and not written


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:60]!a} twice")
    return found


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]}, which is not finite")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def refuse_link(path: Path, what: str) -> None:
    """Refuse a part of a folder that leads out of it, or is neither a file nor a folder: nothing is read or written elsewhere.

    Args:
        path: the part, which need not be there.
        what: what its folder is, such as `a store`.

    Raises:
        InputError: it does.
    """
    try:
        kind = os.lstat(path).st_mode
    except (OSError, ValueError):
        return
    plain = stat.S_ISREG(kind) or stat.S_ISDIR(kind)
    if not plain or path.resolve() != path.parent.resolve() / path.name:
        raise InputError(
            f"{path} is no part of {what}",
            got="a link, a pipe or a device",
            expected="a file or folder that lies there itself",
            fix=f"Remove it; to keep {what} on another disk, link its whole folder",
        )


def refuse_links_on_the_way(path: Path, root: Path, what: str) -> None:
    """Refuse a folder below another where it, or one on the way to it, leads elsewhere or is a file.

    Args:
        path: the folder, which need not be there.
        root: the folder that it lies below.
        what: what that one is, such as `a comparison`.

    Raises:
        InputError: it does.
    """
    for part in reversed([path, *path.parents][: len(path.relative_to(root).parts)]):
        refuse_link(part, what)
        if part.is_file():
            raise InputError(f"{part} is no part of {what}", got="a file", expected="a folder", fix="Move it away")


def shapes_of(weights: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a safetensors file, from its header alone.

    Raises:
        InputError: it is damaged, or not of that format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{weights} is damaged", got=str(error)[:200], expected="a file in the safetensors format") from None
