"""A comparison from plan to comparison.json: check, tune, run, and say what came of it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert.config import DataConfig, RunConfig
from lorabert.data import sources
from lorabert.data.sources import Splits
from lorabert.errors import InputError
from lorabert.models import bases
from lorabert.studies import experiment
from lorabert.studies.campaign import Job
from lorabert.studies.comparison import curves, published, results, study, tuning
from lorabert.studies.comparison.plan import Plan, System, Task
from lorabert.studies.comparison.study import SCHEMA_VERSION, Study
from lorabert.studies.launching import Launcher, Record, check, launch, note
from lorabert.studies.watching import Watch

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Facts:
    """What is known of a task before anything runs."""

    origin: str
    data_set: str
    fingerprint: str
    labels: list[str]
    examples: dict[str, int]
    notes: list[str]
    base: str
    bases: dict[str, str]
    fingerprints: dict[DataConfig, str]


def compare(
    plan: Plan, *, out: Path | None = None, launcher: Launcher = "local", workers: int = 2, concurrent: int | None = None,
    tell: Say,
) -> dict[str, Any]:  # fmt: skip
    """Make every run of a plan that is not made yet, and write comparison.json.

    Everything that can be wrong with the input is found before the folder is made. The same plan in the same folder goes
    on where it stopped; one that adds systems, tasks or seeds makes those alone.

    Args:
        plan: what is asked.
        out: the study's folder; by default one below runs/ that follows from the plan.
        launcher: who makes the runs.
        workers: how many at once, for processes and ray.
        concurrent: how many runs on one base train at once; by default as many as memory holds.
        tell: called with each line of progress.

    Returns:
        What comparison.json holds, with `comparison`, its path.

    Raises:
        InputError: the data, the base, the plan or the folder cannot be used.
    """
    check(launcher, workers, concurrent)
    tell(f"Checking {len(plan.tasks)} task{'s' if len(plan.tasks) > 1 else ''} and their bases")
    facts = {task.name: _check(plan, task, tell) for task in plan.tasks}
    folder = study.begin(out or study.default_path(plan), plan, {name: known.fingerprint for name, known in facts.items()},
                         {name: known.bases for name, known in facts.items()})  # fmt: skip
    tell(f"Study folder: {folder.path} (the lines of its runs are in log.txt)")
    work = _Work(plan, folder, facts, launcher, workers, concurrent, tell)
    rates = work.tune() if plan.rates else {}
    runs = work.run({key: found["chosen"] for key, found in rates.items()})
    baselines = {task.name: work.baselines(task) for task in plan.tasks}
    tasks = [
        _task(plan, task, facts[task.name], {s.name: runs[task.name, s.name] for s in plan.systems}, baselines[task.name],
              {s.name: rates[task.name, s.name] for s in plan.systems} if rates else None)
        for task in plan.tasks
    ]  # fmt: skip
    for system in plan.systems:
        same = [found for task in tasks for found in task["differences"] if found["system"] == system.name]
        results.correct_over_tasks(same)
    document = {
        "schema_version": SCHEMA_VERSION,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "plan": plan.to_dict(),
        "tasks": [_relative(task, folder.path) for task in tasks],
        "curves": curves.of(plan, tasks),
        "environment": _environment([run.record for task in runs.values() for run in task]),
    }
    folder.save(folder.comparison, document)
    return {"comparison": str(folder.comparison), **document}


def _check(plan: Plan, task: Task, tell: Say) -> _Facts:
    """Load a task's data once for each way in which its systems read them, say its columns, and find their bases.

    Raises:
        InputError: something is not there, or the systems would be tested on different examples.
    """
    loaded: dict[DataConfig, Splits] = {}
    found: dict[str, str] = {}
    for system in plan.systems:
        for settings in _reads(plan, task, system):
            if settings.data not in loaded:
                loaded[settings.data] = _load(task, settings)
        found[system.name] = experiment.digest(bases.find(plan.run_config(task, system, plan.seeds[0]).model))
    first, *others = loaded.values()
    tell(f"{task.name}: {first.columns.named()}")
    for other in others:
        if (other.test.texts, other.test.pairs, other.test.labels.tolist()) != (
            first.test.texts, first.test.pairs, first.test.labels.tolist()
        ):  # fmt: skip
            raise InputError(f"The systems would be tested on different examples of '{task.name}'",
                             got="a data option among --vary or --methods that changes the test split",
                             expected="one test split for all, so that they can be compared example by example",
                             fix="Name the test file with --data.test, or vary something else")  # fmt: skip
    settings = plan.run_config(task, plan.systems[0], plan.seeds[0])
    name = settings.data.name or ""
    return _Facts(
        first.origin, f"{name}:{settings.data.subset}" if settings.data.subset else name, first.fingerprint(), first.label_names,
        {split: len(getattr(first, split)) for split in sources.SPLITS}, list(first.notes), settings.model.name,
        found, {data: splits.fingerprint() for data, splits in loaded.items()},
    )  # fmt: skip


def _reads(plan: Plan, task: Task, system: System) -> list[RunConfig]:
    """A configuration for each way in which the runs of a system on a task read the data: each seed may draw its own texts."""
    drawing = [*plan.seeds, *([plan.tuning_seed] if plan.rates else [])]
    return [plan.run_config(task, system, seed) for seed in (drawing if task.size is not None else plan.seeds[:1])]


def _load(task: Task, settings: RunConfig) -> Splits:
    """The data of one run.

    Raises:
        InputError: they cannot be used, or a draw from them cannot; it would end the comparison when other runs are made already.
    """
    size, most = task.size, settings.data.limit
    if size is None:
        return sources.load(settings.data)
    if most is not None and most < size:
        raise InputError("--sizes names more texts than are used", got=f"{size:,}, with data.limit {most:,}",
                         fix="Leave out data.limit, or that size")  # fmt: skip
    try:
        splits = sources.load(settings.data)
    except InputError as error:
        splits = sources.load(dataclasses.replace(settings.data, train_limit=None))  # or says what is wrong
        if splits.drawable >= size:
            raise InputError(f"Of the task '{task.name}' {size:,} texts are too few for one of its seeds",
                             got=f"with seed {settings.data.draw_seed}: {error}",
                             fix="Name larger sizes, or other seeds with --train.seed") from None  # fmt: skip
    if splits.drawable < size:
        raise InputError("--sizes names more texts than there are", got=f"{size:,} of '{task.name}'",
                         expected=f"at most {splits.drawable:,}, which {splits.origin} has besides its test split",
                         fix="Leave that size out, or add texts")  # fmt: skip
    return splits


@dataclass(frozen=True)
class _Work:
    """The runs of a study, made by its launcher."""

    plan: Plan
    folder: Study
    facts: dict[str, _Facts]
    launcher: Launcher
    workers: int
    concurrent: int | None
    tell: Say

    def tune(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Try every rate of every system on every task, go on where the best is an end, and choose on validation."""
        plan, pairs = self.plan, list(itertools.product(self.plan.tasks, self.plan.systems))
        trials: dict[tuple[str, str], list[tuning.Trial]] = {(task.name, system.name): [] for task, system in pairs}
        wanted = [(task, system, rate) for task, system in pairs for rate in (plan.rates or {})[system.method]]
        for more in range(plan.more_rates + 1):
            found = self._try(wanted, "Tuning beyond the grid" if more else "Tuning") if wanted else []
            for (task, system, _), one in zip(wanted, found, strict=True):
                trials[task.name, system.name].append(one)
            further = ((task, system, tuning.beyond(trials[task.name, system.name])) for task, system in pairs)
            wanted = [(task, system, rate) for task, system, rate in further if rate is not None]
        metrics = {task.name: task.metric for task in plan.tasks}
        return {key: tuning.summary(found, metrics[key[0]], plan.tuning_seed) for key, found in trials.items()}

    def _try(self, wanted: list[tuple[Task, System, float]], what: str) -> list[tuning.Trial]:
        """Make a run of each rate, and return what a choice may know of it."""
        seed = self.plan.tuning_seed
        jobs = [
            self._job(task, self.plan.run_config(task, system, seed, rate), self.folder.trial_folder(task, system, rate))
            for task, system, rate in wanted
        ]
        made = zip(wanted, self._make(jobs, what), strict=True)
        return [tuning.trial(rate, record, task.metric) for (task, _, rate), record in made]

    def run(self, rates: dict[tuple[str, str], float | None]) -> dict[tuple[str, str], list[results.Run]]:
        """Make the runs of the comparison; a system whose every rate failed has failed on that task."""
        plan, jobs = self.plan, {}
        runs: dict[tuple[str, str], list[results.Run]] = {}
        for task, system, seed in itertools.product(plan.tasks, plan.systems, plan.seeds):
            rate = rates.get((task.name, system.name))
            if plan.rates is None or rate is not None:
                settings, out = plan.run_config(task, system, seed, rate), self.folder.run_folder(task, system, seed)
                jobs[task.name, system.name, seed] = self._job(task, settings, out)
        records = dict(zip(jobs, self._make(list(jobs.values()), "Comparing"), strict=True))
        for task, system, seed in itertools.product(plan.tasks, plan.systems, plan.seeds):
            untried = {"run": "", "status": "failed", "error": "every learning rate of the grid failed"}
            record = records.get((task.name, system.name, seed), untried)
            runs.setdefault((task.name, system.name), []).append(results.read(seed, record, len(self.facts[task.name].labels)))
        return runs

    def _job(self, task: Task, settings: RunConfig, out: Path) -> Job:
        return Job(settings, out, data=self.facts[task.name].fingerprints.get(settings.data))

    def _make(self, jobs: list[Job], what: str) -> list[Record]:
        with Watch(jobs, what, self.tell):
            return launch(
                jobs, launcher=self.launcher, workers=self.workers, concurrent=self.concurrent, log=self.folder.log
            )  # fmt: skip

    def baselines(self, task: Task) -> dict[str, Any]:
        """The cheap baselines of a task, fitted once; where every seed has texts of its own, once for each."""
        file = self.folder.baselines(task)
        if not self.plan.settings.train.baselines:
            return {}
        seeds = self.plan.seeds if task.size is not None else self.plan.seeds[:1]
        before = study.read(file, study.BASELINES) if file.exists() else {}
        # Another number of seeds is another number of draws.
        if before and (task.size is None or before.get("seeds") == list(seeds)):
            found: dict[str, Any] = before["baselines"]
            return found
        self.tell(f"Cheap baselines of {task.name}")
        head = System("", {"train.method": "head"})
        say = functools.partial(note, self.folder.log)
        answered = [experiment.cheap_baselines(self.plan.run_config(task, head, seed), say=say) for seed in seeds]
        names, classes = answered[0][1], len(self.facts[task.name].labels)
        found = {name: results.baseline(answered[0][0], [answers[name] for _, answers in answered], classes) for name in names}
        base = self.plan.run_config(task, head, seeds[0]).model.name
        self.folder.save(file, {"schema_version": SCHEMA_VERSION, "base": base, "seeds": list(seeds), "baselines": found})
        return found


def _task(plan: Plan, task: Task, facts: _Facts, runs: dict[str, list[results.Run]], baselines: dict[str, Any],
          rates: dict[str, Any] | None) -> dict[str, Any]:  # fmt: skip
    """What is said about one task."""
    results.check_alike(task.name, runs)
    classes = len(facts.labels)
    systems = {}
    for system in plan.systems:
        chosen = rates[system.name]["chosen"] if rates else None
        rate = plan.run_config(task, system, plan.seeds[0], chosen).train.learning_rate
        systems[system.name] = {
            "method": system.method,
            "overrides": system.overrides,
            "learning_rate": None if rates and chosen is None else rate,
            "learning_rate_from": plan.rate_from(task, system),
            **results.system(runs[system.name], classes),
        }
    differences = [
        {"system": system.name, "against": plan.against, **found}
        for system in plan.systems
        if system.name != plan.against
        and (found := results.difference(runs[system.name], runs[plan.against], classes, task.metric, plan.margin))
    ]
    return {
        "task": task.name,
        "metric": task.metric,
        "origin": facts.origin,
        "fingerprint": facts.fingerprint,
        "labels": facts.labels,
        "n_train": facts.examples["train"],
        "n_validation": facts.examples["validation"],
        "n_test": facts.examples["test"],
        "notes": facts.notes,
        "base": facts.base,
        "systems": systems,
        "differences": differences,
        "baselines": baselines,
        "tuning": rates,
        "published": published.beside(facts.data_set, task.metric, facts.examples["test"], facts.base),
    }


def _relative(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Runs named from the study's folder, so that it can be moved."""
    for system in task["systems"].values():
        for run in system["runs"]:
            run["run"] = Path(run["run"]).relative_to(folder).as_posix() if run["run"] else None
    return task


def _environment(records: list[Record]) -> dict[str, Any]:
    """What the runs were made with; every value that occurs, because several machines may have had a hand in it."""
    done = [record for record in records if record["status"] == "done"]

    def different(key: str) -> list[Any]:
        found: list[Any] = []
        for record in done:
            if record.get(key) not in found:
                found.append(record.get(key))
        return found

    return {key: different(key) for key in ("versions", "hardware", "device", "precision", "engine", "attention", "git", "base")}
