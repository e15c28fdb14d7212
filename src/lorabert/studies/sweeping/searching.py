"""The search: ask for trials, train them together, tell what their validation split says, and write it all down."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lorabert import config, hardware
from lorabert.config import RunConfig
from lorabert.data import sources
from lorabert.errors import InputError
from lorabert.files import STUDY_GOES_ON, disk_errors, write_atomically
from lorabert.locks import Hold
from lorabert.models import bases
from lorabert.received import refuse_links_on_the_way
from lorabert.studies import campaign, experiment, reporting
from lorabert.studies.experiment import recipe
from lorabert.studies.sweeping import place, results, space
from lorabert.studies.sweeping.asking import Study, check_storage, need_optuna
from lorabert.studies.sweeping.choosing import Pruner, Sampler
from lorabert.studies.sweeping.measuring import Metric, measure
from lorabert.studies.sweeping.space import Dimension

if TYPE_CHECKING:
    import optuna

Say = Callable[[str], None]
_DATABASE = "study.db"
# A GPU wants several runs in every step to be busy; without one the sampler may as well learn from each trial before the next.
_TOGETHER = {"cpu": 1}
_TOGETHER_ON_A_GPU = 8


@dataclass(frozen=True)
class Sweep:
    """What is searched, how, and for how long.

    Attributes:
        settings: the configuration that all trials share.
        dimensions: the options that differ, and their values.
        trials: how many in all.
        metric: of the validation split; loss is the mean cross-entropy.
        sampler: how the next trial is chosen; grid takes every combination once.
        pruner: whether hopeless trials end early, judged by their validation loss after each epoch.
        concurrent: trials that are asked for, and trained, together; None decides by the device.
    """

    settings: RunConfig
    dimensions: Sequence[Dimension]
    trials: int
    metric: Metric = "accuracy"
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    concurrent: int | None = None

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which way is better."""
        return "minimize" if self.metric == "loss" else "maximize"

    def plan(self) -> dict[str, Any]:
        """What must stay the same from the first trial to the last, on every machine."""
        return {
            "metric": self.metric,
            "direction": self.direction,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.settings.train.seed,
            "space": {dimension.key: dimension.to_dict() for dimension in self.dimensions},
            "config": self.settings.to_dict(),
        }

    def name(self) -> str:
        """A name that equal sweeps share and others do not."""
        digest = hashlib.sha256(json.dumps(self.plan(), sort_keys=True).encode()).hexdigest()
        return f"{self.settings.train.method}-{digest[:10]}"

    def start(self) -> dict[str, Any] | None:
        """The configuration as it was given, if it lies in the space: it makes the first trial of a search.

        What is open in it is what the recipe always gives; of what the recipe fits to the data the first trial has what is drawn.
        """
        at = {each.key: getattr(getattr(self.settings, each.key.partition(".")[0]), each.key.partition(".")[2])
              for each in self.dimensions}  # fmt: skip
        always = {} if self.settings.train.recipe == "course" else recipe.ALWAYS
        given = {key: always.get(key) if value is None else value for key, value in at.items()}
        given = {key: value for key, value in given.items() if value is not None}
        inside = all(dimension.holds(given[dimension.key]) for dimension in self.dimensions if dimension.key in given)
        return given if given and inside and self.sampler != "grid" else None


def run(sweep: Sweep, *, out: Path | None = None, storage: str | None = None, say: Say = print) -> dict[str, Any]:
    """Search until there are as many trials as asked for; the same call goes on where an earlier one stopped.

    Args:
        sweep: what is searched.
        out: the sweep's folder; by default one below sweeps/ that the same sweep finds again.
        storage: URL of a database that several machines share; by default SQLite in the folder.
        say: called with each line of progress.

    Returns:
        What sweep.json holds, with `sweep`, the folder.

    Raises:
        InputError: an option, the data, the base, the database or the disk cannot be used, or no trial succeeded.
    """
    need_optuna()
    if not 1 <= sweep.trials <= space.MOST_TRIALS:
        raise InputError("A sweep has so many trials", got=f"--trials {sweep.trials}",
                         expected=f"at least 1, and at most {space.MOST_TRIALS:,}")  # fmt: skip
    if sweep.concurrent is not None and not 1 <= sweep.concurrent <= space.MOST_AT_ONCE:
        raise InputError("Trials cannot train together", got=f"--concurrent {sweep.concurrent}",
                         expected=f"auto, or at least 1 and at most {space.MOST_AT_ONCE}")  # fmt: skip
    if storage:
        check_storage(storage)
    splits = sources.load(sweep.settings.data)
    say(reporting.data_line(splits))
    base = bases.find(sweep.settings.model)
    folder = out or Path("sweeps") / f"{Path(splits.origin).stem}-{sweep.name()}"
    with disk_errors(folder, STUDY_GOES_ON), place.alone(folder) as hold:
        plan = sweep.plan() | {"data": _selection_data(splits), "base": experiment.digest(base)}
        # A folder's own database has one study; in one that many share, equal sweeps find each other by their name.
        name = f"lorabert-{sweep.name()}" if storage else "lorabert"
        study = Study(storage or f"sqlite:///{folder / _DATABASE}", name, place.worker(folder, name), sweep.dimensions, plan,
                      first=sweep.start(), alone=storage is None)  # fmt: skip
        search = _Search(sweep, study, hold, splits.fingerprint(), say)
        try:
            return search.finish()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"Interrupted: {folder} keeps what was finished. The same command goes on from it.") from None


class _Search:
    """One sitting of a sweep."""

    def __init__(self, sweep: Sweep, study: Study, hold: Hold, data: str, say: Say) -> None:
        self.sweep, self.study, self.hold, self.folder, self.data, self.say = sweep, study, hold, hold.folder, data, say
        self.started, self.done_here = time.monotonic(), 0
        self.together = sweep.concurrent or _TOGETHER.get(hardware.place(sweep.settings.train).device, _TOGETHER_ON_A_GPU)

    def finish(self) -> dict[str, Any]:
        """Make the trials that are left and write the results."""
        finished = sum(trial.state.is_finished() for trial in self.study.trials())
        self.say(f"Sweep: {self.folder}, {self.sweep.trials} trials" + (f", {finished} of them done already" if finished else ""))
        while batch := self.study.ask(self.together, self.sweep.trials):
            self._train(batch)
            self._write("running")
        document = self._write("done")
        if document["best"] is None:
            errors = [trial["error"] for trial in document["trials"] if trial.get("error")]
            raise InputError(
                f"None of {len(document['trials'])} trials gave a value of {self.sweep.metric}",
                got=errors[0] if errors else "no finished trial",
                fix=f"See {self.folder / 'sweep.json'}",
            )
        return document

    def _train(self, batch: Sequence[optuna.Trial]) -> None:
        """Train some trials together and tell the study how each did."""
        for trial in batch:
            self.say(f"Trial {trial.number + 1} of {self.sweep.trials}: {_listed(self.study.values(trial))}")
        jobs: dict[int, campaign.Job] = {}
        broken: dict[int, str] = {}
        for trial in batch:
            try:
                jobs[trial.number] = self._job(trial)
            except InputError as error:
                broken[trial.number] = str(error)
        # Equal trials share a folder, and so one training.
        once = {job.out: job for job in jobs.values()}
        records = dict(zip(once, campaign.run(list(once.values()), concurrent=self.together, say=self._heard), strict=True))
        self.done_here += len(batch)
        for trial in batch:
            job = jobs.get(trial.number)
            record = records[job.out] if job else {"status": "failed", "error": broken[trial.number]}
            self._tell(trial, record, job.out if job else None)

    def _heard(self, line: str) -> None:
        """Of a trial's own lines the one that tells how long it will take."""
        if "left: ends near" in line:
            self.say(f"This trial: {line.splitlines()[0]}")

    def _job(self, trial: optuna.Trial) -> campaign.Job:
        values = {"train.baselines": False, **self.study.values(trial)}
        settings = space.with_values(self.sweep.settings, values)
        watch = self.study.watch(trial) if self.sweep.pruner != "none" else None
        out = self.folder / "trials" / settings.sha256()[:12]
        refuse_links_on_the_way(out, self.folder, "a sweep")
        return campaign.Job(settings, out, watch, self.data)

    def _tell(self, trial: optuna.Trial, record: dict[str, Any], out: Path | None) -> None:
        found = measure(record, out, self.sweep.metric)
        value = found.pop("value", None)
        run_folder = str(out.relative_to(self.folder)) if out and out.exists() else None
        self.study.tell(trial, value, {"run": run_folder, **found})
        self.say(self._line(trial.number, value, found))

    def _line(self, number: int, value: float | None, found: dict[str, Any]) -> str:
        """One trial's end: its value, the best so far, and how long the rest may take."""
        ended = f"{self.sweep.metric} {value:.4f}" if value is not None else _unfinished(found)
        known = self.study.trials()
        best = results.best_of(known, self.sweep.direction)
        so_far = f"; best so far {best.value:.4f} (trial {best.number + 1})" if best and best.value is not None else ""
        left = self.sweep.trials - sum(trial.state.is_finished() for trial in known)
        seconds = (time.monotonic() - self.started) / self.done_here * max(left, 0)
        rest = f"; {left} left, about {_duration(seconds)}" if left > 0 else ""
        return f"Trial {number + 1} of {self.sweep.trials}: {ended}{so_far}{rest}"

    def _write(self, status: str) -> dict[str, Any]:
        """Write sweep.json, the best configuration and, at the end, the plot."""
        self.hold.check("The trials in it are lost with it. The same command starts the sweep again")
        document = results.document(self.sweep.plan(), self.study, self.folder, self.sweep.trials, status)
        if document["best"] is not None:
            best = space.with_values(self.sweep.settings, document["best"]["parameters"])
            write_atomically(self.folder / results.BEST, results.best_yaml(document, config.dump(best), self.folder).encode())
            if status == "done":
                from lorabert.studies.sweeping import plotting

                write_atomically(self.folder / results.PLOT, plotting.svg(document))
        write_atomically(self.folder / "sweep.json", (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
        return {"sweep": str(self.folder), **document}


def _selection_data(splits: sources.Splits) -> str:
    """The sha256 of what is trained and selected on. The test split has no part in a sweep, so it has none in this either."""
    without_test = dataclasses.replace(splits, test=splits.test.rows([]))
    return without_test.fingerprint()


def _unfinished(found: dict[str, Any]) -> str:
    why = found["error"].rstrip(".")
    return why if found.get("pruned") else f"failed ({why})"


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={results.shown(value)}" for key, value in values.items())


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
