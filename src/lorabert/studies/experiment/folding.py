"""Answers to texts that the answering classifier has not seen: a few more trainings, each on all texts but a share.

The texts left out of one training are answered by it, so that in the end every labelled text has an answer by a classifier that
did not learn it (cross-validation: Stone 1974). They say what the adapter that ships, trained on all of them, is worth, and how
sure it may be; on a few hundred texts far better than the tenth of them that a validation split would be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import RunConfig
from lorabert.data import batching, splitting
from lorabert.engine.multilora import SHARES_BASE
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, Unsupported
from lorabert.models import bases, methods
from lorabert.studies.experiment.preparing import Prepared, Say
from lorabert.studies.experiment.probing import start_head


@dataclass(frozen=True)
class OutOfFold:
    """One answer to each training text, in their order, by a classifier that was not trained on it.

    Attributes:
        labels: the true ones, (n,) int64.
        logits: of the answers, (n, C) float32.
    """

    labels: np.ndarray
    logits: np.ndarray


def parts(ready: Prepared) -> list[np.ndarray]:
    """The training texts that each fold leaves out.

    Raises:
        InputError: there are fewer texts than folds, or one that leaves a single class.
    """
    k, splits = ready.settings.train.folds, ready.splits
    # Authors may share a text: whoever learnt it of one has seen it of the other.
    groups = splitting.together(splits.groups, splits.train.together())
    different = len(set(groups))
    if different < k:
        raise InputError(f"{splits.origin} has too few texts for {k} folds", got=f"{different} that may be told apart",
                         expected=f"at least {k}", fix="Name fewer with --folds")  # fmt: skip
    labels = splits.train.labels
    found = splitting.folds(labels.tolist(), groups, k, ready.settings.data.split_seed or 0)
    if any(len(np.unique(np.delete(labels, held))) < 2 for held in found):
        raise InputError(f"{splits.origin} has too few texts for {k} folds", got="a fold that leaves a single class to learn",
                         expected="two classes outside of each fold", fix="Add texts, or train without --folds")  # fmt: skip
    return found


def can_share_base(settings: RunConfig) -> bool:
    """Whether what is trained leaves the base as it is, so that several trainings can be computed on one."""
    lora = settings.lora
    own_alone = lora.bias == "none" and not lora.modules_to_save and lora.init_lora_weights in SHARES_BASE
    return settings.train.method in ("lora", "head") and own_alone


def out_of_fold(ready: Prepared, checkpoints: Path, say: Say) -> OutOfFold:
    """Train each fold, those that can share the base together, and let it answer the texts that it was not given.

    Args:
        ready: the run, whose head and adapter have not been touched yet; they are left so.
        checkpoints: the run's folder for them; folds leave none there.
        say: called with each line for people.

    Raises:
        InputError: the texts cannot be parted so, or a fold diverged.
    """
    held = parts(ready)
    say(f"Folds: {len(held)} trainings, each on all of {len(ready.splits.train):,} texts but a share, which it then answers")
    labels = ready.splits.train.labels
    logits = np.empty((len(labels), len(ready.splits.label_names)), np.float32)
    size = ready.settings.train.per_device_eval_batch_size
    for number, model in _trained(ready, held, checkpoints, say):
        classifier = Classifier(model, ready.tokenizer, ready.splits.label_names, ready.max_length)
        logits[held[number]] = classifier.logits_of(ready.encoded.train.rows(held[number]), batch_size=size)
    return OutOfFold(labels, logits)


def _trained(ready: Prepared, held: list[np.ndarray], checkpoints: Path, say: Say) -> Iterator[tuple[int, Any]]:
    """Each fold's number and trained model as they end, by the fast engine, or the reference where that does not know the way."""
    from lorabert.engine import reference, training

    settings = ready.settings.train
    done: set[int] = set()
    if settings.engine != "reference":
        try:
            if settings.engine == "auto":
                training.refuse_unproven(ready.placement)
            groups = [range(len(held))] if can_share_base(ready.settings) else [[number] for number in range(len(held))]
            for group in groups:
                jobs = (_job(ready, number, held[number], checkpoints) for number in group)
                for job, outcome in training.fit_together(jobs):
                    if isinstance(outcome, Exception):
                        raise outcome
                    number = int(job.name.split()[-1]) - 1
                    done.add(number)
                    yield number, job.model
        except Unsupported as unknown:
            if settings.engine == "fast":
                raise
            say(f"Engine of the folds: reference (Hugging Face Trainer + PEFT). {unknown.why}.")
    for number in sorted(set(range(len(held))) - done):
        job = _job(ready, number, held[number], checkpoints)
        reference.fit(job.model, job.train, job.validation, job.plan, job.settings, job.placement,
                      pad_id=ready.tokenizer.pad_token_id, checkpoints=job.checkpoints, resume=False, log=job.log)  # fmt: skip
        yield number, job.model


def _job(ready: Prepared, number: int, held: np.ndarray, checkpoints: Path) -> Any:
    """A fold's training: the run's own in all but its texts."""
    from transformers import set_seed

    from lorabert.engine import training

    settings = ready.settings.train
    kept = np.delete(np.arange(len(ready.splits.train)), held)
    set_seed(settings.seed)
    loaded = bases.load(ready.base, ready.splits.label_names)
    if can_share_base(ready.settings):
        bases.share(loaded, ready.parameters)
    model = methods.apply(loaded, settings.method, ready.settings.lora)
    start_head(ready, model, kept)
    train = ready.encoded.train.rows(kept)
    plan = batching.plan(
        train.lengths,
        batch_size=settings.per_device_train_batch_size,
        num_epochs=ready.settings.train.num_train_epochs or 1,
        seed=settings.seed,
        group_by_length=settings.train_sampling_strategy == "group_by_length",
    )
    nothing = ready.encoded.train.rows(np.zeros(0, np.int64))
    quiet = dataclasses.replace(settings, save_strategy="no", early_stopping_patience=0)
    return training.Job(model, train, nothing, plan, quiet, ready.placement, checkpoints, False, lambda _: None,
                        name=f"fold {number + 1}")  # fmt: skip
