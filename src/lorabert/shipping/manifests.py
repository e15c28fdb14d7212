"""The manifest of an adapter or an export folder, `lorabert.json`: sealed by its own hash, it has every file's size and hash.

Nothing here loads a model, so a store of many adapters is listed and checked in no time.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lorabert.errors import InputError, MismatchError
from lorabert.files import sha256_of
from lorabert.models import bases

SCHEMA_VERSION = 1
MANIFEST = "lorabert.json"
ADAPTER, EXPORT = "adapter", "export"
_MADE_BY = {ADAPTER: "the adapter/ folder that `lorabert train` leaves", EXPORT: "a folder that `lorabert export` made"}
RESTORE = "Take the folder from its source again, or train it anew"
_SEAL = "manifest_sha256"


def sealed(manifest: dict[str, Any], seal: str = _SEAL) -> bytes:
    """A document's bytes, ending with the hash of what stands before it under the key `seal`."""
    content = {key: value for key, value in manifest.items() if key != seal}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    content[seal] = hashlib.sha256(text.encode()).hexdigest()
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def unsealed(content: bytes, seal: str = _SEAL) -> dict[str, Any] | None:
    """The document that `sealed` wrote; None where a byte of it has changed since."""
    try:
        document = json.loads(content)
        whole = isinstance(document, dict) and sealed(document, seal) == content
    except (ValueError, RecursionError):
        return None
    return document if whole else None


def manifest_of(folder: Path, kinds: tuple[str, ...] = (ADAPTER,)) -> dict[str, Any]:
    """The manifest of an adapter folder, or of a folder of the other kinds allowed, its own hash checked.

    Raises:
        InputError: the folder is nothing of the kind, or cannot be read.
        MismatchError: the manifest was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} is not an {' or an '.join(kinds)}",
                         got=f"no {MANIFEST} in it" if folder.is_dir() else "no such folder",
                         expected=" or ".join(_MADE_BY[kind] for kind in kinds))  # fmt: skip
    try:
        manifest = unsealed(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=error.strerror or str(error)) from None
    if manifest is None:
        raise MismatchError(f"The adapter {folder}", [f"{MANIFEST} was changed after it was written"], fix=RESTORE)
    version = manifest.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(f"The adapter {folder} was written by a newer lorabert", fix="Update this one")
    if lacking := [key for key, kind in _NEEDED.items() if not isinstance(manifest.get(key), kind)]:
        raise MismatchError(f"The adapter {folder}", [f"{MANIFEST} has no usable {', '.join(lacking)}"], fix=RESTORE)
    if (kind := kind_of(manifest)) not in kinds:
        raise InputError(f"{folder} is an {kind}, not an {' or an '.join(kinds)}",
                         expected=" or ".join(_MADE_BY[kind] for kind in kinds))  # fmt: skip
    return manifest


def kind_of(manifest: dict[str, Any]) -> str:
    """Whether a manifest is an adapter's or an export's; manifests from before there were exports do not say."""
    return str(manifest.get("kind", ADAPTER))


_NEEDED = {"schema_version": int, "base": dict, "labels": list, "max_length": int, "files": dict, "fingerprint": dict}


def file_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of every file in a folder, by name, as a manifest lists them."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in files}


def differences(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What differs between a folder's files and its manifest, a sentence each; nothing is loaded."""
    problems = [problem for name, entry in manifest["files"].items() if (problem := _file_problem(folder, name, entry))]
    unlisted = [path.name for path in bases.tokenizer_files(folder) if path.name not in manifest["files"]]
    return problems + [f"{name} was added after the folder was written, and would change the tokenizer" for name in unlisted]


def _file_problem(folder: Path, name: str, entry: Any) -> str | None:
    if not is_plain(name):
        return f"its manifest names '{name}', which is no file of its folder"
    path = folder / name
    if not path.is_file():
        return f"{name} is missing"
    if not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
        return f"its manifest gives no size and hash of {name}"
    try:
        if (size := path.stat().st_size) != entry["bytes"]:
            return f"{name} has {size} bytes instead of {entry['bytes']}"
        return None if sha256_of(path) == entry["sha256"] else f"{name} was changed: its sha256 differs"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"


def is_plain(name: str) -> bool:
    """Whether a file name stays in its folder on every system: no path parts, no drive, nothing hidden in it."""
    return name not in ("", ".", "..") and not any(letter in name for letter in "/\\:\0")
