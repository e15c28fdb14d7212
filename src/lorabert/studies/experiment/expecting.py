"""What a run is expected to take, as its record and its screen tell it: said at once, said again when it changes, and checked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lorabert.runs import RunFolder
from lorabert.studies.experiment.foreseeing import left, told
from lorabert.studies.experiment.preparing import Prepared, Say

# A change of the end is told when it is at least a minute, and this share of what is left.
_CHANGE_SECONDS, _CHANGE = 60.0, 0.2
_FORM = "%Y-%m-%dT%H:%M:%S%z"


class Expectation:
    """When a run is expected to end.

    Attributes:
        ready: what was measured of it before it began.
        run: whose record holds the estimate.
    """

    def __init__(self, ready: Prepared, run: RunFolder, say: Say) -> None:
        self.ready, self.run, self.say = ready, run, say
        self.began = time.time()
        self.trains_since, self.first_step = self.began, _newest_step(run.checkpoints)
        plan = ready.plan()
        grouped = -(-plan.steps_per_epoch // ready.settings.train.gradient_accumulation_steps)
        self.steps = grouped * len(plan.epochs)
        self.ends = 0.0

    def note(self, *, tell: bool) -> None:
        """Write down what was measured before anything long began, and tell it where part of the run was done already."""
        foreseen = self.ready.foreseen
        if foreseen is None:
            return
        share = 1 - self.first_step / max(1, self.steps)
        self.ends = self.began + foreseen.seconds * share
        if tell:
            self.say(told(foreseen.seconds * share, self.ready.shorter))
        self.run.update(
            estimate={
                "seconds": round(foreseen.seconds * share, 1),
                "ends": _clock(self.ends),
                "engine": foreseen.engine,
                "measured_steps": foreseen.pace.steps,
                "measured_tokens": foreseen.pace.tokens,
                "measured_seconds": round(foreseen.pace.seconds, 3),
                "shorter": self.ready.shorter,
            }
        )

    def training(self) -> None:
        """Training begins now."""
        self.trains_since = time.time()

    def saw(self, event: dict[str, Any]) -> None:
        """Look at the clock when losses are reported, and tell a new end if it has moved."""
        taken = event["step"] - self.first_step
        if event["event"] != "train" or taken <= 0 or "estimate" not in self.run.record:
            return
        now = time.time()
        rest = (now - self.trains_since) * (self.steps - event["step"]) / taken
        if abs(now + rest - self.ends) > max(_CHANGE_SECONDS, _CHANGE * rest):
            self.ends = now + rest
            with tqdm.external_write_mode():
                self.say(left(rest, now))
            refined = {"step": event["step"], "seconds": round(self.ends - self.began, 1), "ends": _clock(self.ends)}
            self.run.update(estimate={**self.run.record["estimate"], "refined": refined})

    def over(self) -> None:
        """Write down what it came to."""
        if "estimate" in self.run.record:
            self.run.update(estimate={**self.run.record["estimate"], "came_to_seconds": round(time.time() - self.began, 1)})


def _newest_step(checkpoints: Path) -> int:
    """Where a run goes on, by either engine's checkpoints; 0 where there is none."""
    complete = (mark.parent.name.rpartition("-")[2] for mark in checkpoints.glob("checkpoint-*/complete"))
    return max((int(step) for step in complete if step.isdigit()), default=0)


def _clock(seconds: float) -> str:
    return time.strftime(_FORM, time.localtime(seconds))
