"""Run folders, written so that a kill at any moment loses nothing that was said to be saved.

    runs/<name>/
        config.yaml           the resolved configuration
        run.json              the record; `status` is running, done, interrupted, stopped, diverged or failed
        metrics.jsonl         one line an event, only ever appended to
        predictions.parquet   one row an example: index, split, label, logits
        checkpoints/          what --resume goes on from
        adapter/              what training leaves (see shipping.adapters)
        .lock, .lock.json     only while a process works in it (see locks)

Every file but metrics.jsonl is written beside its place and moved into it, so that it is whole or not there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabert import config, locks, mistaken, received
from lorabert.errors import InputError
from lorabert.files import disk_errors, write_atomically
from lorabert.folders import clear_partial
from lorabert.kinds import loss, number, record, text, whole
from lorabert.runs import records

if TYPE_CHECKING:
    import numpy as np

SCHEMA_VERSION = 1
_MOST_TOLD = 5
# What is written to in its place; the other files are moved into theirs.
_PARTS = (locks.LOCK, "metrics.jsonl", "checkpoints", "adapter")
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
        hold: on the folder, of the process that makes the run; None where it is only read.
    """

    def __init__(self, path: Path, record: dict[str, Any], hold: locks.Hold | None = None) -> None:
        self.path = path
        self.record = record
        self.hold = hold

    @property
    def adapter(self) -> Path:
        """Where the finished adapter lies."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        """Where the engine leaves what a resumed run goes on from."""
        return self.path / "checkpoints"

    @classmethod
    def create(cls, path: Path, settings: config.RunConfig, recipe: dict[str, Any] | None = None) -> RunFolder:
        """Start a run in a folder that is new or empty.

        Args:
            path: the folder.
            settings: the configuration with nothing open.
            recipe: what filled in the options that were open, and why.

        Raises:
            InputError: the folder already holds something, or cannot be written.
        """
        with disk_errors(path):
            if os.path.lexists(path) and not path.is_dir():
                raise InputError(f"{path} already holds something that is no folder", got=mistaken.kind_of(path),
                                 expected="a new or empty folder", fix="Name another --out")  # fmt: skip
            if path.exists() and not all(locks.is_ours(entry.name) for entry in path.iterdir()):
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
                made_in={"working_folder": os.getcwd(), "run_folder": os.path.abspath(path)},  # noqa: PTH100, PTH109 - see places
                **({"recipe": recipe} if recipe else {}),
                git=_git_state(),
            )
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read an existing run.

        Raises:
            InputError: the folder holds no readable run.json.
        """
        file = path / "run.json"
        if not os.path.lexists(file):
            raise InputError(f"{path} is not a run folder", got="no run.json in it", fix="`lorabert train` makes one")
        record = received.record_of(file)
        if problems := records.problems(record):
            raise InputError(f"{file} is damaged", got="; ".join(problems[:_MOST_TOLD]),
                             fix="Move the run's folder away, or train the run again")  # fmt: skip
        return cls(path, record)

    def check_whole(self) -> None:
        """Check that the record has all that one of a finished run has.

        Raises:
            InputError: it lacks something.
        """
        if missing := records.lacking(self.record):
            raise InputError(f"{self.path / 'run.json'} is damaged", got=f"no {', '.join(missing)}",
                             fix="Train the run again")  # fmt: skip

    def take(self) -> None:
        """Hold the folder until `release`, and clear what killed processes left half-written in it.

        Raises:
            InputError: another process makes this run, or a part of it lies elsewhere.
        """
        with disk_errors(self.path):
            for part in _PARTS:
                received.refuse_link(self.path / part, "a run")
            self.hold = hold(self.path)
            for folder in (self.path, self.checkpoints):
                clear_partial(folder)

    def release(self) -> None:
        """Let others make this run."""
        if self.hold:
            self.hold.release()

    def check(self) -> None:
        """Check that the folder is still there, before anything is written to it.

        Raises:
            Lost: it was removed, moved, or replaced by another.
        """
        if self.hold:
            self.hold.check("Its checkpoints and its record are lost with it, and what was trained since; nothing was written "
                            "elsewhere. The same command starts the run again")  # fmt: skip

    def update(self, **facts: Any) -> None:
        """Add facts to the record and save it."""
        self.check()
        self.record.update(facts)
        text = json.dumps(self.record, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(self.path / "run.json", (text + "\n").encode())

    def configure(self, settings: config.RunConfig) -> None:
        """Note another configuration: the same data and base, that is, by other names."""
        self.check()
        write_atomically(self.path / "config.yaml", config.dump(settings).encode())
        self.update(config=settings.to_dict(), config_sha256=settings.sha256())

    def log(self, event: dict[str, Any]) -> None:
        """Append one event to metrics.jsonl."""
        self.check()
        with (self.path / "metrics.jsonl").open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                # A line that a kill cut short must not swallow this one.
                file.write(b"" if file.read() == b"\n" else b"\n")
            file.write(json.dumps(event).encode() + b"\n")

    def events(self) -> list[dict[str, Any]]:
        """The events of metrics.jsonl; a last line that a kill cut short is left out.

        Raises:
            InputError: no file of the run, too large, or not a line of JSON an event.
        """
        path = self.path / "metrics.jsonl"
        lines = received.content_of(path, self.path, received.RECORD_BYTES).splitlines() if os.path.lexists(path) else []
        events = []
        for place, line in enumerate(lines, 1):
            try:
                events.append(_event(line))
            except ValueError as error:
                if place < len(lines) and not _cut_short(line):
                    raise InputError(f"{path} is damaged", got=f"line {place:,}: {str(error)[:200]}",
                                     fix="Move the file away to do without the run's curves") from None  # fmt: skip
        return events

    def losses(self) -> list[dict[str, Any]]:
        """The events that tell a loss, of training and of validation, each with its step and epoch.

        Raises:
            InputError: as `events`; or one lacks its loss.
        """
        found = [event for event in self.events() if event.get("event") in ("train", "validation")]
        if any(key not in event for event in found for key in ("step", "epoch", "loss")):
            raise InputError(f"{self.path / 'metrics.jsonl'} is damaged", got="an event without a step, an epoch or a loss",
                             fix="Move the file away to do without the run's curves")  # fmt: skip
        return found

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
        self.check()
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables(tables), sink)
        write_atomically(self.path / "predictions.parquet", sink.getvalue().to_pybytes())

    def clear_checkpoints(self) -> None:
        """Remove the checkpoints of a finished run, and nothing else that somebody may have put among them."""
        for checkpoint in self.checkpoints.glob("checkpoint-*"):
            for file in checkpoint.iterdir() if checkpoint.is_dir() and not checkpoint.is_symlink() else ():
                if not file.is_dir() and any(file.match(pattern) for pattern in _CHECKPOINT_FILES):
                    file.unlink()
            with suppress(OSError):
                checkpoint.rmdir()
        with suppress(OSError):
            self.checkpoints.rmdir()


# What the fast engine's checkpoints hold, and the Trainer's.
_CHECKPOINT_FILES = ("tensors.safetensors", "progress.json", "complete", "*model*.safetensors*", "adapter_config.json",
                     "config.json", "README.md", "optimizer.*", "scheduler.*", "scaler.*", "rng_state*", "trainer_state.json",
                     "training_args.*")  # fmt: skip


def hold(path: Path, wait: float = 0.0) -> locks.Hold:
    """Hold a run's folder, made if it is not there.

    Args:
        path: the folder.
        wait: seconds to wait for another process that makes the run; `locks.FOREVER` waits for as long as it takes.

    Raises:
        InputError: another process makes the run in it.
    """
    fix = "Wait for it, or end it; the same command with --resume then goes on from it"
    return locks.take(path, "makes the run in", fix=fix, wait=wait)


def _event(line: bytes) -> dict[str, Any]:
    """An event of a training; its loss may be no number.

    Raises:
        ValueError: the line is none.
    """
    event: dict[str, Any] = received.loads(line, finite=False)
    if problem := next(_EVENT(event, ""), None):
        raise ValueError(problem)
    return event


_EVENT = record({}, {"event": text(100), "step": whole(0, 1 << 60), "epoch": number, "loss": loss, "learning_rate": number})


def _cut_short(line: bytes) -> bool:
    """Whether a line is one that a kill cut short and that a resumed run wrote on behind."""
    return not line.endswith(b"}")


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
