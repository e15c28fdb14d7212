"""LoRA's y = Wx + (alpha / r) B A x, computed by hand and by PEFT's forward; and its count, r (in + out) a layer.

W is a query projection of the tiny BERT. A and B are set by hand; a forward hook shows what goes in and what comes out.
"""

import numpy as np
import pytest
import torch

from lorabert.config import LoraConfig, ModelConfig
from lorabert.models import bases, methods

IDS = torch.arange(5, 17)[None]
TARGET = "base_model.model.bert.encoder.layer.0.attention.self.query"


@pytest.fixture
def adapted(tiny_base):
    def make(**lora: object):
        torch.manual_seed(0)
        base = bases.load(bases.find(ModelConfig(name=str(tiny_base))), ["neg", "pos"])
        model = methods.apply(base, "lora", LoraConfig(**{"lora_dropout": 0.0, **lora})).eval()
        return model, base

    return make


def set_by_hand(model, seed: int = 1) -> None:
    """Every B away from zero, every A known."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1


def through(model, name: str = TARGET) -> tuple[np.ndarray, np.ndarray]:
    """What goes into a layer and what comes out of it, float64."""
    seen: list[torch.Tensor] = []
    layer = model.get_submodule(name)
    handle = layer.register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    with torch.inference_mode():
        model(input_ids=IDS)
    handle.remove()
    x, y = (tensor[0].double().numpy() for tensor in seen)
    return x, y


def weights(model, name: str = TARGET) -> tuple[np.ndarray, ...]:
    layer = model.get_submodule(name)
    tensors = (layer.base_layer.weight, layer.base_layer.bias, layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    return tuple(tensor.detach().double().numpy() for tensor in tensors)


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize(
    ("lora", "scale"),
    [
        ({"r": 8, "lora_alpha": 32}, 4.0),
        ({"r": 2, "lora_alpha": 1}, 0.5),
        ({"r": 4, "lora_alpha": 8, "use_rslora": True}, 4.0),
        ({"r": 16, "lora_alpha": 6, "use_rslora": True}, 1.5),
    ],
)
def test_the_forward_is_wx_plus_alpha_over_r_bax(adapted, lora, scale):
    model, _ = adapted(**lora)
    set_by_hand(model)
    x, y = through(model)
    w, bias, a, b = weights(model)
    assert a.shape == (lora["r"], 32)
    assert b.shape == (32, lora["r"])
    by_hand = x @ w.T + bias + scale * (x @ a.T @ b.T)
    plain = x @ w.T + bias
    assert np.abs(y - plain).max() > 0.05  # the adapter does something
    np.testing.assert_allclose(y, by_hand, rtol=1e-5, atol=1e-6)


def test_a_single_one_in_a_and_b_moves_a_single_number(adapted):
    model, _ = adapted(r=1, lora_alpha=3)
    layer = model.get_submodule(TARGET)
    layer.lora_A["default"].weight.data.zero_()[0, 5] = 1.0
    layer.lora_B["default"].weight.data.zero_()[7, 0] = 2.0
    x, y = through(model)
    w, bias, _, _ = weights(model)
    moved = y - (x @ w.T + bias)
    np.testing.assert_allclose(moved[:, 7], 6 * x[:, 5], rtol=1e-4, atol=1e-5)
    assert np.abs(np.delete(moved, 7, axis=1)).max() < 1e-5


def test_b_starts_at_zero_so_that_training_starts_at_the_base(adapted):
    model, _ = adapted()
    _, _, a, b = weights(model)
    assert np.abs(a).max() > 0
    assert np.abs(b).max() == 0


def test_merged_equals_unmerged_and_w_becomes_w_plus_scaled_ba(adapted):
    model, _ = adapted(r=4, lora_alpha=8)
    plain = logits(model)
    set_by_hand(model)
    w, _, a, b = weights(model)
    unmerged = logits(model)
    assert (unmerged - plain).abs().max() > 1e-4
    merged = model.merge_and_unload()
    np.testing.assert_allclose(logits(merged).numpy(), unmerged.numpy(), rtol=1e-5, atol=1e-6)
    query = merged.bert.encoder.layer[0].attention.self.query
    assert type(query) is torch.nn.Linear
    np.testing.assert_allclose(query.weight.detach().numpy(), w + 2 * b @ a, rtol=1e-5, atol=1e-6)


def test_dropout_acts_on_as_input_in_training_only(adapted):
    model, _ = adapted(lora_dropout=0.5)
    set_by_hand(model)
    assert torch.equal(logits(model), logits(model))
    layer = model.get_submodule(TARGET)
    assert layer.lora_dropout["default"].p == 0.5
    x = torch.ones(1, 32)
    layer.train()
    assert not torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("r", [1, 4, 8])
@pytest.mark.parametrize("targets", ["auto", "all-linear", ["intermediate.dense"]])
def test_lora_adds_r_times_in_plus_out_a_layer_as_peft_counts(adapted, r, targets):
    model, base = adapted(r=r, target_modules=targets)
    found = methods.trainable(model, base)
    sizes = [model.get_submodule(f"base_model.model.{name}").base_layer for name in found.target_modules]
    assert len(sizes) == {"auto": 4, "all-linear": 13}.get(str(targets), 2)
    formula = sum(r * (layer.in_features + layer.out_features) for layer in sizes)
    head = 32 * 2 + 2
    assert (found.parameters, found.head_parameters) == (formula + head, head)
    frozen_copy = head  # PEFT keeps one, and counts it
    assert model.get_nb_trainable_parameters() == (found.parameters, found.all_parameters + frozen_copy)


def test_dora_adds_a_magnitude_for_each_output(adapted):
    plain, base = adapted(r=4)
    with_dora, other = adapted(r=4, use_dora=True)
    difference = methods.trainable(with_dora, other).parameters - methods.trainable(plain, base).parameters
    assert difference == 4 * 32
