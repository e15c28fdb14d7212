"""What adapters may be called in a store, and how one is referred to: pure functions of strings.

A name becomes a folder's name on any system, so it is of a few harmless letters only. It cannot leave the store's folder,
is no device on Windows, and two names never differ by case alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lorabert.errors import InputError

LONGEST = 64
_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9._-]{{0,{LONGEST - 2}}}[a-z0-9])?")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_SHA256 = re.compile(r"sha256:([0-9a-f]{8,64})")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_ALLOWED = f"1 to {LONGEST} of a-z, 0-9, '.', '_' and '-', the first and the last a letter or digit"


@dataclass(frozen=True)
class Reference:
    """A name, and at most one of: a version, the beginning of a sha256."""

    name: str
    version: int | None = None
    sha256: str | None = None

    @property
    def is_whole_name(self) -> bool:
        """Whether it names no version."""
        return self.version is None and self.sha256 is None

    def __str__(self) -> str:
        return self.name if self.is_whole_name else f"{self.name}@{self.version or f'sha256:{self.sha256}'}"


def is_name(text: str) -> bool:
    """Whether an adapter may be called that; Windows knows its devices by what stands before the first dot."""
    return _NAME.fullmatch(text) is not None and text.split(".")[0] not in _DEVICES


def check_name(text: str) -> str:
    """The name itself.

    Raises:
        InputError: an adapter may not be called that.
    """
    if is_name(text):
        return text
    if _NAME.fullmatch(text):
        raise InputError(
            "An adapter cannot have this name", got=f"'{text}', which Windows keeps for a device", fix="Take another"
        )
    near = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:LONGEST].strip("-._")
    raise InputError("An adapter cannot have this name", got=shown(text), expected=_ALLOWED,
                     fix=f"'{near}' would do" if is_name(near) else "")  # fmt: skip


def parse(text: str) -> Reference:
    """Read `emotion`, `emotion@2` or `emotion@sha256:1f3a09c2` (8 digits of it or more).

    Raises:
        InputError: it is none of these.
    """
    name, at, which = text.partition("@")
    if at and not name:
        raise InputError("A reference begins with a name", got=shown(text), expected="such as emotion, or emotion@1")
    check_name(name)
    if not at:
        return Reference(name)
    if _VERSION.fullmatch(which):
        return Reference(name, version=int(which))
    if digest := _SHA256.fullmatch(which):
        return Reference(name, sha256=digest[1])
    raise InputError(f"This is no version of '{name}'", got=shown(which),
                     expected=f"{name}@1, or {name}@sha256: and at least 8 digits of the sha256 that `show` tells")  # fmt: skip


def version_of(text: str) -> int | None:
    """The version that a folder's name stands for; None where it is none."""
    return int(text) if _VERSION.fullmatch(text) else None


def shown(text: str, most: int = 80) -> str:
    """A strange text as it can be printed: quoted, nothing invisible left so, cut where it is long."""
    return ascii(text if len(text) <= most else text[:most] + "...")


def is_sha256(value: object) -> bool:
    """Whether a value is a whole sha256 in hex."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def is_reference(text: str) -> bool:
    """Whether a text reads as a reference, so that it may mean an adapter in a store."""
    try:
        parse(text)
    except InputError:
        return False
    return True
