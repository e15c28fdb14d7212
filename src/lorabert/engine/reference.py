"""The oracle: the run as Hugging Face Trainer + PEFT make it, with their own forward. Slow, plain, and always right."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

from lorabert import received
from lorabert.config import TrainConfig
from lorabert.data.batching import BatchPlan, padded_batch, padding_share
from lorabert.data.encoding import EncodedSplit
from lorabert.data.pacing import Pace, measure
from lorabert.engine.telling import tells
from lorabert.errors import Diverged, InputError
from lorabert.files import write_atomically
from lorabert.hardware import Placement, peak_bytes
from lorabert.models.bases import quiet_transformers
from lorabert.runs import Fit, Log

_COMPLETE = "complete"
_LOOK_EVERY = 8


def fit(
    model: Any,
    train: EncodedSplit,
    validation: EncodedSplit,
    plan: BatchPlan,
    settings: TrainConfig,
    placement: Placement,
    *,
    pad_id: int,
    checkpoints: Path,
    resume: bool,
    log: Log,
) -> Fit:
    """Train a PEFT model on the plan's batches; it is left on the CPU, in eval mode.

    Args:
        model: a model from `models.methods.apply`.
        train: the training split.
        validation: measured after each epoch, unless it is empty; with early stopping it decides which epoch is kept.
        plan: the batches of every epoch.
        settings: the Trainer's words.
        placement: device and precision.
        pad_id: the tokenizer's padding token.
        checkpoints: folder for the Trainer's checkpoints.
        resume: go on from the newest complete checkpoint, if there is one.
        log: called with each event: loss and learning rate, or validation loss.
    """
    last = _newest_complete(checkpoints) if resume else None
    reporting = _Reporting(log, spent=_spent(last) if last else 0.0)
    trainer = _PlannedTrainer(
        plan=plan,
        loraplus_lr_ratio=settings.loraplus_lr_ratio,
        model=model,
        args=_arguments(settings, placement, plan, checkpoints, validates=len(validation) > 0),
        train_dataset=_Rows(train),
        eval_dataset=_Rows(validation),
        data_collator=_Collator(pad_id),
        callbacks=[reporting, *_early_stopping(settings)],
    )
    for shown in list(trainer.callback_handler.callbacks):
        if type(shown).__name__ in ("PrinterCallback", "ProgressCallback", "NotebookProgressCallback"):
            trainer.remove_callback(shown)
    with quiet_transformers(), closing(reporting):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    seconds = reporting.seconds
    epochs = trainer.state.epoch or 0.0
    batches = [batch for epoch in plan.epochs[: math.ceil(epochs)] for batch in epoch]
    result = Fit(
        train_seconds=seconds,
        steps=trainer.state.global_step,
        epochs=epochs,
        tokens=int(sum(train.lengths[rows].sum() for rows in batches)),
        padding_share=padding_share(train.lengths, batches),
        peak_bytes=peak_bytes(placement.device),
        attention=str(model.config._attn_implementation),
    )
    _unwrap(model)
    model.cpu().eval()
    return result


def _unwrap(model: Any) -> None:
    """Let the model's own forward answer again: accelerate hung one before it that computes in half precision."""
    for name in ("forward", "_original_forward"):
        vars(model).pop(name, None)


def pace(model: Any, sample: EncodedSplit, batches: list[np.ndarray], placement: Placement, *, pad_id: int) -> Pace:
    """Time the padded forward and backward of some batches; the model is left on the CPU, without gradients, as it was."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(placement.precision)
    modes = {module: module.training for module in model.modules()}
    collate = _Collator(pad_id)

    def step(rows: np.ndarray) -> None:
        batch = collate([(sample, int(row)) for row in rows])
        with torch.autocast(placement.device, half, enabled=half is not None):
            loss = model(**{name: tensor.to(placement.device) for name, tensor in batch.items()}).loss
        loss.backward()
        float(loss.detach())  # waits for a GPU

    try:
        model.to(placement.device).train()
        return measure(step, batches, sample.lengths)
    finally:
        model.zero_grad(set_to_none=True)
        model.cpu()
        for module, mode in modes.items():
            module.training = mode


def _arguments(settings: TrainConfig, placement: Placement, plan: BatchPlan, checkpoints: Path, *, validates: bool
               ) -> TrainingArguments:  # fmt: skip
    steps = math.ceil(plan.steps_per_epoch / settings.gradient_accumulation_steps) * len(plan.epochs)
    early = settings.early_stopping_patience > 0
    # Transformers 4 leaves there what an earlier training had, and trains the next one of this process in bf16 as well.
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
    return TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=settings.per_device_train_batch_size,
        per_device_eval_batch_size=settings.per_device_eval_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        num_train_epochs=len(plan.epochs),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_steps(steps),
        lr_scheduler_type=settings.lr_scheduler_type,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=settings.seed,
        bf16=placement.precision == "bf16",
        fp16=placement.precision == "fp16",
        use_cpu=placement.device == "cpu",
        logging_steps=settings.logging_steps,
        eval_strategy="epoch" if validates else "no",
        save_strategy=settings.save_strategy,
        # The newest checkpoint may be one that a kill cut short, so the one before it has to stay.
        save_total_limit=2,
        load_best_model_at_end=early,
        metric_for_best_model="eval_loss" if early else None,
        greater_is_better=False if early else None,
        restore_callback_states_from_checkpoint=True,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=placement.device == "cuda",
        report_to="none",
        disable_tqdm=True,
    )


def _early_stopping(settings: TrainConfig) -> list[TrainerCallback]:
    patience = settings.early_stopping_patience
    return [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []


def _newest_complete(checkpoints: Path) -> Path | None:
    """The newest checkpoint that was written to its end; what a kill cut short is removed."""
    complete = []
    for folder in checkpoints.glob("checkpoint-*"):
        received.refuse_link(folder, "a run's checkpoints")
        if not folder.name.rpartition("-")[2].isdecimal():
            continue
        if (folder / _COMPLETE).exists():
            complete.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return max(complete, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def _spent(checkpoint: Path) -> float:
    """Seconds that a run had taken when it wrote a checkpoint.

    Raises:
        InputError: it does not say so.
    """
    file = checkpoint / _COMPLETE
    try:
        seconds = float(received.content_of(file, checkpoint) or 0)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InputError(f"{file} is damaged", expected="seconds", fix="Remove that checkpoint, and give the same command again")
    return seconds


class _Rows(torch.utils.data.Dataset[tuple[EncodedSplit, int]]):
    """A data set of row indices; the collator makes the batch."""

    def __init__(self, split: EncodedSplit) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[EncodedSplit, int]:
        return self.split, int(index)


class _Collator:
    """Rows to padded tensors."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: list[tuple[EncodedSplit, int]]) -> dict[str, torch.Tensor]:
        batch = padded_batch(rows[0][0], np.array([index for _, index in rows]), self.pad_id)
        return {name: torch.from_numpy(values) for name, values in batch.items()}


class _PlanBatches(torch.utils.data.Sampler[list[int]]):
    """The plan's batches of one epoch after the other."""

    def __init__(self, plan: BatchPlan) -> None:
        self.plan, self.epoch = plan, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.plan.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        return (rows.tolist() for rows in self.plan.epochs[self.epoch])


class _PlannedTrainer(Trainer):
    """The Trainer, on the plan's batches in the plan's order, with PEFT's optimizer for LoRA+."""

    def __init__(self, *, plan: BatchPlan, loraplus_lr_ratio: float, **arguments: Any) -> None:
        self.plan, self.loraplus_lr_ratio = plan, loraplus_lr_ratio
        self.unseen: list[torch.Tensor] = []
        super().__init__(**arguments)
        # Classifiers take any keyword but leave num_items_in_batch unused. Told that they do (as it guesses from **kwargs),
        # the Trainer would add up the mean losses of accumulated batches, and report the sum, instead of averaging them.
        self.model_accepts_loss_kwargs = False

    def training_step(self, *arguments: Any, **words: Any) -> torch.Tensor:
        """The Trainer's, with a look at the losses: of each step on a CPU, of several at once where a look would wait for a GPU.

        Raises:
            Diverged: one of them is no number; with fp16 all of them.
        """
        loss = super().training_step(*arguments, **words)
        self.unseen.append(loss.detach())
        several = self.args.fp16 or loss.device.type != "cpu"
        if len(self.unseen) >= (_LOOK_EVERY if several else 1):
            strange = ~torch.isfinite(torch.stack(self.unseen))
            if strange.all() if self.args.fp16 else strange.any():
                raise Diverged(f"step {self.state.global_step + 1}", self.args.learning_rate)
            self.unseen.clear()
        return loss

    def get_train_dataloader(self) -> Any:
        loader = torch.utils.data.DataLoader(
            self.train_dataset, batch_sampler=_PlanBatches(self.plan), collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, *arguments: Any) -> Any:
        if self.loraplus_lr_ratio == 1:
            return super().create_optimizer(*arguments)
        from peft.optimizers import create_loraplus_optimizer

        self.optimizer = create_loraplus_optimizer(
            self.model, torch.optim.AdamW, lr=self.args.learning_rate, loraplus_lr_ratio=self.loraplus_lr_ratio,
            loraplus_weight_decay=self.args.weight_decay,
        )  # fmt: skip
        return self.optimizer


class _Reporting(TrainerCallback):
    """Progress on stderr, events to the log, and a mark on each checkpoint that is written to its end: the seconds up to it."""

    def __init__(self, log: Log, spent: float) -> None:
        self.log, self.started = log, time.perf_counter() - spent
        self.bar: Any = None

    @property
    def seconds(self) -> float:
        """Of training so far, before it was resumed too."""
        return time.perf_counter() - self.started

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="Training", unit="step")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        logs = logs or {}
        event: dict[str, Any] = {"step": state.global_step, "epoch": round(state.epoch or 0.0, 4)}
        if "loss" in logs:
            event |= {"event": "train", "loss": float(logs["loss"]), "learning_rate": logs["learning_rate"]}
            self.bar.set_postfix(loss=f"{float(logs['loss']):.4f}")
            self._write(f"step {state.global_step}: loss {float(logs['loss']):.4f}")
        elif "eval_loss" in logs:
            if not math.isfinite(logs["eval_loss"]):
                raise Diverged(f"the validation split after epoch {state.epoch:g}", args.learning_rate)
            event |= {"event": "validation", "loss": float(logs["eval_loss"])}
            if tells(state.epoch, args.num_train_epochs):
                self._write(f"epoch {state.epoch:g}: validation loss {float(logs['eval_loss']):.4f}")
        else:
            return
        self.log(event)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        write_atomically(Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE, str(self.seconds).encode())

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def _write(self, line: str) -> None:
        if not self.bar.disable:  # by TQDM_DISABLE
            self.bar.write(line, file=self.bar.fp)
