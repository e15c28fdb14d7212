"""One run, from configuration to record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from lorabert import processes, runs
from lorabert.config import RunConfig, from_dict
from lorabert.engine.prediction import Classifier
from lorabert.errors import Diverged, InputError, Unsupported
from lorabert.files import disk_errors
from lorabert.locks import Lost
from lorabert.runs import Fit, RunFolder, answers
from lorabert.shipping import adapters
from lorabert.studies import reporting, tracking
from lorabert.studies.experiment import folding, origins, scoring
from lorabert.studies.experiment.calibrating import Calibrated, calibrate
from lorabert.studies.experiment.expecting import Expectation
from lorabert.studies.experiment.folding import OutOfFold
from lorabert.studies.experiment.preparing import Clock, Prepared, Say, facts, prepare
from lorabert.studies.experiment.probing import start_head
from lorabert.studies.experiment.scoring import Cheap, score

Watch = Callable[[dict[str, Any]], None]


class Stopped(InputError):
    """Whoever watches a run has seen enough of it; raised by a watch, it ends that run and no other."""


def train(
    settings: RunConfig, *, out: Path | None = None, resume: bool = False, say: Say = print, watch: Watch | None = None,
    expected: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make one run and return its record, with `run` and `adapter`, the folders.

    Everything that can be wrong with the input is found before the run folder is made. A run that was killed goes on from
    its newest complete checkpoint with `resume`, and ends with the adapter it would have ended with.

    Args:
        settings: the resolved configuration.
        out: the run folder; by default a new one below runs/.
        resume: go on with the run of the same configuration, if there is one.
        say: called with each line for people.
        watch: called with each event of metrics.jsonl as it happens; it may raise `Stopped`.
        expected: fingerprint that the data had when the study that the run belongs to was begun.

    Raises:
        InputError: the data, the base, the configuration or the disk cannot be used, what the run was made from has changed,
            or another process makes it.
    """
    begun = begin(settings, out=out, resume=resume, say=say, watch=watch, expected=expected)
    if isinstance(begun, dict):
        return begun
    with begun.told_how_it_ended():
        with processes.joined(begun.ready.placement.device):
            fit, engine, reason = _fit(begun, resume=resume, say=say)
        return begun.finish(fit, engine, reason)


def follow(settings: RunConfig, *, resume: bool) -> None:
    """Do another process's share of the run that the first one makes with `train`: its rows of every batch, and no more.

    Raises:
        InputError: as `train`; the first process's run folder is not seen from here.
    """
    from lorabert.engine import training

    folder = processes.hear("run")
    if not folder:
        return
    if not Path(folder).is_dir():
        raise InputError("All processes of a run need its folder", got=f"no {folder} where process {processes.rank()} runs",
                         fix="Name with --out a folder that all machines share")  # fmt: skip
    ready = prepare(settings, lambda _: None, None)
    start_head(ready)
    with processes.joined(ready.placement.device):
        ready.fit(training, checkpoints=Path(folder) / "checkpoints", resume=resume, log=lambda _: None)


def begin(
    settings: RunConfig, *, out: Path | None, resume: bool, say: Say, frozen: Mapping[str, Any] | None = None,
    watch: Watch | None = None, expected: str | None = None,
) -> Begun | dict[str, Any]:  # fmt: skip
    """Prepare a run and make its folder; one that is done already gives its record instead.

    Args:
        settings: the resolved configuration.
        out: the run folder; by default a new one below runs/.
        resume: go on with the run of the same configuration, if there is one.
        say: called with each line for people.
        frozen: tensors of the same base that another run holds, to be shared.
        watch: called with each event of metrics.jsonl as it happens.
        expected: fingerprint that the data had when the study that the run belongs to was begun.

    Raises:
        InputError: the data, the base, the configuration or the disk cannot be used, what the run was made from has changed,
            or another process makes it.
    """
    tracking.check(settings.train.report_to)
    run = runs.find(settings, out) if resume else None
    try:
        # Of runs that share a base the first one is measured for all.
        measure = frozen is None and not (run and run.record.get("status") == "done")
        # What the recipe chose when the run began stays chosen: another version might choose otherwise.
        before = run.record.get("recipe") if run else None
        asked = from_dict(settings.with_values(before["chosen"]).to_dict()) if before else settings
        prepared = prepare(asked, say, frozen, measure=measure, tell=not resume)
        known = facts(prepared) | ({"recipe": before} if before else {})
        if expected and known["data"]["fingerprint"] != expected:
            raise origins.Changed(f"The data of '{prepared.splits.origin}' have changed since this study began",
                                  got=f"{known['data']['fingerprint'][:12]}", expected=expected[:12],
                                  fix="Put back what was there, or start a new study with another --out")  # fmt: skip
        run = run or (_moved(settings, known) if resume and out is None else None)
        if run:
            origins.refuse_changed(f"the run {run.path}", run.record, known)
            _say_drift(run, known, say)
        else:
            if prepared.settings.train.folds:
                folding.parts(prepared)  # refused before a folder is made for it
            name = f"{Path(prepared.splits.origin).stem}-{settings.train.method}"
            run = runs.make(prepared.settings, out, resume=resume, name=name, recipe=known["recipe"])
        if run.record["status"] == "done":
            run.check_whole()
            adapters.verify(run.adapter)
            say(f"This run is done already: {run.path}")
            processes.tell("run", "")
            return _outcome(run)
    except BaseException:
        if run:
            run.release()
        raise
    say(f"Run folder: {run.path}")
    processes.tell("run", str(run.path.resolve()))
    begun = Begun(prepared, run, say, watch)
    with begun.told_how_it_ended():
        begun.track()
        begun.expected.note(tell=resume)
        begun.baselines(known)
        begun.folds()
        begun.start()
    return begun


def _moved(settings: RunConfig, known: dict[str, Any]) -> RunFolder | None:
    """The newest unfinished run below runs/ of this configuration on data and a base of the same content, under other names."""
    for run in runs.all_runs():
        alike = not runs.unlike(run.record, settings)
        if alike and run.record.get("status") != "done" and "data" in run.record and not origins.changes(run.record, known):
            run.take()
            return run
    return None


def _say_drift(run: RunFolder, known: dict[str, Any], say: Say) -> None:
    """Say what has changed around a run that goes on, and note it in its record."""
    drift = origins.drift(run.record, known) if run.record["status"] != "done" else []
    if drift:
        say(f"Note: since this run began, {'; '.join(drift)}. It goes on, and may end with other last digits than undisturbed.")
        run.record["drift"] = [*run.record.get("drift", []), *drift]


class Begun:
    """A run between its preparation and its record's last word: baselines, training, answers, evidence, adapter.

    Attributes:
        ready: all that it needs.
        run: its folder; each part is in the record before the next begins.
        say: called with each line for people.
    """

    def __init__(self, ready: Prepared, run: RunFolder, say: Say, watch: Watch | None = None) -> None:
        self.ready, self.run, self.say, self.watch = ready, run, say, watch
        self.expected = Expectation(ready, run, say)
        self.tracker: tracking.Tracker | None = None
        self.clock = Clock(ready.seconds)
        self.cheap = Cheap({}, {})
        self.out_of_fold: OutOfFold | None = None
        self.calibrated: Calibrated | None = None

    def track(self) -> None:
        """Begin to show the training where the configuration asks for it."""
        if self.ready.settings.train.report_to != "none":
            self.tracker = tracking.Tracker(self.ready.settings.train.report_to, self.run)

    def baselines(self, known: dict[str, Any]) -> None:
        """Note what is known before training, with the cheap baselines."""
        if self.run.record["config_sha256"] != self.ready.settings.sha256():
            self.run.configure(self.ready.settings)
        self.run.update(status="running", **known)
        if self.ready.settings.train.baselines:
            self.cheap = scoring.cheap(self.ready)
        self.run.update(**scoring.of_cheap(self.ready, self.cheap))
        self.clock.lap("baselines")
        self.expected.training()

    def folds(self) -> None:
        """Have every training text answered by a classifier that did not learn it, where that was asked for; once a run."""
        ready, run = self.ready, self.run
        k, names = ready.settings.train.folds, ready.splits.label_names
        if not k:
            return
        if run.record.get("folds", {}).get("k") == k:
            self.out_of_fold = OutOfFold(*answers.of_split(run.path, "fold", len(names)))
        if self.out_of_fold is None or not np.array_equal(self.out_of_fold.labels, ready.splits.train.labels):
            self.out_of_fold = folding.out_of_fold(ready, run.checkpoints, self.say)
            run.save_predictions({"fold": (self.out_of_fold.labels, self.out_of_fold.logits)})
            scored = score(self.out_of_fold.labels, self.out_of_fold.logits.argmax(1), names)
            run.update(folds={"k": k, "metrics": scored["metrics"]})
        self.clock.lap("folds")
        self.expected.training()

    def start(self) -> None:
        """Make the head what the recipe has it start as, and note how."""
        if start := start_head(self.ready):
            self.say(str(start))
            self.run.update(start=dataclasses.asdict(start))

    def log(self, event: dict[str, Any]) -> None:
        """Keep an event of the training, and show it to whoever watches."""
        self.run.log(event)
        if self.tracker:
            self.tracker.log(event)
        self.expected.saw(event)
        if self.watch:
            self.watch(event)

    def finish(self, fit: Fit, engine: str, reason: str) -> dict[str, Any]:
        """Save the adapter, load it afresh, have it answer the validation and the test split, and return the record."""
        ready, run = self.ready, self.run
        if self.tracker:
            self.tracker.finish()
        run.update(fit=dataclasses.asdict(fit), engine=engine, engine_reason=reason, attention=fit.attention)
        self.clock.lap("train")
        self.calibrated = calibrate(ready, self.out_of_fold)
        if self.calibrated:
            self.say(str(self.calibrated))
        trained = ready.classifier()
        adapters.save(run.adapter, trained, ready.base, ready.loaded, self._described)
        self.expected.over()
        run.update(status="done", finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        run.clear_checkpoints()
        run.release()
        return _outcome(run)

    def _described(self, shipped: Classifier) -> tuple[dict[str, Any], str]:
        """Note what the shipped adapter answers and what that is worth; what its manifest repeats of the record, and its card."""
        ready, run, clock = self.ready, self.run, self.clock
        found = _answers(ready, shipped)
        if self.out_of_fold:
            found["fold"] = self.out_of_fold.labels, self.out_of_fold.logits
        run.save_predictions(found)
        clock.lap("predict")
        labels, logits = found["test"]
        own = found["validation"] if "validation" in found else found["fold"]
        if self.calibrated:
            run.update(calibration={**dataclasses.asdict(self.calibrated), **self.calibrated.errors(labels, logits)})
        standings = {"standing": scoring.beside(self.cheap.held_out, *own),
                     "test_standing": scoring.beside(self.cheap.test, labels, logits)}  # fmt: skip
        run.update(
            validation_metrics=score(own[0], own[1].argmax(1), ready.splits.label_names)["metrics"],
            **{name: found for name, found in standings.items() if found},
            **score(labels, logits.argmax(1), ready.splits.label_names),
            seconds=clock.seconds,
        )
        return _manifest_facts(run), reporting.model_card(run.record)

    def job(self, *, resume: bool, name: str = "") -> Any:
        """What the fast engine is asked for."""
        from lorabert.engine import training

        ready, run = self.ready, self.run
        return training.Job(
            ready.model, ready.encoded.train, ready.encoded.validation, ready.plan(), ready.settings.train, ready.placement,
            checkpoints=run.checkpoints, resume=resume, log=self.log, name=name,
        )  # fmt: skip

    @contextmanager
    def told_how_it_ended(self) -> Iterator[None]:
        """Note in the record that the run was interrupted or failed; a kill leaves `running`, which --resume takes too."""
        try:
            with disk_errors(self.run.path):
                try:
                    yield
                except FileNotFoundError:
                    self.run.check()
                    raise
        except BaseException as error:
            self.note(error)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(self.run.path, str(error)) from None
            raise

    def note(self, error: BaseException) -> None:
        """Note in the record how the run ended."""
        if self.tracker:
            self.tracker.finish()
        ends = {KeyboardInterrupt: "interrupted", Stopped: "stopped", Diverged: "diverged"}
        with suppress(OSError, Lost):
            self.run.update(status=next((end for kind, end in ends.items() if isinstance(error, kind)), "failed"))
        self.run.release()


def _fit(begun: Begun, *, resume: bool, say: Say) -> tuple[Fit, str, str]:
    """Train with the engine asked for; `auto` takes the fast one, or the reference where the fast one does not know the way.

    Returns:
        What it cost, the engine's name, and why that engine.
    """
    from lorabert.engine import reference, training

    ready, run = begun.ready, begun.run
    asked, reason = ready.settings.train.engine, "asked for"
    if asked != "reference":
        try:
            if asked == "auto":
                training.refuse_unproven(ready.placement)
            fit = ready.fit(training, checkpoints=run.checkpoints, resume=resume, log=begun.log)
            return fit, "fast", reason if asked == "fast" else "it knows this architecture and method"
        except Unsupported as unknown:
            if asked == "fast" or processes.count() > 1:
                raise
            reason = unknown.why
            say(f"Engine: reference (Hugging Face Trainer + PEFT). {reason}.")
    return ready.fit(reference, checkpoints=run.checkpoints, resume=resume, log=begun.log), "reference", reason


def _answers(ready: Prepared, shipped: Classifier) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Labels and logits of the validation split, if there is one, and of the test split; in fp32, whatever training was in."""
    exact = dataclasses.replace(ready.placement, precision="fp32")
    batch_size = ready.settings.train.per_device_eval_batch_size
    splits = {name: getattr(ready.encoded, name) for name in ("validation", "test")}
    return {
        name: (split.labels, shipped.logits_of(split, batch_size=batch_size, placement=exact))
        for name, split in splits.items()
        if len(split)
    }


def _manifest_facts(run: RunFolder) -> dict[str, Any]:
    """What an adapter repeats of its run's record, to be enough by itself."""
    record = run.record
    # Whatever was divided is in the weights already, so logits are to be taken as they are.
    calibrated = {"temperature": 1.0, "calibration": record["calibration"]} if "calibration" in record else {}
    return {
        **calibrated,
        "method": record["method"],
        "seed": record["seed"],
        "config": record["config"],
        "data": record["data"],
        "metrics": record["metrics"],
    }


class Interrupted(KeyboardInterrupt):
    """A run was stopped from outside; its folder holds what was saved."""

    def __init__(self, path: Path, why: str = "") -> None:
        saved = sorted(path.glob("checkpoints/checkpoint-*/complete"))
        kept = f"{len(saved)} checkpoint{'s' if len(saved) != 1 else ''} saved" if saved else "no checkpoint yet"
        super().__init__(
            f"{why or 'Interrupted'}: {path} keeps what was saved ({kept}). The same command with --resume goes on from there."
        )


def _outcome(run: RunFolder) -> dict[str, Any]:
    return {"run": str(run.path), "adapter": str(run.adapter), **run.record}
