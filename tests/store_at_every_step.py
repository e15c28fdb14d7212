"""A store whose writer is struck at every single step: python store_at_every_step.py kill|refuse|control.

For each step of each operation a process is forked, does the operation on a fresh copy of a store, and is struck there:
`kill` ends it before a call that changes the disk (found by a profile function), `refuse` gives it a full disk from there on
(by an audit hook). Then its parent looks at what is left, and goes on with it. `control` kills a store that adds in
the wrong order, which must be found out. It is a program and no test, so that nothing heavy is forked.

The last line is JSON: the steps of each operation, and what was found wrong.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import filelock  # noqa: F401 - imported now, so that no step is one of the import's

import handmade
from lorabert.errors import InputError
from lorabert.shipping.store import Entry, Store, objects

# What changes a disk: a kill between two of these leaves what a kill right before the second one leaves.
CHANGING = {"open", "mkdir", "rename", "replace", "link", "unlink", "remove", "rmdir", "write", "truncate", "close",
            "sendfile", "copy_file_range", "flock", "__exit__"}  # fmt: skip
TOUCHING = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.scandir",
    "os.listdir",
    "fcntl.flock",
    "shutil.copyfile",
}
UNSTRUCK, DONE_THOUGH_STRUCK, REFUSED, BUG = 0, 1, 2, 3


class Careless(Store):
    """Adds the entry before the adapter that it names."""

    def add(self, adapter: Path, name: str) -> Entry:
        with self._ground.writing(make=True) as beside:
            sha256 = objects.copy(adapter, beside / "adapter")
            entry = self._place_entry(beside, name, sha256)
            self._place_object(beside, sha256)
            return entry


OPERATIONS: dict[str, Callable[[], object]] = {
    "first add": lambda: Store(Path("store")).add(Path("made-2"), "emotion"),
    "add a version": lambda: Store(Path("store")).add(Path("made-3"), "emotion"),
    "add a known adapter": lambda: Store(Path("store")).add(Path("made-1"), "other"),
    "remove a version": lambda: Store(Path("store")).remove("emotion@2"),
    "remove a name": lambda: Store(Path("store")).remove("emotion"),
}
CONTROL = {"add carelessly": lambda: Careless(Path("store")).add(Path("made-3"), "emotion")}


class Strike:
    """What befalls a process at one of its steps.

    Attributes:
        struck: whether that step was reached.
    """

    def __init__(self, how: str, step: int) -> None:
        self.step, self.count, self.struck = step, 0, False
        if how == "refuse":
            sys.addaudithook(self._audit)
        else:
            sys.setprofile(self._profile)

    def _reached(self) -> bool:
        self.count += 1
        self.struck = self.struck or self.count > self.step
        return self.struck

    def _profile(self, _: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", None) in CHANGING and self._reached():
            os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, _: object) -> None:
        if event in TOUCHING and self._reached():
            raise OSError(errno.ENOSPC, "No space left on device")


def attempt(operation: Callable[[], object], how: str, step: int) -> int:
    """How a process ended that does the operation and is struck at a step; -9 when it was killed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    strike = Strike(how, step)
    try:
        operation()
        os._exit(DONE_THOUGH_STRUCK if strike.struck else UNSTRUCK)
    except InputError as error:
        os._exit(REFUSED if str(error).isprintable() else BUG)
    except BaseException:
        traceback.print_exc()
        os._exit(BUG)


def state() -> set[tuple[str, str]]:
    """Which versions are there, and which adapters they are."""
    store = Store(Path("store"))
    return {(entry.reference, entry.sha256) for entry in store.entries()} if store.exists() else set()


def wrong(before: set[tuple[str, str]], after: set[tuple[str, str]]) -> list[str]:
    """What is wrong with what a strike left, and with going on."""
    store, found = Store(Path("store")), []
    if store.exists():
        found += store.verify().problems
    if not before & after <= state() <= before | after:
        found.append(f"{sorted(state())} is neither what was nor what should be, nor between")
    taken = max((int(path.name) for path in Path("store/names/emotion").glob("[0-9]*")), default=0)
    entry = store.add(Path("made-4"), "emotion")
    if entry.version != taken + 1:
        found.append(f"the next version is {entry.version}, and {taken} were taken")
    store.remove(entry.reference)
    check = store.verify()
    if Path("store/partial").exists():
        found.append("partial/ was not cleared")
    return [*found, *check.problems, *check.notes]


def main(how: str) -> None:
    """Strike at every step of every operation, and print what was found."""
    os.fsync = lambda _: None  # a killed process's writes are the system's already; only a power cut needs the flush
    for seed in range(1, 5):
        handmade.adapter(f"made-{seed}", seed)
    Path("nothing").mkdir()
    for seed in (1, 2):
        Store(Path("full")).add(Path(f"made-{seed}"), "emotion")
    steps, found = {}, []
    for name, operation in (CONTROL if how == "control" else OPERATIONS).items():
        origin = Path("nothing" if name == "first add" else "full")
        fresh(origin)
        before = state()
        operation()
        after = state()
        for step in range(100_000):
            fresh(origin)
            ended = attempt(operation, how, step)
            problems = ["an error that is not in words"] if ended == BUG else []
            if ended in (UNSTRUCK, DONE_THOUGH_STRUCK) and state() != after:
                problems.append("it said that it was done, and is not")
            found += [f"{name}, step {step}: {problem}" for problem in problems + wrong(before, after)]
            if ended == UNSTRUCK:
                break
        steps[name] = step
    sys.stdout.write(json.dumps({"steps": steps, "wrong": found}) + "\n")


def fresh(origin: Path) -> None:
    """A copy of the store to strike at."""
    shutil.rmtree("store", ignore_errors=True)
    shutil.copytree(origin, "store")


if __name__ == "__main__":
    main(sys.argv[1])
