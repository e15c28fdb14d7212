"""One way to load whatever answers: an adapter, or an export of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError
from lorabert.shipping import adapters, manifests


def load(folder: Path, base_name: str | None = None) -> tuple[Classifier, dict[str, Any]]:
    """Verify an adapter or an export, whichever its manifest says it is, and load it.

    Args:
        folder: an adapter or an export folder.
        base_name: where an adapter's base lies, when not where its manifest says.

    Returns:
        The classifier and the manifest, with `fingerprint.largest_difference` from the recorded logits (0.0 is bit-identical).

    Raises:
        InputError: the folder is neither, the base cannot be found, or one was named for an export, which has none.
        MismatchError: anything differs; every mismatch is named.
    """
    manifest = manifests.manifest_of(folder, (manifests.ADAPTER, manifests.EXPORT))
    if manifests.kind_of(manifest) == manifests.ADAPTER:
        return adapters.load(folder, base_name)
    from lorabert.shipping.exporting import running

    if base_name:
        raise InputError(f"{folder} is an export and needs no base", got=f"--base {base_name}", fix="Leave --base out")
    return running.load(folder)
