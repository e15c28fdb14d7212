"""One run of the fast engine: its batches, its steps, its validation and its checkpoints, whoever computes the logits."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lorabert import processes
from lorabert.config import TrainConfig
from lorabert.data.batching import BatchPlan, share
from lorabert.data.encoding import EncodedSplit
from lorabert.data.packing import PackedBatch, pack
from lorabert.engine.packed import Bits, PackedBase, Prefix, adapter_in, entering, fixed_layers, logits
from lorabert.engine.telling import tells
from lorabert.engine.training import checkpoints as saved
from lorabert.engine.training.checkpoints import Progress
from lorabert.engine.training.display import Display
from lorabert.engine.training.optimising import Optimising, steps_per_epoch
from lorabert.engine.training.vocabulary import Vocabulary
from lorabert.errors import Diverged, InputError
from lorabert.files import disk_errors
from lorabert.hardware import Placement
from lorabert.runs import Log

_PATIENCE_IN_FP16 = 5  # steps in a row


@dataclass(frozen=True, eq=False)
class Job:
    """One training that the fast engine is asked for.

    Attributes:
        model: a model from `models.methods.apply`.
        train: the training split.
        validation: measured after each epoch, unless it is empty; with early stopping it decides which epoch is kept.
        plan: the batches of every epoch.
        settings: the Trainer's words.
        placement: device and precision.
        checkpoints: folder for the checkpoints.
        resume: go on from the newest complete checkpoint, if there is one.
        log: called with each event: loss and learning rate, or validation loss.
        name: what progress on a screen calls it when several train at once.
    """

    model: Any
    train: EncodedSplit
    validation: EncodedSplit
    plan: BatchPlan
    settings: TrainConfig
    placement: Placement
    checkpoints: Path
    resume: bool
    log: Log
    name: str = ""

    @cached_property
    def needed(self) -> int:
        """Bytes that its largest batch needs, about.

        A step keeps, in each layer, about 24 numbers of the hidden width a token, and three of each head and pair of tokens:
        what the backward reads again, and its own gradients.
        """
        config = self.model.config
        tokens = max(int(self.train.lengths[rows].sum()) for rows in self.plan.epochs[0])
        width = 24 * config.hidden_size + 3 * config.num_attention_heads * int(self.train.lengths.max())
        return int(4 * tokens * width * config.num_hidden_layers)


class Run:
    """Where one training stands.

    Attributes:
        job: what was asked for.
        vocabulary: the words that it can train.
        train: the training split in that vocabulary.
        validation: the validation split in that vocabulary.
        own_validation: this process's share of it.
        adapter: the trained parameters, as the packed forward takes them.
        prefix: what the layers give that do not change; None where all do.
        bits: all dropout follows them.
        optimising: its optimizer.
        progress: steps, epochs, best epoch.
        seconds: its share of the time spent, before it was resumed too.
        examples: how many the batch holds that is being computed, with those that other processes compute.
    """

    def __init__(self, job: Job, base: PackedBase, display: Display) -> None:
        self.job, self.base, self.display = job, base, display
        self.vocabulary = Vocabulary(base.embeddings.words, [job.train, job.validation], job.settings)
        self.train, self.validation = map(self.vocabulary.renumber, (job.train, job.validation))
        self.adapter = adapter_in(job.model)
        count = np.arange(len(self.validation))
        self.own_validation = self.validation.rows(share(count, self.validation.lengths, processes.rank(), processes.count()))
        fixed = fixed_layers(job.model)
        self.prefix, self._validation_prefix = (Prefix.of(base, split, fixed) for split in (self.train, self.own_validation))
        self.optimising = Optimising(job.model, job.settings, job.plan, scaling=job.placement.precision == "fp16")
        self.bits = Bits(_dropout_seed(job.settings.seed, processes.rank()), base.device)
        self.progress = Progress()
        self.seconds = 0.0
        self.examples = 0
        self._in_step, self._loss, self._strange = 1, 0.0, 0
        if job.resume:
            self._resume()
        display.begin(self.steps - self.progress.step, self.progress.step)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return steps_per_epoch(self.job.settings, self.job.plan) * len(self.job.plan.epochs)

    def _resume(self) -> None:
        with disk_errors(self.job.checkpoints):
            found = saved.newest(self.job.checkpoints)
        if found is None:
            return
        self.progress, tensors = found
        self.seconds = self.progress.seconds
        with self._naming_the_checkpoint():
            self._take_over(tensors)

    @contextmanager
    def _naming_the_checkpoint(self) -> Iterator[None]:
        """Say what is wrong with tensors that may be anybody's.

        Raises:
            InputError: they are not what this training saves.
        """
        try:
            yield
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"A checkpoint in {self.job.checkpoints} is not of this training", got=str(error)[:200],
                             fix="Remove it, and the same command goes on from the one before it") from None  # fmt: skip

    def _take_over(self, tensors: dict[str, Tensor]) -> None:
        states = tensors.pop("bits")
        if len(states) != processes.count():
            raise InputError(
                "A run goes on with as many processes as it began with",
                got=f"{processes.count()} instead of {len(states)}",
                fix=f"Start it with torchrun --nproc_per_node {len(states)}" if len(states) > 1 else "Start it alone",
            )
        self.bits.restore(states[processes.rank()])
        self.optimising.restore(tensors, self.progress.step, self.progress.skipped)

    def batches(self) -> Iterator[PackedBatch]:
        """Every batch that is left; between two of them the caller adds the first one's gradients and calls `took`.

        Raises:
            InputError: a checkpoint cannot be written.
        """
        with disk_errors(self.job.checkpoints):
            while self.progress.epochs < len(self.job.plan.epochs) and not self._waited_enough():
                yield from self._epoch()
            best = self.progress.best_step
            if self.job.settings.early_stopping_patience and best not in (None, self.progress.step):
                with self._naming_the_checkpoint():
                    self.optimising.load_weights(saved.weights(self.job.checkpoints, best))

    def _waited_enough(self) -> bool:
        patience = self.job.settings.early_stopping_patience
        return 0 < patience <= self.progress.waited

    def _epoch(self) -> Iterator[PackedBatch]:
        size, batches = self.job.settings.gradient_accumulation_steps, self.job.plan.epochs[self.progress.epochs]
        for number, group in enumerate(_groups(batches, size), 1):
            self._in_step = len(group)
            for rows in group:
                self.examples = len(rows)
                own = share(rows, self.train.lengths, processes.rank(), processes.count())
                if len(own):
                    yield pack(self.train, own, self.base.layout)
            self._step(self.progress.epochs + min(1.0, number * size / len(batches)))
        self.progress.epochs += 1
        started = time.perf_counter()
        if len(self.validation):
            self._validate()
        self.progress.seconds = self.seconds + time.perf_counter() - started
        if self.job.settings.save_strategy == "epoch":
            states = processes.collect(self.bits.state())
            if processes.rank() == 0:
                saved.save(self.job.checkpoints, self.progress, {**self.optimising.tensors(), "bits": states})

    @property
    def shared_by(self) -> int:
        """What each text's loss is divided by: a step's loss is the mean over each batch's texts and then over its batches.

        Batches that share a step count alike, as in the Trainer; a batch's texts may lie with several processes.
        """
        return self.examples * self._in_step

    def loss(self, answers: Tensor, labels: Tensor) -> Tensor:
        """What these texts add to their step's loss."""
        return F.cross_entropy(answers, labels, reduction="sum") / self.shared_by

    def took(self, loss: float) -> None:
        """Note the loss of a batch whose gradients have been added."""
        self._loss += loss

    def _step(self, epoch: float) -> None:
        loss, self._loss = self.optimising.add_up(self._loss), 0.0
        self._check(loss, f"step {self.optimising.steps + 1}")
        self.progress.loss_sum += loss
        rate = self.optimising.learning_rate
        self.optimising.step()
        self.progress.step, self.progress.skipped = self.optimising.steps, self.optimising.skipped
        self.display.step()
        if self.progress.step % self.job.settings.logging_steps == 0:
            self._report(epoch, rate)

    def _check(self, loss: float, where: str) -> None:
        """Stop a training whose loss is no number, before its weights follow.

        With fp16 a single one may be, of a batch whose activations were too large for it: such a step is skipped.

        Raises:
            Diverged: it is not.
        """
        self._strange = 0 if math.isfinite(loss) else self._strange + 1
        if self._strange > (_PATIENCE_IN_FP16 if self.job.placement.precision == "fp16" else 0):
            raise Diverged(where, self.job.settings.learning_rate or 0.0)

    def _report(self, epoch: float, rate: float) -> None:
        loss = self.progress.loss_sum / (self.progress.step - self.progress.reported)
        self.progress.loss_sum, self.progress.reported = 0.0, self.progress.step
        self.display.loss(self.job.name, self.progress.step, loss)
        self.job.log(
            {"step": self.progress.step, "epoch": round(epoch, 4), "event": "train", "loss": loss, "learning_rate": rate}
        )

    def _validate(self) -> None:
        """Measure the validation loss, and count the epochs since the last lower one."""
        progress, loss = self.progress, self._validation_loss()
        if not math.isfinite(loss):
            raise Diverged(f"the validation split after epoch {progress.epochs}", self.job.settings.learning_rate or 0.0)
        if tells(progress.epochs, len(self.job.plan.epochs)):
            self.display.validation(self.job.name, progress.epochs, loss)
        self.job.log({"step": progress.step, "epoch": float(progress.epochs), "event": "validation", "loss": loss})
        if progress.best_loss is None or loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.waited = loss, progress.step, 0
        else:
            progress.waited += 1

    def _validation_loss(self) -> float:
        """Mean over the split, whose texts the processes share."""
        own, total = self.own_validation, 0.0
        if len(own):
            answers = torch.from_numpy(logits(self._answers, own, batch_size=self.job.settings.per_device_eval_batch_size))
            total = float(F.cross_entropy(answers, torch.from_numpy(own.labels), reduction="sum"))
        return float(processes.add_up(torch.tensor(total, device=self.base.device))) / len(self.validation)

    def _answers(self, batch: PackedBatch) -> Tensor:
        return self.base(self.base.inputs(batch, entering(batch, [self._validation_prefix])), [self.adapter])[0]


def _groups(batches: list[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    return (batches[start : start + size] for start in range(0, len(batches), size))


def _dropout_seed(seed: int, rank: int) -> int:
    """A seed for each process's masks; that of the first, or only one, is the run's."""
    return int(np.random.SeedSequence([seed, rank]).generate_state(1)[0]) if rank else seed
