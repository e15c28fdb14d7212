"""The manifest of an adapter or an export folder, `lorabert.json`: sealed by its own hash, it has every file's size and hash.

Nothing here loads a model, so a store of many adapters is listed and checked in no time.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lorabert import mistaken
from lorabert.errors import InputError, MismatchError
from lorabert.files import sha256_of
from lorabert.models import bases
from lorabert.models.bases import Base
from lorabert.received import json_of, oddity
from lorabert.shipping.documents import manifest as written

SCHEMA_VERSION = 1
MANIFEST = "lorabert.json"
ADAPTER, EXPORT = "adapter", "export"
_MADE_BY = {ADAPTER: "the adapter/ folder that `lorabert train` leaves", EXPORT: "a folder that `lorabert export` made"}
RESTORE = "Take the folder from its source again, or train it anew"
_SEAL = "manifest_sha256"
_MOST_BYTES = 64 << 20
_MOST_TOLD = 5
_READ_UNASKED = ("config.json", ".safetensors", ".index.json")


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
    if not os.path.lexists(path):
        raise InputError(f"{folder} is not an {' or an '.join(kinds)}", got=mistaken.kind_of(folder),
                         expected=" or ".join(_MADE_BY[kind] for kind in kinds),
                         fix=mistaken.instead(folder, (mistaken.RUN, MANIFEST)))  # fmt: skip
    manifest = _read(path)
    if manifest is None:
        raise MismatchError(f"The adapter {folder}", [f"{MANIFEST} was changed after it was written"], fix=RESTORE)
    version = manifest.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(f"The adapter {folder} was written by a newer lorabert", fix="Update this one")
    kind = kind_of(manifest)
    if kind in _MADE_BY and kind not in kinds:
        raise InputError(f"{folder} is an {kind}, not an {' or an '.join(kinds)}",
                         expected=" or ".join(_MADE_BY[kind] for kind in kinds))  # fmt: skip
    if wrong := written.problems(manifest, kind):
        what, told = (
            f"The {kind if kind in _MADE_BY else 'folder'} {folder}",
            [f"in {MANIFEST} {problem}" for problem in wrong[:_MOST_TOLD]],
        )
        if any("files" in problem for problem in told):  # no file could be what it says
            raise MismatchError(what, told, fix=RESTORE)
        raise InputError(f"{what} cannot be used", got="; ".join(told), fix=RESTORE)
    return manifest


def _read(path: Path) -> dict[str, Any] | None:
    """The manifest in a file, its own hash checked; None where a byte of it has changed.

    Raises:
        InputError: it is no file, or one that is too large.
    """
    if (odd := oddity(path, path.parent)) is not None:
        raise InputError(f"{path} {odd}", fix=RESTORE)
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise InputError(f"{path} is too large", got=f"{size:,} bytes", expected=f"at most {_MOST_BYTES:,}", fix=RESTORE)
        return unsealed(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=error.strerror or str(error)) from None


def kind_of(manifest: dict[str, Any]) -> str:
    """Whether a manifest is an adapter's or an export's; manifests from before there were exports do not say."""
    return str(manifest.get("kind", ADAPTER))


def file_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of every file in a folder, by name, as a manifest lists them."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in files}


def differences(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What differs between a folder's files and its manifest, a sentence each; nothing is loaded."""
    problems = [problem for name, entry in manifest["files"].items() if (problem := _file_problem(folder, name, entry))]
    problems += _label_problems(folder, manifest)
    return problems + [f"{name} was added after the folder was written, and would change {what}"
                       for name, what in _unlisted(folder) if name not in manifest["files"]]  # fmt: skip


def _label_problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Whether a config.json beside the manifest has the same labels in the same order."""
    if "config.json" not in manifest["files"] or oddity(folder / "config.json", folder) is not None:
        return []
    try:
        named = json_of(folder / "config.json", folder).get("id2label")
    except InputError as error:
        return [f"{error.wrong} ({error.got})"]
    wanted = {str(index): label for index, label in enumerate(manifest["labels"])}
    return [] if named in (None, wanted) else ["config.json has other labels than the manifest, or another order"]


def _unlisted(folder: Path) -> list[tuple[str, str]]:
    """The files that a library would read of its own accord, and what it would take from them."""
    read = [path.name for path in sorted(folder.iterdir()) if path.name.endswith(_READ_UNASKED)]
    tokenizer = [path.name for path in (*bases.tokenizer_files(folder), *folder.glob("*chat_template*"))]
    return [(name, "the tokenizer") for name in tokenizer] + [(name, "the model") for name in read if name not in tokenizer]


def _file_problem(folder: Path, name: str, entry: dict[str, Any]) -> str | None:
    path = folder / name
    if not os.path.lexists(path):
        return f"{name} is missing"
    if (odd := oddity(path, folder)) is not None:
        return f"{name} {odd}"
    try:
        if (size := path.stat().st_size) != entry["bytes"]:
            return f"{name} has {size} bytes instead of {entry['bytes']}"
        return None if sha256_of(path) == entry["sha256"] else f"{name} was changed: its sha256 differs"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"


def base_problems(recorded: dict[str, Any], base: Base) -> list[str]:
    """What differs between the base that a manifest records and one that was found, a sentence each."""
    if base.sha256 != recorded["sha256"]:
        return [f"it belongs to the base '{recorded['name']}' with weights {recorded['sha256'][:12]}…, "
                f"and the base '{base.name}' has weights {base.sha256[:12]}…"]  # fmt: skip
    # Manifests from before there was the key do not have it; and a copy of a base may lack its tokenizer, as adapters carry one.
    settings = recorded.get("settings", {})
    changed = [name for name, sha256 in settings.items() if base.settings.get(name, sha256) != sha256]
    return [f"{name} of the base '{base.name}' is not the one it was trained with: its sha256 differs" for name in changed]
