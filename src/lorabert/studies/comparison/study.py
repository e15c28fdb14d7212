"""A comparison's folder: what it was planned as, and where everything lies.

STUDY/
    study.json            the plan, the fingerprint of each task's data, and a hash of each system's base
    tuning/TASK/SYSTEM/rate-R/    run folders of the learning rates that were tried
    runs/TASK/SYSTEM/seed-S/      run folders of the comparison
    baselines/TASK.json   what the task's test split can be predicted with for next to nothing
    log.txt               what the runs said
    comparison.json       what came of it
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert import locks, runs
from lorabert.errors import InputError
from lorabert.files import STUDY_GOES_ON, disk_errors, write_atomically
from lorabert.folders import clear_partial
from lorabert.kinds import Check, anything, named, number, optional, record, rows, text, whole
from lorabert.received import record_of, refuse_link, refuse_links_on_the_way
from lorabert.runs import RUNS
from lorabert.studies.comparison.plan import Plan, System, Task, slug

SCHEMA_VERSION = 1
# What is written to in its place; the other files are moved into theirs.
_PARTS = ("log.txt", "baselines")


@dataclass(frozen=True)
class Study:
    """The folder of one comparison."""

    path: Path

    @property
    def comparison(self) -> Path:
        """Where the result lies."""
        return self.path / "comparison.json"

    @property
    def log(self) -> Path:
        """Where the runs' own lines lie."""
        return self.path / "log.txt"

    def run_folder(self, task: Task, system: System, seed: int) -> Path:
        """The run folder of one seed of a system on a task."""
        return self._own(self.path / "runs" / slug(task.name) / slug(system.name) / f"seed-{seed}")

    def trial_folder(self, task: Task, system: System, rate: float) -> Path:
        """The run folder of one learning rate that was tried."""
        return self._own(self.path / "tuning" / slug(task.name) / slug(system.name) / f"rate-{rate:g}")

    def _own(self, folder: Path) -> Path:
        refuse_links_on_the_way(folder, self.path, "a comparison")
        return folder

    def baselines(self, task: Task) -> Path:
        """Where the cheap baselines of a task lie."""
        return self.path / "baselines" / f"{slug(task.name)}.json"

    def save(self, path: Path, document: dict[str, Any]) -> None:
        """Write a JSON document that is whole or absent."""
        if not self.path.is_dir():
            raise InputError(f"{self.path} was removed while the comparison was made", got="there is no such folder any more",
                             fix="The runs in it are lost with it. The same command starts the comparison again")  # fmt: skip
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        with disk_errors(self.path, STUDY_GOES_ON):
            write_atomically(path, (text + "\n").encode())


def default_path(plan: Plan) -> Path:
    """The folder of a plan that names none: the same for a plan that only grows."""
    shared = {"settings": plan.settings.to_dict(), "rate": plan.rate, "tuned": bool(plan.rates)}
    return RUNS / f"compare-{hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:8]}"


def begin(path: Path, plan: Plan, fingerprints: dict[str, str], bases: dict[str, dict[str, str]] | None = None) -> Study:
    """Start a study in a new folder, go on with the one that lies there, or let it grow.

    A plan may add systems, tasks and seeds to the one before it, and may change what is only said of the runs (`against`,
    `margin`, a task's metric). Anything else would mix runs that do not belong together, or leave out some that were made.

    Args:
        path: the folder.
        plan: what is asked now.
        fingerprints: of each task's data, by the task's name.
        bases: a hash of each system's base by the task's and the system's names.

    Raises:
        InputError: the folder holds something else, or a study that this plan does not continue; every difference is named.
    """
    study, file = Study(path), path / "study.json"
    # What another command is writing at this moment is hidden, and no reason to refuse the folder.
    if not file.exists() and path.exists() and (not path.is_dir() or any(entry.name[0] != "." for entry in path.iterdir())):
        raise InputError(f"{path} already holds something that is no comparison", fix="Name another --out")
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "plan": plan.to_dict(),
        "data": fingerprints,
        "bases": bases or {},
    }
    for part in _PARTS:
        refuse_link(path / part, "a comparison")
    with disk_errors(path, STUDY_GOES_ON):
        # Of two commands that begin at once, the second finds the first one's plan.
        held = locks.take(path, "begins the comparison in", wait=locks.FOREVER)
        try:
            if os.path.lexists(file):
                _refuse_another(path, read(file, PLANNED), document)
            clear_partial(path)
            study.save(file, document)
        finally:
            held.release()
    return study


def _refuse_another(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    problems = _differences(before["plan"], now["plan"]) + _changed(before, now)
    if problems:
        raise InputError(
            f"{path} holds another comparison",
            got="; ".join(problems),
            expected="the same plan, or one that only adds methods, tasks or seeds",
            fix="Give the same options as before, or name another --out",
        )


def read(file: Path, kind: Check) -> dict[str, Any]:
    """A JSON document of a study, of a kind: `PLANNED` or `BASELINES`.

    Raises:
        InputError: it cannot be read, is of a later version, or is not what lorabert writes.
    """
    document = record_of(file)
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{file} is of another version", got=f"schema_version {str(version)[:40]}", expected=str(SCHEMA_VERSION))
    if problem := next(kind(document, ""), None):
        again = "Remove it, and the same command makes it again"
        raise InputError(f"{file} is damaged", got=problem, fix=again if kind is BASELINES else "Name another --out")
    return document


_TEXT, _MOST = text(1 << 20), 100_000
_OVERRIDES = named(text(200, r"\w+\.\w+", "an option such as train.seed"), anything, _MOST)
_RATES = named(_TEXT, rows(number, 1, _MOST), _MOST)
_NAMED = record({"name": _TEXT, "overrides": _OVERRIDES})
PLANNED = record(
    {
        "plan": record(
            {
                "settings": named(_TEXT, named(_TEXT, anything, _MOST), _MOST),
                "learning_rate": optional(number),
                "systems": rows(_NAMED, 1, _MOST),
                "tasks": rows(_NAMED, 1, _MOST),
                "seeds": rows(whole(-(1 << 63), 1 << 64), 1, _MOST),
                "tuning": optional(
                    record({"rates": named(_TEXT, rows(number, 1, _MOST), _MOST)}, {"more_rates": whole(0, _MOST)})
                ),
            }
        ),
        "data": named(_TEXT, _TEXT, _MOST),
    },
    {"bases": named(_TEXT, named(_TEXT, _TEXT, _MOST), _MOST)},
)
_ESTIMATE = record({"value": number, "low": number, "high": number, "n": whole(0, 1 << 60)})
_SCORES = record(dict.fromkeys(("accuracy", "f1_macro", "mcc"), _ESTIMATE))
BASELINES = record({"baselines": named(_TEXT, _SCORES, 1000)}, {"seeds": rows(whole(0, 1 << 32), 0, _MOST)})


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    problems = runs.differing(before["settings"], now["settings"])
    if before["learning_rate"] != now["learning_rate"]:
        problems.append(
            f"the learning rate was {before['learning_rate'] or 'the default'} and is {now['learning_rate'] or 'the default'}"
        )
    for kind in ("systems", "tasks"):
        known = {item["name"]: item["overrides"] for item in now[kind]}
        for item in before[kind]:
            if item["name"] not in known:
                problems.append(f"{kind[:-1]} '{item['name']}' is missing")
            elif _but_places(known[item["name"]]) != _but_places(item["overrides"]):
                problems.append(f"{kind[:-1]} '{item['name']}' had {item['overrides']} and has {known[item['name']]}")
    missing = sorted(set(before["seeds"]) - set(now["seeds"]))
    problems += [f"seed{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))} missing"] if missing else []
    return problems + _tuned_otherwise(before["tuning"], now["tuning"])


def _tuned_otherwise(before: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    if bool(before) != bool(now):
        return ["learning rates were tuned and now are not" if before else "learning rates were not tuned and now are"]
    if not before or not now:
        return []
    more = [tuning.get("more_rates", 0) for tuning in (before, now)]
    grown = [f"up to {more[0]} rates beyond the grid were tried and now up to {more[1]}"] if more[0] != more[1] else []
    return grown + [
        f"the rates tried for {method} were {rates} and are {now['rates'][method]}"
        for method, rates in before["rates"].items()
        if method in now["rates"] and now["rates"][method] != rates
    ]


def _but_places(overrides: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if not runs.is_place(*key.split(".", 1))}


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is no longer the same by its content: the data of a task, the base of a system."""
    problems = [
        f"the data of '{name}' have changed (fingerprint {was[:12]} was, {now['data'][name][:12]} is)"
        for name, was in before["data"].items()
        if now["data"].get(name, was) != was
    ]
    for task, systems in before.get("bases", {}).items():
        changed = [name for name, was in systems.items() if now["bases"].get(task, {}).get(name, was) != was]
        if changed:
            problems.append(f"the base of {', '.join(changed)} on '{task}' has changed: its weights, configuration or tokenizer")
    return problems
