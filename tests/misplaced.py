"""Things in a folder that may be named where they do not belong, and what is asked of a command that gets one.

Each case of tests/wrong_arguments.py finds them as they were.
"""

from __future__ import annotations

import bz2
import gzip
import os
import re
import shutil
import signal
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tiny
from lorabert import locks
from lorabert.errors import InputError
from wrong_arguments import QUICK, Case

MOST_SECONDS = 60
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"


def build(folder: Path) -> None:
    """Put everything that a case may name into a folder, made by the commands themselves."""
    from lorabert.cli import main

    def command(*words: str) -> None:
        assert main(list(words)) == 0, words

    texts, labels = tiny.reviews(40)
    names = [tiny.CLASS_NAMES[label] for label in labels]
    tiny.build_base(folder / "base")
    for name in ("reviews.csv", "my reviews é.csv", "line\nbreak.csv", "-dash.csv"):
        tiny.write_csv(folder / name, texts, names)
    command("train", *QUICK, "--out", "runs/one")
    command("export", "runs/one", "--format", "merged", "--out", "exported")
    command("store", "add", "runs/one", "--name", "reviews")
    command("compare", *QUICK, "--methods", "head", "--seeds", "1", "--out", "study")
    command("sweep", *QUICK, "--grid", "lora.r=2,4", "--out", "sweep")
    shutil.copytree(folder / "runs" / "one", folder / "runs" / "unfinished")
    record = folder / "runs" / "unfinished" / "run.json"
    record.write_text(record.read_text().replace('"status": "done"', '"status": "running"'))
    shutil.rmtree(folder / "runs" / "unfinished" / "adapter")
    _files(folder, (folder / "reviews.csv").read_bytes(), texts, names)


def _files(folder: Path, reviews: bytes, texts: list[str], names: list[str]) -> None:
    for name in ("folder", "empty"):
        (folder / name).mkdir()
    tiny.write_csv(folder / "folder" / "inside.csv", texts, names)
    tiny.write_parquet(folder / "parquet.parquet", texts, names)
    (folder / "parquet.parquet").rename(folder / "parquet.csv")
    contents = {
        "folder/.lock": b"4711", "empty.csv": b"", "blank.csv": b"\n\n  \n", "binary.csv": bytes(range(256)) * 8,
        "array.jsonl": b'[{"text": "a", "label": "b"}]',
        "picture.png": PNG, "picture.csv": PNG, "twice.csv.gz": gzip.compress(gzip.compress(reviews)),
        "twice.csv.bz2": bz2.compress(bz2.compress(reviews)), "mixed.csv.gz": gzip.compress(bz2.compress(reviews)),
        "words.txt": b"one\ntwo\n", "notes.md": b"# Notes\n", "page.html": b"<html></html>", "config.yaml": b"train: {seed: 1}\n",
        "list.yaml": b"- a\n- b\n", "broken.yaml": b"train: {seed: 1\n", "unknown.yaml": b"train: {sed: 1}\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("reviews.csv", reviews)
        archive.writestr("others.csv", reviews)
    with zipfile.ZipFile(folder / "table.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    (folder / "link.csv").symlink_to("nowhere.csv")
    (folder / "linked").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe.csv")


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder, with sizes and times."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            seen = path.lstat()
            if locks.is_ours(name) and (seen.st_size == 0 or name == locks.HOLDER):
                continue
            whole = path.is_symlink() or not path.is_dir()
            found[str(path.relative_to(folder))] = (seen.st_size, seen.st_mtime_ns) if whole else (0, 0)
    return found


class TooLong(BaseException):
    """A case that did not end."""


class Walk:
    """Runs cases in a folder, each on the things as they were built, and judges the answers.

    Args:
        folder: where they lie; `built` beside it keeps them.
        here: runs a command in that folder (tests/command.py).
    """

    def __init__(self, folder: Path, here: Any) -> None:
        self.folder, self.here = folder, here
        self.built = folder.with_name(f"{folder.name}-built")
        shutil.copytree(folder, self.built, symlinks=True, ignore=lambda _, names: [name for name in names if name == "pipe.csv"])
        self.before = listing(folder)

    def judged(self, case: Case) -> tuple[str, list[str], str]:
        """How a case ended (completed or refused), what is wrong with that, and what was said."""
        problems: list[str] = []
        with _watched(problems) as advised:
            try:
                done = self.here(case.verb, *case.words)
            except TooLong:
                done = None
        changed = self._changed()
        if done is None:
            return "hung", [*problems, f"no end within {MOST_SECONDS} s"], ""
        if done.code and changed:
            problems.append(f"refused, and left {', '.join(changed[:5])}")
        if done.code == 0:
            return "completed", problems, done.err
        return "refused", problems + list(_wrong_with(case, done, advised)), done.err

    def _changed(self) -> list[str]:
        """What a case has made, changed or removed, after which all is as it was."""
        after = listing(self.folder)
        changed = sorted(name for name in {*after, *self.before} if after.get(name) != self.before.get(name))
        if changed:
            self._restore()
        return changed

    def _restore(self) -> None:
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.copytree(self.built, self.folder, symlinks=True, dirs_exist_ok=True)
        os.mkfifo(self.folder / "pipe.csv")
        self.before = listing(self.folder)


@contextmanager
def _watched(problems: list[str]) -> Iterator[dict[str, bool]]:
    """Within it a connection is a problem and an alarm ends what hangs; of each error's message it is kept whether it advises."""
    advised: dict[str, bool] = {}
    made = InputError.__init__

    def kept(error: Any, *words: Any, **named: Any) -> None:
        made(error, *words, **named)
        advised[str(error)] = bool(error.expected or error.fix)

    def refused(_: Any, address: Any) -> None:
        problems.append(f"a connection to {address}")
        raise OSError("this test connects to nothing")

    def rung(*_: Any) -> None:
        raise TooLong

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InputError, "__init__", kept)
        patch.setattr(socket.socket, "connect", refused)
        earlier = signal.signal(signal.SIGALRM, rung)
        signal.alarm(MOST_SECONDS)
        try:
            yield advised
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, earlier)


def _wrong_with(case: Case, done: Any, advised: dict[str, bool]) -> Iterator[str]:
    """What a refusal lacks."""
    if done.code != 2:
        yield f"exit {done.code}"
    told = [line for line in done.err.splitlines() if line.startswith("lorabert: ")]
    message = told[-1].removeprefix("lorabert: ") if told else ""
    if len(told) != 1 or "Traceback" in done.err or not done.err.rstrip().endswith(message):
        yield f"{len(told)} paragraphs" + (", a traceback" if "Traceback" in done.err else "")
    if not names(case, message):
        yield "names neither the option nor what was given"
    if not next((each for text, each in advised.items() if " ".join(text.split("\n")) == message), True):
        yield "says nothing of what to do"
    if case.value and Path(case.value).name:
        yield from _untrue(case, message)


def names(case: Case, message: str) -> bool:
    """Whether a message says which argument it is about."""
    option, value = case.option.lstrip("-"), case.value
    parts = [value.strip(), value.rstrip("/"), str(Path(value)), ascii(value)[1:-1], value.partition("=")[0], *value.split(",")]
    parts += [
        " ".join(value.split("\n")),
        *re.findall(r"\w+", value),
        *(word for word in case.words if word in ("superfluous", "further")),
    ]
    parts += ["nothing"] if value == "--" else []  # which ends the options, and is no value
    return option.lower() in message.lower() or any(each and each[:20] in message for each in parts)


def _untrue(case: Case, message: str) -> Iterator[str]:
    """What a message says of a path that is not so."""
    try:
        folder, there = Path(case.value).is_dir(), os.path.lexists(case.value)
    except (OSError, ValueError):
        return
    if there and re.search(r"no such (file|folder)|There is no such", message, re.IGNORECASE):
        yield "is there, and is said not to be"
    if there and re.search(r"\b[Hh]ub\b", message):
        yield "lies here, and the hub is spoken of"
    if folder and re.search(r"is a file\b", message):
        yield "is a folder, and is called a file"


def quick_server(patch: Any) -> None:
    """Let `serve` start and end at once, in place of waiting for requests."""
    from lorabert.shipping.serving import server

    patch.setattr(server, "run", lambda service, listening, announce: announce())
