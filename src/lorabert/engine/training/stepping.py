"""The forward and backward of every run's next batch; on a GPU a step of a form that is met again is recorded and replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabert.data.packing import PackedBatch
from lorabert.engine.packed import Inputs, PackedBase, entering
from lorabert.engine.training.graphs import CudaGraphs
from lorabert.engine.training.run import Run


def step(base: PackedBase, inputs: Inputs, runs: Sequence[Run]) -> Tensor:
    """Add the gradients of each run's texts to those that its parameters hold.

    Args:
        base: of all runs.
        inputs: of their batches, a part each.
        runs: in the order of the parts.

    Returns:
        The loss of each, (runs,).
    """
    answers = base(inputs, [run.adapter for run in runs], [run.bits for run in runs])
    labels = [inputs.labels[part.texts] for part in inputs.batch.parts]
    losses = [run.loss(found, own) for run, found, own in zip(runs, answers, labels, strict=True)]
    torch.autograd.backward([run.optimising.scaler.scale(loss) for run, loss in zip(runs, losses, strict=True)])
    return torch.stack([loss.detach() for loss in losses])


@dataclass(frozen=True)
class _Recorded:
    """A step with the tensors that it reads, and the one that it writes its losses into."""

    inputs: Inputs
    losses: Tensor
    replay: Callable[[], None]


class Stepping:
    """Steps of the runs on one base.

    A GPU is through with most of a step's thousand small kernels before it has been told the next one. Where one run trains, a
    form of batch (`PackedBatch.form`) is computed as it comes the first time, which also brings every gradient into being,
    recorded the second time and replayed from then on: the GPU is told once a step.

    Args:
        base: of all runs.
        graphs: what records on its device; None where nothing is recorded.
    """

    def __init__(self, base: PackedBase, graphs: CudaGraphs | None) -> None:
        self.base, self.graphs = base, graphs
        self.met: set[Hashable] = set()
        self.recorded: dict[Hashable, _Recorded] = {}

    def __call__(self, batch: PackedBatch, runs: Sequence[Run]) -> list[float]:
        """As `step`, of a batch that has a part of each run."""
        if self.graphs is None or len(runs) > 1:
            return step(self.base, self._inputs(batch, runs), runs).tolist()
        with self.graphs.aside():
            losses = self._alone(batch, runs, self.graphs)
        return losses.tolist()

    def _inputs(self, batch: PackedBatch, runs: Sequence[Run]) -> Inputs:
        return self.base.inputs(batch, entering(batch, [run.prefix for run in runs]))

    def forget(self) -> None:
        """Drop what has been recorded: it reads and writes tensors that are somewhere else now, or no longer needed."""
        self.met.clear()
        self.recorded.clear()

    def _alone(self, batch: PackedBatch, runs: Sequence[Run], graphs: CudaGraphs) -> Tensor:
        (run,) = runs
        run.optimising.keeps_gradients = True  # a recorded step adds to those that were there when it was recorded
        form = run, batch.form, run.shared_by
        if form not in self.met:
            self.met.add(form)
            return step(self.base, self._inputs(batch, runs), runs)
        if form not in self.recorded:
            inputs = self._inputs(batch, runs)
            replay, losses = graphs.record(lambda: step(self.base, inputs, runs), run.bits)
            self.recorded[form] = _Recorded(inputs, losses, replay)
        recorded = self.recorded[form]
        recorded.inputs.take(batch, entering(batch, [run.prefix]))
        recorded.replay()
        return recorded.losses
