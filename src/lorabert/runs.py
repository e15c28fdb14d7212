"""Run folders, written so that a kill at any moment loses nothing that was said to be saved.

    runs/<name>/
        config.yaml           the resolved configuration
        run.json              the record; `status` is running, done, interrupted, stopped or failed
        metrics.jsonl         one line an event, only ever appended to
        predictions.parquet   one row an example: index, split, label, logits
        checkpoints/          what --resume goes on from
        adapter/              what training leaves (see shipping.adapters)

Every file but metrics.jsonl is written beside its place and moved into it, so that it is whole or not there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabert import config
from lorabert.errors import InputError
from lorabert.files import disk_errors, write_atomically

if TYPE_CHECKING:
    import numpy as np

SCHEMA_VERSION = 1
RUNS = Path("runs")
Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Fit:
    """What a training cost; of one that was resumed, all parts but what a kill took with it.

    Attributes:
        train_seconds: wall clock, validation included; of runs that trained together, this one's share by tokens.
        steps: optimizer steps taken in all.
        epochs: passes taken in all; fewer than asked for after an early stop.
        tokens: real tokens read in those passes.
        padding_share: share of the computed cells that held padding.
        peak_bytes: highest memory: of the process on a CPU, of the allocator on a GPU.
        attention: the attention path of the model.
        together: the most runs that trained at once with this one, itself included; peak_bytes is of all of them.
        kernels: whether the compiled steps were used; without a compiler PyTorch takes the same ones.
    """

    train_seconds: float
    steps: int
    epochs: float
    tokens: int
    padding_share: float
    peak_bytes: int
    attention: str
    together: int = 1
    kernels: bool = False


class RunFolder:
    """One run's folder and its record.

    Attributes:
        path: the folder.
        record: what run.json holds; change it through `update`.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @property
    def adapter(self) -> Path:
        """Where the finished adapter lies."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        """Where the engine leaves what a resumed run goes on from."""
        return self.path / "checkpoints"

    @classmethod
    def create(cls, path: Path, settings: config.RunConfig) -> RunFolder:
        """Start a run in a folder that is new or empty.

        Raises:
            InputError: the folder already holds something, or cannot be written.
        """
        with disk_errors(path):
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise InputError(
                    f"{path} already holds something",
                    expected="a new or empty folder, so that no earlier run is overwritten",
                    fix="Name another --out, or add --resume to go on with the run that lies there",
                )
            try:
                path.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:
                raise InputError(f"The folder {path} cannot be made", fix="Name another with --out") from None
            write_atomically(path / "config.yaml", config.dump(settings).encode())
            folder = cls(path, {})
            folder.update(
                schema_version=SCHEMA_VERSION,
                status="running",
                started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                config=settings.to_dict(),
                config_sha256=settings.sha256(),
                git=_git_state(),
            )
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read an existing run.

        Raises:
            InputError: the folder holds no readable run.json.
        """
        record = path / "run.json"
        try:
            content = json.loads(record.read_bytes())
            if not isinstance(content, dict):
                raise ValueError(f"a {type(content).__name__} instead of an object")
            return cls(path, content)
        except FileNotFoundError:
            raise InputError(f"{path} is not a run folder", got="no run.json in it", fix="`lorabert train` makes one") from None
        except (ValueError, OSError) as error:
            raise InputError(f"{record} cannot be read", got=str(error)) from None

    def update(self, **facts: Any) -> None:
        """Add facts to the record and save it."""
        self.record.update(facts)
        text = json.dumps(self.record, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(self.path / "run.json", (text + "\n").encode())

    def log(self, event: dict[str, Any]) -> None:
        """Append one event to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                # A line that a kill cut short must not swallow this one.
                file.write(b"" if file.read() == b"\n" else b"\n")
            file.write(json.dumps(event).encode() + b"\n")

    def events(self) -> list[dict[str, Any]]:
        """The events of metrics.jsonl; a last line that a kill cut short is left out."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        events = []
        for number, line in enumerate(lines):
            try:
                events.append(json.loads(line))
            except ValueError:
                if number < len(lines) - 1 and not _cut_short(line):
                    raise
        return events

    def save_predictions(self, splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Save labels (n,) and logits (n, C) of each split, one row an example, in the split's order."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [
            pa.table(
                {
                    "index": pa.array(range(len(labels)), pa.int64()),
                    "split": pa.array([split] * len(labels), pa.string()),
                    "label": pa.array(labels, pa.int64()),
                    "logits": pa.array(list(logits), pa.list_(pa.float32())),
                }
            )
            for split, (labels, logits) in splits.items()
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables(tables), sink)
        write_atomically(self.path / "predictions.parquet", sink.getvalue().to_pybytes())

    def clear_checkpoints(self) -> None:
        """Remove the checkpoints of a finished run."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def _cut_short(line: str) -> bool:
    """Whether a line is one that a kill cut short and that a resumed run wrote on behind."""
    return not line.endswith("}")


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


def start(settings: config.RunConfig, out: Path | None, *, resume: bool, name: str) -> RunFolder:
    """A new run folder, or with `resume` the newest run of the same configuration.

    Args:
        settings: the resolved configuration.
        out: the folder itself; otherwise one below `runs/` named after `name` and the time.
        resume: go on with the run of the same configuration if there is one.
        name: what a new folder's name begins with.

    Raises:
        InputError: the folder named holds a run of another configuration, or cannot be written.
    """
    if resume:
        candidates = [RunFolder.open(out)] if out and (out / "run.json").exists() else [] if out else all_runs()
        for run in candidates:
            if run.record.get("config_sha256") == settings.sha256():
                return run
        if candidates and out:
            raise InputError(
                f"{out} cannot be resumed with this configuration",
                got=_differences(candidates[0].record.get("config", {}), settings.to_dict()),
                fix="Give the same options as the run was started with, or name another --out",
            )
        if out and out.exists():
            _clear_unstarted(out, settings)
    return RunFolder.create(out or _free_path(name), settings)


def _clear_unstarted(out: Path, settings: config.RunConfig) -> None:
    """Remove what a kill before the first record leaves, this configuration and partial files, if nothing else is there."""
    ours = config.dump(settings).encode()
    entries = list(out.iterdir()) if out.is_dir() else []
    left = [entry for entry in entries if entry.is_file() and entry.name.startswith(".") and entry.name.endswith(".partial")]
    left += [entry for entry in entries if entry.name == "config.yaml" and entry.is_file() and entry.read_bytes() == ours]
    for entry in left if len(left) == len(entries) else ():
        entry.unlink()


def _free_path(name: str) -> Path:
    stem = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'run'}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = RUNS / stem, 1
    while path.exists():
        count += 1
        path = RUNS / f"{stem}-{count}"
    return path


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    pairs = [
        f"{section}.{key} was {before.get(section, {}).get(key)} and is {value}"
        for section, knobs in now.items()
        for key, value in knobs.items()
        if before.get(section, {}).get(key) != value
    ]
    return "; ".join(pairs)


def _git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that the package runs from; None outside a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        tracked = git("ls-files", Path(__file__).name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))} if tracked else None
    except (OSError, subprocess.SubprocessError):
        return None
