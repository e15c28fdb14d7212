"""Training on packed batches: one run, or many that share one frozen base in every forward."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from lorabert import processes
from lorabert.config import TrainConfig
from lorabert.data.batching import BatchPlan
from lorabert.data.encoding import EncodedSplit
from lorabert.data.packing import PackedBatch, join
from lorabert.engine import kernels
from lorabert.engine.packed import DTYPES, PackedBase, adapter_in
from lorabert.engine.training.display import Display
from lorabert.engine.training.graphs import CudaGraphs
from lorabert.engine.training.run import Job, Run
from lorabert.engine.training.stepping import Stepping
from lorabert.errors import Unsupported
from lorabert.hardware import Placement, available_bytes, give_back, peak_bytes
from lorabert.models.wrapped import classifier_of
from lorabert.runs import Fit, Log

DEVICES = ("cpu", "cuda")
# What records steps, where that pays.
_GRAPHS: dict[str, type[CudaGraphs]] = {"cuda": CudaGraphs}
# More than so many at once gain little.
_MOST = 8


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
        validation: measured after each epoch, unless it is empty; with early stopping it decides which epoch is kept.
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
    job = Job(model, train, validation, plan, settings, placement, checkpoints, resume, log)
    ((_, outcome),) = fit_together([job], concurrent=1)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def fit_together(
    jobs: Iterable[Job], *, concurrent: int | None = None, share: float = 1.0
) -> Iterator[tuple[Job, Fit | Exception]]:
    """Train many adapters on one frozen base, so many at once; each ends as if it had trained alone.

    The batches of all runs are laid one after the other: the base's products run once over all tokens, each LoRA and each head
    on its own rows. So the gradient of one adapter with respect to another's examples is exactly zero. Each run keeps its own
    data order, dropout stream, learning rate, clipping, schedule, early stop and checkpoints; one that ends, or fails, leaves,
    and the next takes its place.

    Args:
        jobs: taken one by one as places become free; their models share the base's tensors (`models.bases.share`).
        concurrent: how many train at once; by default as many as half of the free memory holds, at most eight. Several
            processes train one at a time.
        share: of that memory, where others take theirs at the same time.

    Yields:
        Each job that has ended, with what it cost, or with the error that ended it.

    Raises:
        Unsupported: an architecture, method or precision that cannot be trained so; the job in question has not begun.
    """
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return
    room = math.inf if concurrent else share * available_bytes(first.placement.device) / 2
    with Display(one=concurrent == 1) as display:
        team = _Team(first, display)
        most = 1 if processes.count() > 1 else concurrent or _MOST
        following: Job | None = None
        while True:
            while len(team.streams) < most and (following := following or next(waiting, None)):
                if team.streams and team.needed + following.needed > room:
                    break
                team.admit(following)
                following = None
            if not team.streams:
                return
            yield from team.step()


def refuse_unproven(placement: Placement) -> None:
    """Refuse a device on which nothing of this engine has been proven, for those who did not ask for it by name.

    Raises:
        Unsupported: the device is not the CPU.
    """
    if placement.device != "cpu":
        raise Unsupported(
            f"The fast engine has not been proven on {placement.device}; --train.engine fast asks for it all the same"
        )


class _Team:
    """The runs that train at once on one base."""

    def __init__(self, first: Job, display: Display) -> None:
        device, precision = first.placement.device, first.placement.precision
        if precision not in DTYPES:
            raise Unsupported(f"The fast engine does not train in {precision}")
        if device not in DEVICES:
            raise Unsupported(f"The fast engine does not train on {device}")
        self.first, self.display, self.device = first, display, device
        self.base = PackedBase(classifier_of(first.model.to(device)), DTYPES[precision])
        self.stepping = Stepping(self.base, _GRAPHS[device](self.base.device) if device in _GRAPHS else None)
        self.streams: dict[Run, Iterator[PackedBatch]] = {}
        self.most = 0
        self.admit(first)

    def admit(self, job: Job) -> None:
        """Take a run in.

        Raises:
            Unsupported: it trains the base itself, or on another base.
        """
        if job is not self.first:
            _check_shared(job.model, self.first.model)
        job.model.to(self.device)
        run = Run(job, self.base, self.display)
        self.streams[run] = run.batches()
        self.most = max(self.most, len(self.streams))

    @property
    def needed(self) -> int:
        """Bytes that its runs' largest batches need."""
        return sum(run.job.needed for run in self.streams)

    def step(self) -> Iterator[tuple[Job, Fit | Exception]]:
        """One forward and backward for every run's next batch; yields the runs that have none left, or failed."""
        batches: dict[Run, PackedBatch] = {}
        for run, stream in list(self.streams.items()):
            self._bring_back()
            started = time.perf_counter()
            try:
                batches[run] = next(stream)
                run.seconds += time.perf_counter() - started
            except StopIteration:
                run.seconds += time.perf_counter() - started
                yield self._leave(run), self._cost(run)
            except Exception as error:
                yield self._leave(run), error
        if batches:
            self._bring_back()
            self._compute(batches)

    def _bring_back(self) -> None:
        """Take the base back to the GPU, if a run that was prepared or that ended has taken it along to the CPU."""
        if self.base.embeddings.words.weight.device.type != self.device:
            self.stepping.forget()
            for run in self.streams:
                run.job.model.to(self.device)

    def _compute(self, batches: dict[Run, PackedBatch]) -> None:
        started = time.perf_counter()
        joined = join(list(batches.values()))
        losses = self.stepping(joined, list(batches))
        seconds = time.perf_counter() - started
        for (run, batch), loss in zip(batches.items(), losses, strict=True):
            run.took(loss)
            run.seconds += seconds * len(batch.ids) / len(joined.ids)
        self.display.computed(sum(run.examples for run in batches), len(batches))

    def _leave(self, run: Run) -> Job:
        del self.streams[run]
        self.stepping.forget()
        run.vocabulary.put_back()
        run.job.model.cpu().eval()
        give_back()
        return run.job

    def _cost(self, run: Run) -> Fit:
        epochs, lengths = run.job.plan.epochs[: run.progress.epochs], run.job.train.lengths
        tokens = [int(lengths[rows].sum()) for epoch in epochs for rows in epoch]
        filled = sum(map(self.base.layout.fillers, tokens))
        return Fit(
            train_seconds=run.seconds,
            steps=run.optimising.steps,
            epochs=float(run.progress.epochs),
            tokens=sum(tokens),
            padding_share=filled / max(1, filled + sum(tokens)),
            peak_bytes=peak_bytes(self.device),
            attention="packed",
            together=self.most,
            kernels=self.device == "cpu" and kernels.state().library is not None,
        )


def _rates(model: Any) -> list[float]:
    """The dropout rates of a model's base, LoRA's own left out, in the order of its modules."""
    return [module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout) and "lora_dropout" not in name]


def _check_shared(model: Any, first: Any) -> None:
    """Check that what a model trains is its adapter alone, and that all else is the first one's very tensors."""
    adapter = adapter_in(model)
    own = [tensor for low in adapter.low_ranks.values() for tensor in (low.a, low.b, low.magnitude)]
    own += [tensor for pair in adapter.head.values() for tensor in pair]
    if _rates(model) != _rates(first):  # layers below lora.layers drop nothing
        raise Unsupported("The dropout of its base is not that of the other runs")
    allowed = {id(tensor) for tensor in own}
    others = {id(parameter) for parameter in first.parameters()}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in allowed:
            raise Unsupported(f"{name} is trained, which is neither LoRA nor head: it cannot share the base")
        if not parameter.requires_grad and ".original_module." not in name and id(parameter) not in others:
            raise Unsupported(f"{name} is not shared with the other runs")
