"""How fast this engine trains a model here, from a few steps that leave no trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F

from lorabert.data import pacing
from lorabert.data.encoding import EncodedSplit
from lorabert.data.pacing import Pace
from lorabert.data.packing import pack
from lorabert.engine import kernels
from lorabert.engine.packed import DTYPES, Bits, PackedBase, Prefix, adapter_in, entering, fixed_layers
from lorabert.engine.training.fitting import DEVICES
from lorabert.errors import Unsupported
from lorabert.hardware import Placement
from lorabert.models.wrapped import classifier_of


def pace(model: Any, sample: EncodedSplit, batches: list[np.ndarray], placement: Placement) -> Pace:
    """Time the forward and backward of some batches; the model is left on the CPU, without gradients, as it was.

    Args:
        model: a model from `models.methods.apply`.
        sample: some of the training split.
        batches: its rows, batch by batch.
        placement: device and precision.

    Raises:
        Unsupported: an architecture, method or precision that the fast engine does not know.
    """
    if placement.precision not in DTYPES or placement.device not in DEVICES:
        raise Unsupported(f"The fast engine does not train in {placement.precision} on {placement.device}")
    if placement.device == "cpu":
        kernels.state()  # their first use may have to compile them, which is no step's time
    base = PackedBase(classifier_of(model.to(placement.device)), DTYPES[placement.precision])
    adapter, bits = adapter_in(model), Bits(0, base.device)
    prefix = Prefix.of(base, sample, fixed_layers(model))

    def step(rows: np.ndarray) -> None:
        batch = pack(sample, rows, base.layout)
        inputs = base.inputs(batch, entering(batch, [prefix]))
        (answers,) = base(inputs, [adapter], [bits])
        loss = F.cross_entropy(answers, inputs.labels)
        loss.backward()
        float(loss.detach())  # waits for a GPU

    try:
        return pacing.measure(step, batches, sample.lengths)
    finally:
        model.zero_grad(set_to_none=True)
        model.cpu()
