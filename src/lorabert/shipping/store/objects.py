"""The adapters of a store, each a whole adapter folder at the sha256 of its manifest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from lorabert.errors import InputError, MismatchError
from lorabert.files import sha256_of
from lorabert.shipping import manifests
from lorabert.shipping.manifests import MANIFEST, RESTORE


def address(folder: Path) -> str:
    """The sha256 of an adapter's manifest, which fixes every other byte of the adapter."""
    return sha256_of(folder / MANIFEST)


def problems(folder: Path) -> list[str]:
    """Every mismatch of a stored adapter, a sentence each."""
    try:
        if folder.is_symlink():
            return [f"objects/{folder.name} is a link that leads out of the store"]
        if not folder.is_dir():
            return [f"its adapter is missing (objects/{folder.name})"]
        if not (folder / MANIFEST).is_file():
            return [f"{MANIFEST} is missing"]
        found = manifests.differences(folder, manifests.manifest_of(folder))
        return found if address(folder) == folder.name else [*found, f"{MANIFEST} is another adapter's"]
    except MismatchError as error:
        return error.problems
    except InputError as error:
        return [f"{error.wrong}: {error.got}" if error.got else error.wrong]
    except OSError as error:
        return [f"{Path(error.filename or folder).name} cannot be read ({error.strerror})"]


def copy(adapter: Path, folder: Path) -> str:
    """Copy what an adapter's manifest names, flushed to disk, and check the copy.

    Returns:
        The copy's address.

    Raises:
        InputError: it is no adapter.
        MismatchError: it is not what its manifest says.
    """
    manifest = manifests.manifest_of(adapter)
    if found := manifests.differences(adapter, manifest):
        raise MismatchError(f"The adapter {adapter}", found, fix=RESTORE)
    folder.mkdir()
    for name in (*manifest["files"], MANIFEST):
        shutil.copyfile(adapter / name, folder / name)
        _flush(folder / name)
    if found := manifests.differences(folder, manifests.manifest_of(folder)):
        raise MismatchError(f"The adapter {adapter}", [*found, "it was changed while it was copied"], fix="Try again")
    return address(folder)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def size_of(manifest: dict[str, Any]) -> int:
    """Bytes of the files that a manifest names."""
    return sum(entry["bytes"] for entry in manifest["files"].values())
