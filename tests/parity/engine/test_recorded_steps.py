"""Training by recorded steps, as on a GPU, against the Trainer: a CPU replays the same calls on the same tensors.

What this cannot show is PyTorch's own recording on a GPU; `test_on_gpu.py` does.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import tolerances
from classifiers import METHODS, classifier, stream
from lorabert.data.packing import ALIKE, pack
from lorabert.engine import reference
from lorabert.engine.packed import Inputs, PackedClassifier
from lorabert.engine.training import fit
from lorabert.engine.training.stepping import Stepping
from trainings import BASE, Killed, furthest, kill_at, same_events, train

SETTINGS = {
    "accumulation": {"gradient_accumulation_steps": 3},
    "decay": {"weight_decay": 0.1},
    "clipping": {"max_grad_norm": 0.1},
}


@pytest.mark.parametrize(("method", "lora"), METHODS.values(), ids=METHODS)
def test_every_loss_and_the_final_weights(method, lora, graphs, tmp_path):
    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", model=classifier(method=method, **lora))
    got, weights, _ = train(fit, tmp_path / "recorded", model=classifier(method=method, **lora))
    same_events(got, expected)
    assert furthest(weights, expected_weights, but=("key.bias",)) < tolerances.FP32_FINAL_WEIGHTS
    assert graphs[0].replayed > len(got) / 2 > len(graphs[0].recorded)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_loss_and_the_final_weights_in_other_settings(settings, graphs, tmp_path):
    settings = dataclasses.replace(BASE, **settings)
    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", settings)
    got, weights, _ = train(fit, tmp_path / "recorded", settings)
    same_events(got, expected)
    assert furthest(weights, expected_weights, but=("key.bias",)) < tolerances.FP32_FINAL_WEIGHTS
    assert graphs[0].replayed


def test_killed_and_resumed_ends_where_it_would_have(graphs, tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch")
    _, weights, _ = train(fit, tmp_path / "straight", settings)
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", settings, log=kill_at(30))
    _, resumed, _ = train(fit, tmp_path / "killed", settings, resume=True)
    assert furthest(resumed, weights) < tolerances.FP32_FINAL_WEIGHTS
    assert graphs[-1].replayed


def test_negative_control_a_replay_that_takes_no_new_numbers_trains_something_else(graphs, tmp_path, monkeypatch):
    _, expected, _ = train(reference.fit, tmp_path / "reference")
    monkeypatch.setattr(Inputs, "take", lambda *_: None)
    _, weights, _ = train(fit, tmp_path / "recorded")
    assert furthest(weights, expected) > 10 * tolerances.FP32_FINAL_WEIGHTS


def test_negative_control_gradients_that_do_not_stay_are_lost(graphs, tmp_path, monkeypatch):
    _, expected, _ = train(reference.fit, tmp_path / "reference")
    stay = Stepping._alone

    def go(self, batch, runs, graphs):
        losses = stay(self, batch, runs, graphs)
        runs[0].optimising.keeps_gradients = False
        return losses

    monkeypatch.setattr(Stepping, "_alone", go)
    _, weights, _ = train(fit, tmp_path / "recorded")
    assert furthest(weights, expected) > 10 * tolerances.FP32_FINAL_WEIGHTS


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_inputs_take_the_numbers_of_another_batch(pairs, graphs):
    split, model = stream(np.tile([30, 7, 19], 20), pairs=pairs), PackedClassifier(classifier())
    one, other = (pack(split, rows, ALIKE) for rows in (np.arange(6), np.arange(31, 37)))
    inputs = model.base.inputs(one)
    before = model.base(inputs, [model.adapter])[0]
    inputs.take(other)
    assert torch.equal(model.base(inputs, [model.adapter])[0], model(other))
    assert torch.equal(inputs.labels, torch.from_numpy(other.labels))
    assert not torch.equal(before, model(other))
