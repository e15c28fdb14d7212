"""What a run needs, checked before anything is written."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lorabert import hardware, processes
from lorabert.config import RunConfig, TrainConfig, decided
from lorabert.data import batching, encoding, leaks, reading, sources
from lorabert.data.batching import BatchPlan
from lorabert.data.encoding import Encoded
from lorabert.data.leaks import Shared
from lorabert.data.sources import SPLITS, Splits
from lorabert.data.splitting import sample
from lorabert.engine.prediction import Classifier
from lorabert.engine.rehearsal import rehearse
from lorabert.engine.states import States
from lorabert.errors import InputError, Unsupported
from lorabert.hardware import Placement
from lorabert.models import bases, heads, methods
from lorabert.models.bases import Base, LoadedBase
from lorabert.models.methods import Trainable
from lorabert.naming import paragraph
from lorabert.runs import Fit, Log
from lorabert.studies import reporting
from lorabert.studies.experiment import origins
from lorabert.studies.experiment.foreseeing import Foreseen, foresee, told
from lorabert.studies.experiment.recipe import Facts, Recipe, decide
from lorabert.studies.experiment.shortening import shorter

Say = Callable[[str], None]
_TEXTS_LOOKED_AT = 500

# A recipe learns how long texts are from so many of them.
_MEASURED_TEXTS = 1_000


@dataclass
class Prepared:
    """All that a run needs, checked before anything is written.

    Attributes:
        asked: the configuration as it was given.
        recipe: what its open options became.
        parameters: the base's, by its own names.
        shared: what stands in several splits.
        unknown_share: the share of each split's tokens that the base's vocabulary does not know.
        max_length: longest text in tokens.
        foreseen: what a few steps showed of the time that it will take, where that was asked for.
        shorter: what would make it shorter, where it is long.
        frozen: the rows of some training texts, and what the base gave for them before training.
    """

    asked: RunConfig
    recipe: Recipe
    placement: Placement
    splits: Splits
    shared: list[Shared]
    base: Base
    loaded: LoadedBase
    parameters: dict[str, Any]
    tokenizer: Any
    encoded: Encoded
    unknown_share: dict[str, float]
    model: Any
    trainable: Trainable
    max_length: int
    seconds: dict[str, float]
    foreseen: Foreseen | None = None
    shorter: list[str] = field(default_factory=list)
    frozen: tuple[np.ndarray, States] | None = None

    @property
    def settings(self) -> RunConfig:
        """The configuration with nothing open."""
        return self.recipe.settings

    def classifier(self) -> Classifier:
        """The model as it is now, as what takes texts."""
        return Classifier(self.model, self.tokenizer, self.splits.label_names, self.max_length)

    def plan(self) -> BatchPlan:
        """The batches of every epoch; the rows of each are those of all processes together."""
        settings = self.settings.train
        return batching.plan(
            self.encoded.train.lengths,
            batch_size=settings.per_device_train_batch_size * processes.count(),
            num_epochs=decided(settings.num_train_epochs),
            seed=settings.seed,
            group_by_length=settings.train_sampling_strategy == "group_by_length",
        )

    def fit(self, engine: Any, *, checkpoints: Path, resume: bool, log: Log) -> Fit:
        """Train the model with an engine: `engine.training` or `engine.reference`."""
        return engine.fit(
            self.model, self.encoded.train, self.encoded.validation, self.plan(), self.settings.train, self.placement,
            pad_id=self.tokenizer.pad_token_id, checkpoints=checkpoints, resume=resume, log=log,
        )  # fmt: skip


def prepare(
    asked: RunConfig, say: Say, frozen: Mapping[str, Any] | None, *, measure: bool = False, tell: bool = True
) -> Prepared:
    """Read the data, load the base, apply the method and encode the texts.

    Args:
        asked: the checked configuration; what is open in it is the recipe's to decide.
        say: called with each line for people.
        frozen: tensors of the same base that another run holds, to be shared.
        measure: take a few steps, to foresee when the run will end, before anything takes long.
        tell: say so at once; not where part of the run may be done already.

    Raises:
        InputError: the data, the base or the configuration cannot be used.
    """
    from transformers import set_seed

    clock = Clock()
    placement = hardware.place(asked.train)
    say(f"Using device: {placement.device} ({placement.precision}: {placement.reason})")
    splits = sources.load(asked.data)
    say(reporting.data_line(splits))
    shared = leaks.shared([(name, getattr(splits, name).together()) for name in SPLITS])
    for line in reporting.leak_lines(shared):
        say(line)
    clock.lap("data")
    base = bases.find(asked.model)
    set_seed(asked.train.seed)
    loaded = bases.load(base, splits.label_names)
    bases.share(loaded, frozen or {})
    parameters = dict(loaded.model.named_parameters())
    tokenizer = bases.load_tokenizer(base.folder)
    recipe = _recipe(asked, splits, loaded, tokenizer)
    settings, max_length = recipe.settings, decided(recipe.settings.model.max_length)
    say(str(recipe))
    bases.check_fit(tokenizer, loaded.model, max_length, pairs=splits.train.pairs is not None)
    model = methods.apply(loaded, settings.train.method, settings.lora)
    trainable = methods.trainable(model, loaded)
    _check_processes(model, settings.train, placement, say)
    clock.lap("model")
    say(reporting.new_tensors_line(loaded.new_tensors, settings.train.method))
    for line in reporting.leftovers_lines(loaded):
        say(line)
    say(str(trainable))
    foreseen, unforeseen = None, ""
    try:
        foreseen = foresee(model, tokenizer, splits, settings, placement) if measure else None
    except Exception as error:  # of a base that cannot be computed with the rehearsal says what it is
        unforeseen = f"No estimate of the time: the steps that it is measured on failed ({type(error).__name__}: {error})"
    options = shorter(foreseen, settings, placement, model, len(splits.train)) if foreseen else []
    if foreseen and tell:
        say(told(foreseen.seconds, options))
    clock.lap("foresee")
    encoded = encoding.encode(splits, tokenizer, max_length)
    say(reporting.truncation_line(encoded, max_length))
    unknown_share = _unknown_share(encoded, splits, tokenizer, say)
    clock.lap("tokenise")
    classifier = Classifier(model, tokenizer, splits.label_names, max_length)
    rehearse(classifier, encoded.train, base.name, placement.precision)
    if unforeseen:
        say(paragraph(unforeseen))
    clock.lap("rehearse")
    return Prepared(asked, recipe, placement, splits, shared, base, loaded, parameters, tokenizer, encoded, unknown_share, model,
                    trainable, max_length, clock.seconds, foreseen, options)  # fmt: skip


def _unknown_share(encoded: Encoded, splits: Splits, tokenizer: Any, say: Say) -> dict[str, float]:
    """The share of each split's tokens that the vocabulary does not know, and what is to be said of it."""
    vocabulary = reading.Vocabulary(tokenizer)
    shares = {name: vocabulary.share(getattr(encoded, name)) for name in SPLITS}
    say(reporting.reading_line(shares))
    some = splits.train.rows(list(range(min(len(splits.train), _TEXTS_LOOKED_AT))))
    texts = [text for both in some.together() for text in both]
    tokens_per_character = len(encoding.encode_whole(some, tokenizer).ids) / max(1, sum(map(len, texts)))
    if warning := reading.sentence(shares, tokens_per_character, vocabulary, texts):
        say(f"Warning: {warning}. Name another with --model.name")
    return shares


def _recipe(asked: RunConfig, splits: Splits, loaded: LoadedBase, tokenizer: Any) -> Recipe:
    """What the options that are open become, from the training split and the base."""
    longest = bases.longest_input(loaded.model)
    some = splits.train.rows(sample(len(splits.train), _MEASURED_TEXTS, seed=0))
    whole = encoding.encode_split(some, tokenizer, min(longest or 512, 512) + 1, quiet=True)
    facts = Facts(len(splits.train), len(splits.label_names), whole.lengths.tolist(), longest,
                  probe=heads.can_start_from_probe(loaded.model, loaded.new_tensors))  # fmt: skip
    return decide(asked, facts)


def _check_processes(model: Any, settings: TrainConfig, placement: Placement, say: Say) -> None:
    """Say what several processes do, and refuse those that the reference engine would have to train.

    Raises:
        InputError: the reference engine was asked for, or nothing else is proven on this device or knows this model.
    """
    from lorabert.engine import packed, training

    if processes.count() == 1:
        return
    if settings.folds:
        raise InputError("Folds are trained by one process", got=f"--folds {settings.folds} in {processes.count()} processes",
                         fix="Start it as one process, or leave --folds out")  # fmt: skip
    try:
        if settings.engine == "reference":
            raise Unsupported("The reference engine was asked for")
        if settings.engine == "auto":
            training.refuse_unproven(placement)
        packed.adapter_in(model)
    except Unsupported as unknown:
        raise InputError("Only the fast engine trains in several processes", got=unknown.why,
                         fix="Start it as one process; docs/engine.md tells what the fast engine knows") from None  # fmt: skip
    each = settings.per_device_train_batch_size
    say(f"Processes: {processes.count()}, with {each} examples each in a batch of {each * processes.count()}")


def facts(ready: Prepared) -> dict[str, Any]:
    """What is known of a run before it trains."""
    base, splits = ready.base, ready.splits
    return {
        "base": {**origins.of_base(base), "model_type": ready.model.config.model_type, "new_tensors": ready.loaded.new_tensors,
                 "unused_tensors": ready.loaded.unused_tensors, "unread_settings": ready.loaded.unread_settings},
        "data": {
            "origin": splits.origin, "fingerprint": splits.fingerprint(), "labels": splits.label_names,
            "examples": {name: len(getattr(splits, name)) for name in SPLITS}, "splits": origins.of_splits(splits),
            "notes": list(splits.notes),
            "skipped": splits.skipped,
            "columns": dataclasses.asdict(splits.columns),
            "truncated": {name: getattr(ready.encoded, name).truncated for name in SPLITS},
            "unknown_share": ready.unknown_share,
            "shared_texts": [dataclasses.asdict(found) for found in ready.shared],
        },
        "recipe": ready.recipe.record(),
        "method": ready.settings.train.method,
        "seed": ready.settings.train.seed,
        "device": ready.placement.device,
        "precision": ready.placement.precision,
        "precision_reason": ready.placement.reason,
        "world_size": processes.count(),
        "trainable": dataclasses.asdict(ready.trainable),
        "versions": hardware.package_versions(),
        "hardware": hardware.describe(),
    }  # fmt: skip


class Clock:
    """Seconds by phase."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self.started = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Book the time since the last lap on a phase."""
        now = time.perf_counter()
        self.seconds[phase] = round(now - self.started, 3)
        self.started = now
