"""One run, from configuration to record; and an evaluation of what it left."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorabert import hardware, runs
from lorabert.config import RunConfig, from_dict
from lorabert.data import batching, encoding, sources
from lorabert.data.batching import BatchPlan
from lorabert.data.encoding import Encoded
from lorabert.data.sources import SPLITS, Splits
from lorabert.data.splitting import sample
from lorabert.engine.prediction import Classifier, features, predict
from lorabert.errors import InputError, MismatchError, Unsupported
from lorabert.evidence import baselines, metrics, statistics
from lorabert.files import disk_errors
from lorabert.hardware import Placement
from lorabert.models import bases, methods
from lorabert.models.bases import Base, LoadedBase
from lorabert.models.methods import Trainable
from lorabert.runs import Fit, RunFolder
from lorabert.shipping import adapters, loading, manifests, store
from lorabert.studies import reporting, tracking

Say = Callable[[str], None]
Watch = Callable[[dict[str, Any]], None]
# The frozen base reads at most this many training texts for its linear baseline, so that it stays cheap.
_FROZEN_BASE_TEXTS = 4_000


@dataclass
class Prepared:
    """All that a run needs, checked before anything is written; `parameters` are the base's, by its own names."""

    settings: RunConfig
    placement: Placement
    splits: Splits
    base: Base
    loaded: LoadedBase
    parameters: dict[str, Any]
    tokenizer: Any
    encoded: Encoded
    model: Any
    trainable: Trainable
    seconds: dict[str, float]


class Stopped(InputError):
    """Whoever watches a run has seen enough of it; raised by a watch, it ends that run and no other."""


def train(
    settings: RunConfig, *, out: Path | None = None, resume: bool = False, say: Say = print, watch: Watch | None = None
) -> dict[str, Any]:
    """Make one run and return its record, with `run` and `adapter`, the folders.

    Everything that can be wrong with the input is found before the run folder is made. A run that was killed goes on from
    its newest complete checkpoint with `resume`, and ends with the adapter it would have ended with.

    Args:
        settings: the resolved configuration.
        out: the run folder; by default a new one below runs/.
        resume: go on with the run of the same configuration, if there is one.
        say: called with each line for people.
        watch: called with each event of metrics.jsonl as it happens; it may raise `Stopped`.

    Raises:
        InputError: the data, the base, the configuration or the disk cannot be used.
    """
    begun = begin(settings, out=out, resume=resume, say=say, watch=watch)
    if isinstance(begun, dict):
        return begun
    with begun.told_how_it_ended():
        fit, engine, reason = _fit(begun, resume=resume, say=say)
        return begun.finish(fit, engine, reason)


def begin(
    settings: RunConfig, *, out: Path | None, resume: bool, say: Say, frozen: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
) -> Begun | dict[str, Any]:  # fmt: skip
    """Prepare a run and make its folder; one that is done already gives its record instead.

    Args:
        settings: the resolved configuration.
        out: the run folder; by default a new one below runs/.
        resume: go on with the run of the same configuration, if there is one.
        say: called with each line for people.
        frozen: tensors of the same base that another run holds, to be shared.
        watch: called with each event of metrics.jsonl as it happens.

    Raises:
        InputError: the data, the base, the configuration or the disk cannot be used.
    """
    tracking.check(settings.train.report_to)
    prepared = _prepare(settings, say, frozen)
    name = f"{Path(prepared.splits.origin).stem}-{settings.train.method}"
    run = runs.start(settings, out, resume=resume, name=name)
    if run.record["status"] == "done":
        adapters.verify(run.adapter)
        say(f"This run is done already: {run.path}")
        return _outcome(run)
    say(f"Run folder: {run.path}")
    begun = Begun(prepared, run, watch)
    with begun.told_how_it_ended():
        begun.track()
        begun.baselines()
    return begun


class Begun:
    """A run between its preparation and its record's last word: baselines, training, answers, evidence, adapter.

    Attributes:
        ready: all that it needs.
        run: its folder; each part is in the record before the next begins.
    """

    def __init__(self, ready: Prepared, run: RunFolder, watch: Watch | None = None) -> None:
        self.ready, self.run, self.watch = ready, run, watch
        self.tracker: tracking.Tracker | None = None
        self.clock = _Clock(ready.seconds)

    def track(self) -> None:
        """Begin to show the training where the configuration asks for it."""
        if self.ready.settings.train.report_to != "none":
            self.tracker = tracking.Tracker(self.ready.settings.train.report_to, self.run)

    def baselines(self) -> None:
        """Note what is known before training, with the cheap baselines."""
        self.run.update(status="running", **_facts(self.ready))
        self.run.update(baselines=_cheap_baselines(self.ready) if self.ready.settings.train.baselines else {})
        self.clock.lap("baselines")

    def log(self, event: dict[str, Any]) -> None:
        """Keep an event of the training, and show it to whoever watches."""
        self.run.log(event)
        if self.tracker:
            self.tracker.log(event)
        if self.watch:
            self.watch(event)

    def plan(self) -> BatchPlan:
        """The batches of every epoch."""
        settings = self.ready.settings.train
        return batching.plan(
            self.ready.encoded.train.lengths,
            batch_size=settings.per_device_train_batch_size,
            num_epochs=settings.num_train_epochs,
            seed=settings.seed,
            group_by_length=settings.train_sampling_strategy == "group_by_length",
        )

    def finish(self, fit: Fit, engine: str, reason: str) -> dict[str, Any]:
        """Answer the validation and the test split, measure, save the adapter, and return the record."""
        ready, run, clock = self.ready, self.run, self.clock
        if self.tracker:
            self.tracker.finish()
        run.update(fit=dataclasses.asdict(fit), engine=engine, engine_reason=reason, attention=fit.attention)
        clock.lap("train")
        answers = _answers(ready)
        labels = {name: getattr(ready.splits, name).labels for name in answers}
        run.save_predictions({name: (labels[name], logits) for name, logits in answers.items()})
        clock.lap("predict")
        scores = {name: score(labels[name], logits.argmax(1), ready.splits.label_names) for name, logits in answers.items()}
        run.update(validation_metrics=scores["validation"]["metrics"], **scores["test"], seconds=clock.seconds)
        classifier = Classifier(ready.model, ready.tokenizer, ready.splits.label_names, ready.settings.model.max_length)
        adapters.save(run.adapter, classifier, ready.base, ready.loaded, _manifest_facts(run), reporting.model_card(run.record))
        run.update(status="done", finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        run.clear_checkpoints()
        return _outcome(run)

    def job(self, *, resume: bool, name: str = "") -> Any:
        """What the fast engine is asked for."""
        from lorabert.engine import training

        ready, run = self.ready, self.run
        return training.Job(
            ready.model, ready.encoded.train, ready.encoded.validation, self.plan(), ready.settings.train, ready.placement,
            checkpoints=run.checkpoints, resume=resume, log=self.log, name=name,
        )  # fmt: skip

    @contextmanager
    def told_how_it_ended(self) -> Iterator[None]:
        """Note in the record that the run was interrupted or failed; a kill leaves `running`, which --resume takes too."""
        try:
            with disk_errors(self.run.path):
                yield
        except BaseException as error:
            self.note(error)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(self.run.path) from None
            raise

    def note(self, error: BaseException) -> None:
        """Note in the record how the run ended."""
        if self.tracker:
            self.tracker.finish()
        ends = {KeyboardInterrupt: "interrupted", Stopped: "stopped"}
        with suppress(OSError):
            self.run.update(status=next((end for kind, end in ends.items() if isinstance(error, kind)), "failed"))


def cheap_baselines(settings: RunConfig, *, say: Say = print) -> dict[str, Any]:
    """What the test split of a configuration can be predicted with for next to nothing; nothing is trained or written."""
    return _cheap_baselines(_prepare(settings, say, None))


def _prepare(settings: RunConfig, say: Say, frozen: Mapping[str, Any] | None) -> Prepared:
    from transformers import set_seed

    clock = _Clock()
    placement = hardware.place(settings.train)
    say(f"Using device: {placement.device} ({placement.precision}: {placement.reason})")
    splits = sources.load(settings.data)
    say(reporting.data_line(splits))
    clock.lap("data")
    base = bases.find(settings.model)
    set_seed(settings.train.seed)
    loaded = bases.load(base, splits.label_names)
    bases.share(loaded, frozen or {})
    parameters = dict(loaded.model.named_parameters())
    tokenizer = bases.load_tokenizer(base.folder)
    bases.check_fit(tokenizer, loaded.model, settings.model.max_length)
    model = methods.apply(loaded, settings.train.method, settings.lora)
    trainable = methods.trainable(model, loaded)
    clock.lap("model")
    say(reporting.new_tensors_line(loaded.new_tensors, settings.train.method))
    say(str(trainable))
    encoded = encoding.encode(splits, tokenizer, settings.model.max_length)
    say(reporting.truncation_line(encoded, settings.model.max_length))
    clock.lap("tokenise")
    return Prepared(settings, placement, splits, base, loaded, parameters, tokenizer, encoded, model, trainable, clock.seconds)


def _fit(begun: Begun, *, resume: bool, say: Say) -> tuple[Fit, str, str]:
    """Train with the engine asked for; `auto` takes the fast one, or the reference where the fast one does not know the way.

    Returns:
        What it cost, the engine's name, and why that engine.
    """
    from lorabert.engine import reference, training

    ready, run, plan = begun.ready, begun.run, begun.plan()
    settings, split = ready.settings.train, ready.encoded.train
    with_all: dict[str, Any] = {
        "pad_id": ready.tokenizer.pad_token_id, "checkpoints": run.checkpoints, "resume": resume, "log": begun.log,
    }  # fmt: skip
    reason = "asked for"
    if settings.engine != "reference":
        try:
            fit = training.fit(ready.model, split, ready.encoded.validation, plan, settings, ready.placement, **with_all)
            return fit, "fast", reason if settings.engine == "fast" else "it knows this architecture and method"
        except Unsupported as unknown:
            if settings.engine == "fast":
                raise
            reason = unknown.why
            say(f"Engine: reference (Hugging Face Trainer + PEFT). {reason}.")
    fit = reference.fit(ready.model, split, ready.encoded.validation, plan, settings, ready.placement, **with_all)
    return fit, "reference", reason


def _answers(ready: Prepared) -> dict[str, np.ndarray]:
    """Logits of the validation and the test split, in fp32 whatever the precision of training."""
    exact = dataclasses.replace(ready.placement, precision="fp32")
    batch_size = ready.settings.train.per_device_eval_batch_size
    return {
        name: predict(ready.model, getattr(ready.encoded, name), pad_id=ready.tokenizer.pad_token_id, batch_size=batch_size,
                      placement=exact, desc=f"Predicting {name}")
        for name in ("validation", "test")
    }  # fmt: skip


def _facts(ready: Prepared) -> dict[str, Any]:
    """What is known of a run before it trains."""
    base, splits = ready.base, ready.splits
    return {
        "base": {"name": base.name, "revision": base.revision, "sha256": base.sha256,
                 "model_type": ready.model.config.model_type, "new_tensors": ready.loaded.new_tensors},
        "data": {
            "origin": splits.origin, "fingerprint": splits.fingerprint(), "labels": splits.label_names,
            "examples": {name: len(getattr(splits, name)) for name in SPLITS}, "notes": list(splits.notes),
            "columns": dataclasses.asdict(splits.columns),
            "truncated": {name: getattr(ready.encoded, name).truncated for name in SPLITS},
        },
        "method": ready.settings.train.method,
        "seed": ready.settings.train.seed,
        "device": ready.placement.device,
        "precision": ready.placement.precision,
        "precision_reason": ready.placement.reason,
        "trainable": dataclasses.asdict(ready.trainable),
        "versions": hardware.package_versions(),
        "hardware": hardware.describe(),
    }  # fmt: skip


def _manifest_facts(run: RunFolder) -> dict[str, Any]:
    """What an adapter repeats of its run's record, to be enough by itself."""
    record = run.record
    return {
        "method": record["method"],
        "seed": record["seed"],
        "config": record["config"],
        "data": record["data"],
        "metrics": record["metrics"],
    }


def score(labels: np.ndarray, predicted: np.ndarray, label_names: list[str]) -> dict[str, Any]:
    """Metrics with intervals, the per-class table and the confusion matrix of one set of predictions."""
    confusion = metrics.confusion_matrix(labels, predicted, len(label_names))
    estimates = statistics.estimates(labels, predicted, len(label_names))
    return {
        "metrics": {name: estimate.to_dict() for name, estimate in estimates.items()},
        "per_class": [dataclasses.asdict(row) for row in metrics.per_class(confusion, label_names)],
        "confusion": confusion.tolist(),
    }


def _cheap_baselines(ready: Prepared) -> dict[str, Any]:
    """What the test split can be predicted with for next to nothing; the frozen base is the model before training."""
    splits, names = ready.splits, ready.splits.label_names
    some = np.array(sample(len(splits.train), _FROZEN_BASE_TEXTS, seed=0))
    batch = ready.settings.train.per_device_eval_batch_size
    read = {
        name: features(ready.model.get_base_model(), split, pad_id=ready.tokenizer.pad_token_id, batch_size=batch,
                       placement=ready.placement)
        for name, split in (("train", ready.encoded.train.rows(some)), ("test", ready.encoded.test))
    }  # fmt: skip
    predicted = {
        "majority class": baselines.majority(splits.train.labels, len(splits.test)),
        "TF-IDF + logistic regression": baselines.tfidf_linear(splits.train.joined(), splits.train.labels, splits.test.joined()),
        "frozen base + linear head": baselines.frozen_linear(read["train"], splits.train.labels[some], read["test"]),
    }
    return {name: score(splits.test.labels, answers, names)["metrics"] for name, answers in predicted.items()}


class Interrupted(KeyboardInterrupt):
    """A run was stopped by the user; its folder holds what was saved."""

    def __init__(self, path: Path) -> None:
        saved = sorted(path.glob("checkpoints/checkpoint-*/complete"))
        kept = f"{len(saved)} checkpoint{'s' if len(saved) != 1 else ''} saved" if saved else "no checkpoint yet"
        super().__init__(f"Interrupted: {path} keeps what was saved ({kept}). The same command with --resume goes on from there.")


class _Clock:
    """Seconds by phase."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self.started = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Book the time since the last lap on a phase."""
        now = time.perf_counter()
        self.seconds[phase] = round(now - self.started, 3)
        self.started = now


def _outcome(run: RunFolder) -> dict[str, Any]:
    return {"run": str(run.path), "adapter": str(run.adapter), **run.record}


def adapter_of(target: Path | None) -> Path:
    """The adapter that a run folder, an adapter folder, a name in the default store or nothing (the newest run) stands for.

    A folder wins over a name.

    Raises:
        InputError: the run is not finished, or there is none of these.
        MismatchError: the store's adapter is not what was added.
    """
    if target is None:
        return runs.newest().adapter
    if (target / "run.json").exists():
        run = RunFolder.open(target)
        if run.record.get("status") != "done":
            raise InputError(f"The run {target} is not finished", got=f"status {run.record.get('status')}",
                             fix="Go on with the same command and --resume")  # fmt: skip
        return run.adapter
    return target if target.exists() or not store.is_reference(str(target)) else _stored(str(target))


def _stored(reference: str) -> Path:
    """An adapter's folder in the default store."""
    kept = store.Store(store.default_root())
    if not kept.exists():
        raise InputError(f"There is no folder '{reference}', and no store '{kept.root}' that could have it by that name",
                         expected="a run folder, an adapter folder, or a name in a store",
                         fix="LORABERT_STORE names another store")  # fmt: skip
    try:
        return kept.folder(kept.resolve(reference))
    except MismatchError:
        raise
    except InputError as error:
        raise InputError(f"There is no folder '{reference}', and t{error.wrong[1:]}", got=error.got,
                         expected=error.expected, fix=error.fix) from None  # fmt: skip


def evaluate(target: Path | None, *, data_file: Path | None = None, split: str = "test", base_name: str | None = None,
             say: Say = print) -> dict[str, Any]:  # fmt: skip
    """Verify an adapter or an export and evaluate it on a split of its own data, or on a file.

    Args:
        target: run, adapter or export folder; the newest finished run when None.
        data_file: labelled texts to evaluate on instead of the recorded data.
        split: train, validation or test of the recorded data.
        base_name: where the base lies, when not where the manifest says.
        say: called with each line for people.

    Raises:
        InputError: nothing to evaluate, data that cannot be used, or data other than those recorded.
        MismatchError: the adapter or its base is not what was recorded.
    """
    folder = adapter_of(target)
    classifier, manifest = loading.load(folder, base_name)
    kind = manifests.kind_of(manifest)
    difference = manifest["fingerprint"]["largest_difference"]
    what = "the base, " if kind == manifests.ADAPTER else ""
    say(f"Verified: {folder} ({len(manifest['files'])} files, {what}and the answers to fixed texts, "
        f"{'bit for bit' if difference == 0 else f'within {difference:.1g}'})")  # fmt: skip
    settings = from_dict(manifest["config"])
    if data_file:
        columns = {key: manifest["data"]["columns"][key] for key in ("text", "text_pair", "label")}
        wanted = dataclasses.replace(settings.data, group=None, **columns)
        part, origin = sources.labelled(data_file, wanted, manifest["labels"]), str(data_file)
    else:
        part = getattr(sources.recorded(settings.data, manifest["data"]["fingerprint"]), split)
        origin = f"{manifest['data']['origin']} ({split})"
    placement = hardware.place(dataclasses.replace(settings.train, device=classifier.device, precision="fp32"))
    say(f"Using device: {placement.device}")
    batch_size = settings.train.per_device_eval_batch_size
    logits = classifier.logits_of(classifier.encode(part), batch_size=batch_size, placement=placement)
    return {
        "adapter": str(folder),
        "kind": kind,
        "data": origin,
        "labels": manifest["labels"],
        "n": len(part),
        "fingerprint_difference": difference,
        **score(part.labels, logits.argmax(1), manifest["labels"]),
    }
