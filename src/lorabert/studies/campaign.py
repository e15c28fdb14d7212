"""Many runs: those that can share a frozen base train together, none can disturb another, and all are resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert.config import RunConfig
from lorabert.errors import Diverged, InputError, Unsupported
from lorabert.runs import Fit
from lorabert.studies import experiment
from lorabert.studies.experiment import Begun, Stopped
from lorabert.studies.experiment.folding import can_share_base

Say = Callable[[str], None]
_ENGINE_REASON = "it knows this architecture and method"


@dataclass(frozen=True)
class Job:
    """One run of a campaign.

    Attributes:
        settings: the resolved configuration.
        out: the run folder itself.
        watch: called with each event of the run's training; it may raise `experiment.Stopped`, which ends this run alone,
            with the status `stopped`.
        data: fingerprint that the data had when the study was begun, where that is known; others are refused.
    """

    settings: RunConfig
    out: Path
    watch: experiment.Watch | None = None
    data: str | None = None


def run(
    jobs: Sequence[Job], *, concurrent: int | None = None, share: float = 1.0, say: Say = print
) -> list[dict[str, Any]]:  # fmt: skip
    """Make every run that is not done yet, and return their records in the order of the jobs.

    A run that lies there finished is taken as it is; one that was cut short goes on from its newest checkpoint; one that
    fails leaves `{"status": "failed", "error": ..}` and the others go on. Runs of LoRA or of the head alone on one base train
    together; each ends as it would have ended alone.

    Args:
        jobs: the runs, each with a folder of its own.
        concurrent: how many train at once; by default as many as memory allows, at most eight.
        share: of the memory, where others take theirs at the same time.
        say: called with each line for people.

    Raises:
        Changed: the data or the base are no longer what a run, or the study, was begun with; no other run is begun.
    """
    outcomes: dict[Path, dict[str, Any]] = {}
    for group in groups(jobs):
        if len(group) > 1 and concurrent != 1:
            outcomes |= _Together(group, concurrent, share, say).run()
        outcomes |= {job.out: _alone(job, say) for job in group if job.out not in outcomes}
    return [outcomes[job.out] for job in jobs]


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that can train together, by what they must have in common; the others alone."""
    groups: dict[Any, list[Job]] = {}
    for number, job in enumerate(jobs):
        model, train = job.settings.model, job.settings.train
        depth = job.settings.lora.layers if train.method == "lora" else "all"
        shared = (model.name, model.revision, train.device, train.precision, depth)
        # MLflow has one run open at a time.
        alone = train.engine == "reference" or train.report_to == "mlflow"
        groups.setdefault(shared if can_share_base(job.settings) and not alone else number, []).append(job)
    return list(groups.values())


def _alone(job: Job, say: Say) -> dict[str, Any]:
    try:
        return experiment.train(job.settings, out=job.out, resume=True, say=say, watch=job.watch, expected=job.data)
    except experiment.Changed:
        raise
    except InputError as error:
        return _failed(job, error, say)


def _failed(job: Job, error: Exception, say: Say) -> dict[str, Any]:
    status = "stopped" if isinstance(error, Stopped) else "diverged" if isinstance(error, Diverged) else "failed"
    say(f"{job.out} {status}: {error}")
    return {"run": str(job.out), "status": status, "error": str(error)}


class _Together:
    """Runs on one base, trained together.

    Attributes:
        outcomes: by folder, of those that have ended.
        begun: by folder, those that train.
    """

    def __init__(self, jobs: Sequence[Job], concurrent: int | None, share: float, say: Say) -> None:
        self.jobs, self.concurrent, self.share, self.say = {job.out: job for job in jobs}, concurrent, share, say
        self.outcomes: dict[Path, dict[str, Any]] = {}
        self.begun: dict[Path, Begun] = {}
        self.frozen: dict[str, Any] | None = None

    def run(self) -> dict[Path, dict[str, Any]]:
        """The outcomes; without those whose architecture the fast engine does not know, which have to train alone."""
        from lorabert.engine import training

        try:
            for job, outcome in training.fit_together(self._starts(), concurrent=self.concurrent, share=self.share):
                self._ended(job.checkpoints.parent, outcome)
        except Unsupported as unknown:
            for begun in self.begun.values():
                begun.run.release()
            self.say(f"One by one: {unknown.why}.")
        except BaseException as error:
            for begun in self.begun.values():
                begun.note(error)
            raise
        return self.outcomes

    def _starts(self) -> Iterator[Any]:
        """What the engine trains next, prepared when a place is free."""
        from lorabert.engine import training

        for out, job in self.jobs.items():
            try:
                begun = experiment.begin(job.settings, out=out, resume=True, say=self.say, frozen=self.frozen, watch=job.watch,
                                         expected=job.data)  # fmt: skip
            except (Unsupported, experiment.Changed):
                raise
            except InputError as error:
                self.outcomes[out] = _failed(job, error, self.say)
                continue
            if isinstance(begun, dict):
                self.outcomes[out] = begun
                continue
            self.begun[out] = begun
            if job.settings.train.engine == "auto":
                training.refuse_unproven(begun.ready.placement)
            self.frozen = self.frozen or begun.ready.parameters
            yield begun.job(resume=True, name=out.name)

    def _ended(self, out: Path, outcome: Fit | Exception) -> None:
        begun = self.begun.pop(out)
        try:
            with begun.told_how_it_ended():
                if isinstance(outcome, Exception):
                    raise outcome
                self.outcomes[out] = begun.finish(outcome, "fast", _ENGINE_REASON)
        except InputError as error:
            self.outcomes[out] = _failed(self.jobs[out], error, self.say)
