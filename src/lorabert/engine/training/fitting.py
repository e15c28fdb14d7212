"""Training on packed batches: the loop, its reports, early stopping and resuming."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from lorabert.config import TrainConfig
from lorabert.data.batching import BatchPlan, pack
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.packed import PackedClassifier, logits
from lorabert.engine.training import checkpoints as saved
from lorabert.engine.training.checkpoints import Progress
from lorabert.engine.training.optimising import Optimising, steps_per_epoch
from lorabert.errors import Unsupported
from lorabert.files import disk_errors
from lorabert.hardware import Placement, peak_bytes
from lorabert.runs import Fit, Log

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def fit(
    model: Any,
    train: EncodedSplit,
    validation: EncodedSplit,
    plan: BatchPlan,
    settings: TrainConfig,
    placement: Placement,
    *,
    pad_id: int,  # noqa: ARG001
    checkpoints: Path,
    resume: bool,
    log: Log,
) -> Fit:
    """Train a PEFT model on the plan's batches; it is left on the CPU, in eval mode.

    Args:
        model: a model from `models.methods.apply`.
        train: the training split.
        validation: measured after each epoch; with early stopping it decides which epoch is kept.
        plan: the batches of every epoch.
        settings: the Trainer's words.
        placement: device and precision.
        pad_id: not needed here; both engines are called alike.
        checkpoints: folder for the checkpoints.
        resume: go on from the newest complete checkpoint, if there is one.
        log: called with each event: loss and learning rate, or validation loss.

    Raises:
        Unsupported: an architecture, method or precision that the fast engine does not know; nothing has been changed.
        InputError: a checkpoint cannot be written.
    """
    started = time.perf_counter()
    run = _Run(model, train, validation, plan, settings, placement, checkpoints, log)
    with disk_errors(checkpoints):
        if resume:
            run.resume()
        run.train()
    cuda = placement.device == "cuda"
    result = Fit(
        train_seconds=time.perf_counter() - started,
        steps=run.optimising.taken,
        epochs=float(run.progress.epochs),
        tokens=int(sum(train.lengths[rows].sum() for epoch in plan.epochs[: run.progress.epochs] for rows in epoch)),
        padding_share=0.0,
        peak_bytes=torch.cuda.max_memory_allocated() if cuda else peak_bytes(),
        attention="packed",
    )
    model.cpu().eval()
    return result


class _Run:
    """One training: what it works with, and where it stands."""

    def __init__(self, model: Any, train: EncodedSplit, validation: EncodedSplit, plan: BatchPlan, settings: TrainConfig,
                 placement: Placement, folder: Path, log: Log) -> None:  # fmt: skip
        if placement.precision not in _DTYPES:
            raise Unsupported(f"The fast engine does not train in {placement.precision}")
        if placement.device != "cpu":
            raise Unsupported(f"The fast engine has not been proven on {placement.device} yet")
        self.dtype = _DTYPES[placement.precision]
        self.model, self.classifier = model, PackedClassifier(model.to(placement.device), self.dtype)
        self.train_split, self.validation_split = train, validation
        self.plan, self.settings, self.folder, self.log = plan, settings, folder, log
        self.optimising = Optimising(model, settings, plan)
        self.generator = torch.Generator(placement.device).manual_seed(settings.seed)
        self.progress = Progress()
        self.bar: Any = None

    def resume(self) -> None:
        """Go on from the newest complete checkpoint."""
        found = saved.newest(self.folder)
        if found is None:
            return
        self.progress, tensors = found
        self.generator.set_state(tensors.pop("generator"))
        self.optimising.restore(tensors, self.progress.step)

    def train(self) -> None:
        """Make the passes that are left, and put the best epoch's weights back where early stopping asks for it."""
        per_epoch = steps_per_epoch(self.settings, self.plan)
        with tqdm(total=per_epoch * len(self.plan.epochs), initial=self.progress.step, desc="Training", unit="step") as self.bar:
            while self.progress.epochs < len(self.plan.epochs) and not self._waited_enough():
                self._epoch()
        best = self.progress.best_step
        if self.settings.early_stopping_patience and best not in (None, self.progress.step):
            self.optimising.load_weights(saved.weights(self.folder, best))

    def _waited_enough(self) -> bool:
        patience = self.settings.early_stopping_patience
        return 0 < patience <= self.progress.waited

    def _epoch(self) -> None:
        batches = self.plan.epochs[self.progress.epochs]
        for number, group in enumerate(_groups(batches, self.settings.gradient_accumulation_steps), 1):
            self._step(group, self.progress.epochs + min(1.0, number * self.settings.gradient_accumulation_steps / len(batches)))
        self.progress.epochs += 1
        self._validate()
        if self.settings.save_strategy == "epoch":
            saved.save(self.folder, self.progress, {**self.optimising.tensors(), "generator": self.generator.get_state()})

    def _step(self, batches: list[np.ndarray], epoch: float) -> None:
        """Add up the gradients of some batches and take one step; each batch counts for its share, as in the Trainer."""
        started = time.perf_counter()
        for rows in batches:
            batch = pack(self.train_split, rows)
            answers = self.classifier(batch, self.generator)
            loss = F.cross_entropy(answers, torch.from_numpy(batch.labels).to(answers.device)) / len(batches)
            loss.backward()
            self.progress.loss_sum += float(loss.detach())
        rate = self.optimising.learning_rate
        self.optimising.step()
        self.progress.step = self.optimising.taken
        self.bar.update()
        speed = sum(map(len, batches)) / (time.perf_counter() - started)
        self.bar.set_postfix({"examples/s": f"{speed:.0f}"}, refresh=False)
        if self.progress.step % self.settings.logging_steps == 0:
            self._report(epoch, rate)

    def _report(self, epoch: float, rate: float) -> None:
        loss = self.progress.loss_sum / (self.progress.step - self.progress.reported)
        self.progress.loss_sum, self.progress.reported = 0.0, self.progress.step
        self.bar.write(f"step {self.progress.step}: loss {loss:.4f}", file=self.bar.fp)
        self.log({"step": self.progress.step, "epoch": round(epoch, 4), "event": "train", "loss": loss, "learning_rate": rate})

    def _validate(self) -> None:
        """Measure the validation loss, and count the epochs since the last lower one."""
        loss = validation_loss(self.model, self.validation_split, self.dtype, self.settings.per_device_eval_batch_size)
        self.bar.write(f"epoch {self.progress.epochs}: validation loss {loss:.4f}", file=self.bar.fp)
        self.log({"step": self.progress.step, "epoch": float(self.progress.epochs), "event": "validation", "loss": loss})
        if self.progress.best_loss is None or loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step, self.progress.waited = loss, self.progress.step, 0
        else:
            self.progress.waited += 1


def validation_loss(model: Any, split: EncodedSplit, dtype: torch.dtype, batch_size: int) -> float:
    """Mean cross-entropy of a split's examples, without dropout."""
    answers = torch.from_numpy(logits(PackedClassifier(model, dtype, merged=True), split, batch_size=batch_size))
    return float(F.cross_entropy(answers, torch.from_numpy(split.labels)))


def _groups(batches: list[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    return (batches[start : start + size] for start in range(0, len(batches), size))
