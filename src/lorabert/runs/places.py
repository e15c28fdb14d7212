"""Where the files and folders that a run names lie by now: it may be used from another working folder, or moved with them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lorabert.errors import InputError
from lorabert.runs.folder import RunFolder


def elsewhere(folder: Path, named: str) -> list[Path]:
    """Where else than from here a path may lie that was named to a run: where it lay then, and where it lies from the run now.

    Args:
        folder: the run folder, or a folder in it such as its adapter; of another nothing is known.
        named: the path as it was typed.
    """
    found = _record(folder)
    if found is None:
        return []
    then, now = found
    lay = os.path.normpath(os.path.join(then["working_folder"], named))  # noqa: PTH118 - as text, on any system
    places = [Path(lay)]
    with suppress(ValueError):  # on Windows there is no way from one drive to another
        places.append(Path(os.path.normpath(now / os.path.relpath(lay, then["run_folder"]))))
    return places


def _record(folder: Path) -> tuple[dict[str, str], Path] | None:
    """Where a run was made, and where it lies now."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as they are
    run = next((place for place in (absolute, absolute.parent) if (place / "run.json").is_file()), None)
    with suppress(InputError):
        then = RunFolder.open(run).record.get("made_in") if run else None
        if run and isinstance(then, dict) and all(isinstance(then.get(key), str) for key in ("working_folder", "run_folder")):
            return then, run
    return None
