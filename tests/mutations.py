"""What attackers do to files: strange values, bytes changed, hashes made anew to match."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorabert.shipping import manifests

REPEATED = "((.+)+)+!"
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -5, 3, 7, 1e308, 10**9, 2**63, 10**30, 0.5, "", "x", REPEATED, "a" * 100_000, "\x1b[2J", "\0"),
    *("../../etc/passwd", "/dev/zero", "/etc/passwd", "evil.Evil", "os.system", "word", "bert", "kernels-community/x"),
    *([], {}, [0], ["x"], [[0, 2]] * 50, {"x": 1}, [None] * 1000, list(range(20_000)), ["a"] * 20_000, {"": {"": {}}}),
)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON document; of long lists and tables, to a few."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())[:40]
    elif isinstance(document, list):
        inner = list(enumerate(document))[:8]
    return [at] * bool(at) + [place for key, each in inner for place in places(each, (*at, key))]


def in_bytes(file: Path, draw: random.Random) -> str:
    """Flip, cut, repeat or insert bytes."""
    content = bytearray(file.read_bytes())
    at = draw.randrange(len(content) + 1) if draw.random() < 0.5 else draw.randrange(min(len(content), 200) + 1)
    how = draw.choice(("flip", "cut", "insert", "repeat", "empty"))
    if how == "flip" and content:
        content[min(at, len(content) - 1)] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del content[at:]
    elif how == "insert":
        content[at:at] = draw.randbytes(draw.choice((1, 8, 4096)))
    elif how == "repeat":
        content += content[at:]
    else:
        content.clear()
    file.write_bytes(content)
    return f"{file.name} {how} at {at}"


def resealed(folder: Path) -> None:
    """Hashes made anew, as far as there is still a manifest to put them in."""
    if (folder / "lorabert.json").is_symlink() or not (folder / "lorabert.json").is_file():
        return
    try:
        manifest = json.loads((folder / "lorabert.json").read_bytes())
        for path in folder.iterdir():
            if path.is_file() and path.name != "lorabert.json" and not path.is_symlink():
                manifest["files"][path.name] = {"sha256": manifests.sha256_of(path), "bytes": path.stat().st_size}
        content = manifests.sealed(manifest)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError):
        return
    (folder / "lorabert.json").write_bytes(content)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in another folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
