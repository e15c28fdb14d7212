"""Many runs: each in its own folder, none able to disturb another, all resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert.config import RunConfig
from lorabert.errors import InputError
from lorabert.studies import experiment

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One run of a campaign.

    Attributes:
        settings: the resolved configuration.
        out: the run folder itself.
    """

    settings: RunConfig
    out: Path


def run(jobs: Sequence[Job], *, say: Say = print) -> list[dict[str, Any]]:
    """Make every run that is not done yet, and return their records in the order of the jobs.

    A run that lies there finished is taken as it is; one that was cut short goes on from its newest checkpoint; one that
    fails leaves `{"status": "failed", "error": ..}` and the others go on.

    Args:
        jobs: the runs, each with a folder of its own.
        say: called with each line for people.
    """
    return [_outcome(job, say) for job in jobs]


def _outcome(job: Job, say: Say) -> dict[str, Any]:
    try:
        return experiment.train(job.settings, out=job.out, resume=True, say=say)
    except InputError as error:
        say(f"{job.out} failed: {error}")
        return {"run": str(job.out), "status": "failed", "error": str(error)}
