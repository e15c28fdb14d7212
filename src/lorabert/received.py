"""Folders that came from somebody else: only plain files of their own are read in them, and JSON of a size that can be.

An adapter, a base or a store is numbers and text. Whatever else a folder can hold, a link to a file elsewhere, a pipe that never
ends, a device, is refused before it is opened.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from lorabert.errors import InputError

SETTINGS_BYTES = 4 << 20  # a model's config.json has some 2 kB
VOCABULARY_BYTES = 256 << 20  # the largest published tokenizer.json have 35 MB
_LONGEST_INTEGER = 40


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


def json_of(path: Path, folder: Path | None = None, most_bytes: int = SETTINGS_BYTES) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        InputError: no plain file of its folder, too large, or not the JSON of an object.
    """
    if (odd := oddity(path, folder)) is not None:
        raise InputError(f"{path.name} in {path.parent} {odd}", expected="a JSON file")
    try:
        if (size := path.stat().st_size) > most_bytes:
            raise InputError(f"{path} is too large to be what its name says", got=f"{size:,} bytes",
                             expected=f"at most {most_bytes:,}")  # fmt: skip
        document = json.loads(path.read_bytes(), parse_int=_integer)
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON that can be read", got=str(error)[:200]) from None
    if not isinstance(document, dict):
        raise InputError(f"{path} does not hold what its name says", got=f"a JSON {type(document).__name__}",
                         expected="an object of names and values")  # fmt: skip
    return document


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


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
