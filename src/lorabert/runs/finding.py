"""Which run folders there are, and which one a command goes on with."""

from __future__ import annotations

import itertools
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorabert import config, locks
from lorabert.errors import InputError
from lorabert.files import disk_errors
from lorabert.folders import clear_partial
from lorabert.runs.folder import RunFolder, hold

RUNS = Path("runs")


def all_runs(folder: Path = RUNS) -> list[RunFolder]:
    """The readable runs below a folder, newest first by the start that their records tell."""
    found = []
    for record in folder.glob("*/run.json"):
        try:
            found.append(RunFolder.open(record.parent))
        except InputError:
            continue
    return sorted(found, key=lambda run: (run.record.get("started", ""), run.path.name), reverse=True)


def newest(folder: Path = RUNS) -> RunFolder:
    """The newest finished run.

    Raises:
        InputError: there is none.
    """
    for run in all_runs(folder):
        if run.record.get("status") == "done":
            return run
    raise InputError(
        f"No finished run lies in {folder.resolve()}",
        fix="Train one with `python lora_replication.py`, or name a folder",
    )


# What a configuration names and does not hold: a file that was moved is the same file, and its content decides.
_PLACES = {"model": {"name", "revision"}, "data": {"name", "subset", "train", "validation", "test", "encoding"}}


def start(settings: config.RunConfig, out: Path | None, *, resume: bool, name: str) -> RunFolder:
    """A new run folder, or with `resume` the newest run of the same configuration; held unless it is done.

    Args:
        settings: the configuration.
        out: the folder itself; otherwise one below `runs/` named after `name` and the time.
        resume: go on with the run of the same configuration if there is one.
        name: what a new folder's name begins with.

    Raises:
        InputError: the folder named holds a run of another configuration, cannot be written, or another process works in it.
    """
    return (find(settings, out) if resume else None) or make(settings, out, resume=resume, name=name)


def find(settings: config.RunConfig, out: Path | None) -> RunFolder | None:
    """The run that a command goes on with: the one in `out`, else the newest below runs/ of the same configuration.

    In `out` the data files and the base may have been named otherwise, as they are known by their content; whoever has
    read them holds them against the record.

    Returns:
        The run, held unless it is done; None where there is none.

    Raises:
        InputError: `out` holds a run of another configuration, or another process makes the run.
    """
    if out is None:
        alike = (run for run in all_runs() if settings.to_dict() in (run.record.get("config"), _asked(run.record)))
        return next((held(run) for run in alike), None)
    if not (out / "run.json").exists():
        return None
    run = RunFolder.open(out)
    if differences := unlike(run.record, settings):
        raise InputError(
            f"{out} cannot be resumed with this configuration",
            got="; ".join(differences),
            fix="Give the same options as the run was started with, or name another --out",
        )
    return held(run)


def held(run: RunFolder) -> RunFolder:
    """The same run, held by this process unless it is done, with the record as it stands then.

    Raises:
        InputError: another process makes it.
    """
    if run.record.get("status") == "done":
        locks.tidy(run.path)
        return run
    run.take()
    run.record = RunFolder.open(run.path).record  # another process may have ended it a moment ago
    return run


def make(
    settings: config.RunConfig, out: Path | None, *, resume: bool, name: str, recipe: dict[str, Any] | None = None
) -> RunFolder:
    """A new run in a folder that is new or empty, held by this process; the arguments are those of `start`.

    Args:
        settings: the configuration with nothing open.
        out: as in `start`.
        resume: as in `start`.
        name: as in `start`.
        recipe: what filled in the options that were open, and why.

    Raises:
        InputError: the folder holds something, cannot be written, or another process works in it.
    """
    path = out or _free_path(name)
    with disk_errors(path):
        try:
            taken = hold(path)
        except (FileExistsError, FileNotFoundError):
            taken = None
    try:
        if resume and out and out.exists():
            _clear_unstarted(out, settings)
        run = RunFolder.create(path, settings, recipe)
    except BaseException:
        if taken:
            taken.release()
        raise
    run.hold = taken
    return run


def unlike(record: dict[str, Any], settings: config.RunConfig) -> list[str]:
    """What a configuration differs in from the one that a run was asked for with; nothing if it is that of the run itself."""
    now = settings.to_dict()
    return differing(_asked(record), now) if differing(record.get("config", {}), now) else []


def _asked(record: dict[str, Any]) -> dict[str, Any]:
    """The configuration that a run was asked for with: what its recipe chose was open."""
    asked = {section: dict(knobs) for section, knobs in record.get("config", {}).items()}
    for key in record.get("recipe", {}).get("chosen", {}):
        section, _, name = key.partition(".")
        asked[section][name] = None
    return asked


def differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What two configurations differ in, a phrase each, but for where the data and the base lie."""
    return [
        f"{section}.{key} was {before.get(section, {}).get(key)} and is {value}"
        for section, knobs in now.items()
        for key, value in knobs.items()
        if before.get(section, {}).get(key) != value and not is_place(section, key)
    ]


def is_place(section: str, key: str) -> bool:
    """Whether an option says where the data or the base lie, whose content is what counts."""
    return key in _PLACES.get(section, ())


def _clear_unstarted(out: Path, settings: config.RunConfig) -> None:
    """Remove what a kill before the first record leaves, this configuration and partial files, if nothing else is there."""
    ours = config.dump(settings).encode()
    clear_partial(out)
    left = [entry for entry in out.iterdir() if not locks.is_ours(entry.name)] if out.is_dir() else []
    if [entry.name for entry in left] == ["config.yaml"] and left[0].is_file() and left[0].read_bytes() == ours:
        left[0].unlink()


def _free_path(name: str) -> Path:
    """A folder below runs/ that nobody has; it is made, so that of two commands in one second each has its own."""
    stem = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'run'}-{time.strftime('%Y%m%d-%H%M%S')}"
    with disk_errors(RUNS):
        RUNS.mkdir(parents=True, exist_ok=True)
        for path in (RUNS / (stem if count == 1 else f"{stem}-{count}") for count in itertools.count(1)):
            with suppress(FileExistsError):
                path.mkdir()
                return path
    raise AssertionError("there is always one more")
