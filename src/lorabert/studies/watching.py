"""How far the runs of a study are, for people who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from lorabert.studies.campaign import Job
from lorabert.studies.launching import finished


class Watch:
    """Says on the way how many runs are done and how long the rest may take; reads the runs' records and nothing else.

    Use as a context manager around `launch`.

    Args:
        jobs: the runs that are to be made.
        what: what they are, for people.
        tell: called with each line.
        every: seconds between two looks at the records.
    """

    def __init__(self, jobs: Sequence[Job], what: str, tell: Callable[[str], None], every: float = 2.0) -> None:
        self.jobs, self.what, self.tell, self.every = jobs, what, tell, every
        self.left = [job for job in jobs if finished(job) is None]
        self.before = len(jobs) - len(self.left)
        self.over = threading.Event()

    def __enter__(self) -> Watch:
        """Say what lies ahead and begin to watch."""
        self.started = time.monotonic()
        already = f", {self.before} of them already done" if self.before else ""
        self.tell(f"{self.what}: {len(self.jobs)} run{'s' if len(self.jobs) > 1 else ''}{already}")
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
        left = [job for job in self.left if finished(job) is None]
        if len(left) == len(self.left):
            return
        self.left = left
        done, here = len(self.jobs) - len(left), len(self.jobs) - len(left) - self.before
        minutes = (time.monotonic() - self.started) / here * len(left) / 60
        rest = f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left" if left else ""
        self.tell(f"{self.what}: {done} of {len(self.jobs)} runs done{rest}")
