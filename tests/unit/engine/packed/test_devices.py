"""A whole step on a device that is not the CPU, where there is none: meta tensors have a device and shapes, and no numbers.

They refuse what a GPU would refuse (a tensor left on the CPU) or would wait for (a number read on the way).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from classifiers import METHODS, PACKED_FAMILIES, classifier, stream
from lorabert.data.packing import pack
from lorabert.engine.packed import Bits, PackedClassifier

META = "meta"


@pytest.fixture(autouse=True)
def _no_generator(monkeypatch):
    """Meta tensors have no generator of random bits."""
    on_cpu = torch.Generator()
    monkeypatch.setattr(torch, "Generator", lambda _: on_cpu)
    monkeypatch.setattr(Bits, "words", lambda bits, count: torch.empty(count, dtype=torch.int64, device=bits.device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("method", "lora"), METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("family", PACKED_FAMILIES)
def test_nothing_is_left_on_the_cpu_and_no_number_is_waited_for(family, method, lora, dtype):
    model = classifier(family, method, dropout=0.1, **lora).to(META)
    split = stream(np.random.default_rng(3).integers(1, 40, 16), pairs=True)
    answers = PackedClassifier(model, dtype)(pack(split, np.arange(16)), Bits(0, META))
    answers.sum().backward()
    assert (answers.device.type, answers.dtype, answers.shape) == (META, torch.float32, (16, 2))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.device.type == META for parameter in trained)


class _Only(TorchDispatchMode):
    """Refuses a call that reads a tensor anywhere else: a GPU that repeats a recorded step is handed nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in tree_leaves((args, kwargs)):
            assert not isinstance(tensor, torch.Tensor) or tensor.device.type == META, f"{func} reads from {tensor.device}"
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(("method", "lora"), METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("family", PACKED_FAMILIES)
def test_a_step_is_handed_nothing_from_the_cpu_but_its_inputs(family, method, lora):
    forward = PackedClassifier(classifier(family, method, dropout=0.1, **lora).to(META), torch.bfloat16)
    split = stream(np.random.default_rng(3).integers(1, 40, 16), pairs=True)
    inputs, bits = forward.base.inputs(pack(split, np.arange(16), forward.base.layout)), Bits(0, META)
    with _Only():
        (answers,) = forward.base(inputs, [forward.adapter], [bits])
        F.cross_entropy(answers, inputs.labels).backward()
    with _Only(), pytest.raises(AssertionError, match="reads from cpu"):  # negative control: the inputs themselves
        forward.base.inputs(inputs.batch)


@pytest.mark.parametrize("left", ["encoder.layer.0.intermediate.dense", "encoder.layer.1.attention.output.LayerNorm"])
def test_negative_control_a_part_left_on_the_cpu_is_noticed(left):
    model = classifier(dropout=0.1).to(META)
    model.get_submodule(f"base_model.model.bert.{left}").to_empty(device="cpu")
    split = stream([3, 5, 2])
    with pytest.raises(RuntimeError, match="device"):
        PackedClassifier(model)(pack(split, np.arange(3)), Bits(0, META)).sum().backward()
