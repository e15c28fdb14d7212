"""How far the runs of a study are, for people who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from lorabert.errors import InputError
from lorabert.runs import RunFolder
from lorabert.studies.campaign import Job
from lorabert.studies.experiment import foreseeing
from lorabert.studies.launching import finished, record_at


class Watch:
    """Says on the way how many runs are done, how much of the work that is, and how long the rest may take.

    It reads the runs' folders and nothing else, so it does not matter who makes them. A run that is under way counts with its
    epochs so far. A line comes whenever a run is done, and in a long silence when the work went on.

    Use as a context manager around `launch`.

    Args:
        jobs: the runs that are to be made.
        what: what they are, for people.
        tell: called with each line.
        every: seconds between two looks at the records.
        silence: seconds after which a line comes though no run was done.
    """

    def __init__(
        self, jobs: Sequence[Job], what: str, tell: Callable[[str], None], every: float = 2.0, silence: float = 60.0
    ) -> None:
        self.jobs, self.what, self.tell, self.every, self.silence = jobs, what, tell, every, silence
        self.left = [job for job in jobs if finished(job) is None]
        self.before = self.told = self._work(self.left)
        self.foreseen = False
        self.runs = f"{len(jobs)} run{'s' if len(jobs) > 1 else ''}"
        self.over = threading.Event()

    def __enter__(self) -> Watch:
        """Say what lies ahead and begin to watch."""
        self.started = self.spoke = time.monotonic()
        done = len(self.jobs) - len(self.left)
        self.tell(f"{self.what}: {self.runs}" + (f", {done} of them already done" if done else ""))
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self.over.set()
        self.watcher.join()

    def _watch(self) -> None:
        while self.left and not self.over.wait(self.every):
            self._look()
        self._look()

    def _look(self) -> None:
        left, now = [job for job in self.left if finished(job) is None], time.monotonic()
        self._foresee(left)
        fewer = len(left) < len(self.left)
        if not fewer and now - self.spoke < self.silence:
            return
        self.left, work = left, self._work(left)
        if fewer or work > self.told:
            self.spoke, self.told = now, work
            share = f" ({work / len(self.jobs):.0%} of the work{self._rest(work, now - self.started)})" if left else ""
            self.tell(f"{self.what}: {len(self.jobs) - len(left)} of {self.runs} done{share}")

    def _foresee(self, left: Sequence[Job]) -> None:
        """Say when all may end, as soon as the first steps of one run tell; those that train together end sooner."""
        estimates = [] if self.foreseen else [record_at(job.out).get("estimate") for job in left]
        if found := next((estimate for estimate in estimates if estimate), None):
            self.foreseen = True
            self.tell(f"{self.what}: {foreseeing.left(found['seconds'] * len(left))}, by the first steps of one run")

    def _rest(self, work: float, seconds: float) -> str:
        """How long the rest may take, if all of it goes as fast as what was done here."""
        if work <= self.before:
            return ""
        minutes = seconds * (len(self.jobs) - work) / (work - self.before) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"

    def _work(self, left: Sequence[Job]) -> float:
        """How many runs' worth of work is done."""
        return len(self.jobs) - len(left) + sum(map(_part, left))


def _part(job: Job) -> float:
    """How much of a run that is not done yet is done: its epochs so far of all of them."""
    try:
        run = RunFolder.open(job.out)
        events, wanted = run.events(), run.record["config"]["train"]["num_train_epochs"]
        return min(float(events[-1].get("epoch", 0.0) if events else 0.0) / wanted, 1.0)
    except (InputError, KeyError, TypeError, ValueError, ArithmeticError):  # not begun, or damaged: whoever makes it will say so
        return 0.0
