"""LoRA in the top layers alone: what lies below is computed once, and every loss and weight is the Trainer's all the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import tiny
import tolerances
from classifiers import VOCAB, classifier, stream
from lorabert.config import LoraConfig
from lorabert.data import batching
from lorabert.engine import reference
from lorabert.engine.packed import PackedBase, fixed_layers, prefix
from lorabert.engine.training import Job, fit, fit_together
from lorabert.errors import InputError
from lorabert.models import methods
from lorabert.models.bases import LoadedBase
from lorabert.models.wrapped import classifier_of
from trainings import BASE, CPU, LENGTHS, VALIDATION, Killed, furthest, kill_at, losses, same_events, train


def top(family="bert", *, above=0.0, seed=0, layers="top-1", **lora):
    """A tiny model with LoRA in its last layer; the base's own dropout stays as `apply` leaves it, but for what lies above."""
    model = tiny.build_model(family, vocab_size=VOCAB, seed=seed, head=True)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    settings = LoraConfig(**{"lora_dropout": above, "layers": layers, "target_modules": "all-linear", **lora})
    wrapped = methods.apply(LoadedBase(model, []), "lora", settings)
    for module in wrapped.modules():
        if isinstance(module, torch.nn.Dropout) and module.p == 0.3:
            module.p = above
        if getattr(module, "dropout_prob", 0.0):
            module.dropout_prob = above
    return wrapped


@pytest.fixture
def computed(monkeypatch):
    """The layers that are computed, by their number of calls."""
    calls = {"below": 0, "embeddings": 0}
    below, made = PackedBase.below, PackedBase.__init__

    def counted(self, *words):
        calls["below"] += 1
        return below(self, *words)

    def init(self, *words, **options):
        made(self, *words, **options)
        embeddings = self.embeddings

        def counting(*given):
            calls["embeddings"] += 1
            return embeddings(*given)

        self.embeddings = _Counting(embeddings, counting)

    monkeypatch.setattr(PackedBase, "below", counted)
    monkeypatch.setattr(PackedBase, "__init__", init)
    return calls


class _Counting:
    def __init__(self, embeddings, call):
        self.embeddings, self.call = embeddings, call

    def __call__(self, *given):
        return self.call(*given)

    def __getattr__(self, name):
        return getattr(self.embeddings, name)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
def test_every_loss_and_the_final_weights(family, tmp_path, computed):
    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", model=top(family))
    got, weights, _ = train(fit, tmp_path / "fast", model=top(family))
    same_events(got, expected)
    assert furthest(weights, expected_weights) < tolerances.FP32_FINAL_WEIGHTS
    assert not any(".layer.0." in name or "embeddings" in name for name in weights)
    # Two blocks of texts to train on and one to validate; no step begins at the bottom.
    assert computed == {"below": 3, "embeddings": 3}


def test_it_is_what_computing_everything_gives(tmp_path, monkeypatch):
    kept, weights, _ = train(fit, tmp_path / "kept", model=top(above=0.1))
    monkeypatch.setattr(prefix, "_MOST_BYTES", 0)
    got, others, _ = train(fit, tmp_path / "anew", model=top(above=0.1))
    np.testing.assert_allclose(losses(kept), losses(got), atol=tolerances.FP32_LOSS_TRAJECTORY)
    assert furthest(weights, others) < tolerances.FP32_FINAL_WEIGHTS


def test_negative_control_other_states_below_give_other_losses(tmp_path, monkeypatch):
    kept, _, _ = train(fit, tmp_path / "kept", model=top())
    take = prefix.Prefix.take
    monkeypatch.setattr(prefix.Prefix, "take", lambda self, rows, tokens: take(self, rows[::-1].copy(), tokens))
    other, _, _ = train(fit, tmp_path / "other", model=top())
    assert np.abs(losses(kept) - losses(other)).max() > 1000 * tolerances.FP32_LOSS_TRAJECTORY


def test_killed_and_resumed_ends_bit_for_bit_the_same(tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch")
    _, weights, _ = train(fit, tmp_path / "straight", settings, model=top(above=0.1))
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", settings, model=top(above=0.1), log=kill_at(20))
    _, resumed, _ = train(fit, tmp_path / "killed", settings, model=top(above=0.1), resume=True)
    assert furthest(resumed, weights) == 0


@pytest.mark.parametrize("second", ["top-1", "all"])
def test_together_as_alone(second, tmp_path):
    alone, jobs = [], []
    first = None
    for number, layers in enumerate(("top-1", second)):
        model = top(layers=layers)
        if first is not None:
            _share(model, first)
        first = first or model
        data = stream(LENGTHS, seed=number, learnable=True), VALIDATION
        plan = batching.plan(data[0].lengths, batch_size=8, num_epochs=2, seed=number)
        _, weights, _ = train(fit, tmp_path / f"alone {number}", BASE, model=top(layers=layers), plan=plan, data=data)
        alone.append(weights)
        jobs.append(Job(model, *data, plan, BASE, CPU, tmp_path / str(number), False, lambda _: None))
    for job, outcome in fit_together(jobs):
        assert not isinstance(outcome, Exception)
        weights = {name: p.detach() for name, p in job.model.named_parameters() if p.requires_grad}
        assert furthest(weights, alone[jobs.index(job)]) < 10 * tolerances.FP32_FINAL_WEIGHTS


def _share(model, first):
    """Give a model the first one's frozen tensors."""
    theirs = {name.replace(".base_layer", ""): parameter for name, parameter in classifier_of(first).named_parameters()}
    for name, parameter in list(classifier_of(model).named_parameters()):
        if not parameter.requires_grad and ".original_module." not in name:
            owner, _, last = name.rpartition(".")
            setattr(classifier_of(model).get_submodule(owner), last, theirs[name.replace(".base_layer", "")])


def test_what_changes_is_not_kept():
    assert fixed_layers(top()) == 1
    assert fixed_layers(top(above=0.2)) == 1
    assert fixed_layers(top(layers="top-2")) == 0
    assert fixed_layers(classifier("bert", "full")) == 0
    assert fixed_layers(classifier("bert", "bitfit")) == 0
    assert fixed_layers(classifier("bert", "head")) == 1
    assert fixed_layers(classifier("bert", "head", dropout=0.1)) == 0
    assert fixed_layers(classifier("albert")) == 0


@pytest.mark.parametrize(("family", "layers", "said"), [("bert", "top-3", "top-1 to top-2"), ("albert", "top-1", "no layers")])
def test_layers_that_are_not_there_are_refused(family, layers, said):
    with pytest.raises(InputError, match=said):
        top(family, layers=layers)
