"""Three real processes against one, on the same batches: every loss and the final weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import parallel
import tolerances
from lorabert.data.batching import share
from lorabert.engine.training import fit
from lorabert.errors import InputError
from trainings import BASE, furthest, losses, same_events, train


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What three processes came to."""
    folder = tmp_path_factory.mktemp("together")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={parallel.PROCESSES}"]
    path = os.pathsep.join([str(Path(parallel.__file__).parent), *sys.path])
    done = subprocess.run(
        [*launcher, parallel.__file__, str(folder)], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def outcome(folder, name):
    found = json.loads((folder / f"{name}.json").read_text())
    return found["events"], load_file(folder / f"{name}.safetensors"), found["cost"]


@pytest.mark.parametrize("name", parallel.VARIANTS)
def test_every_loss_and_the_final_weights(together, name, tmp_path):
    expected, expected_weights, cost = parallel.variant(name, tmp_path)
    got, weights, their_cost = outcome(together, name)
    drift = 10 if name == "early stop" else 1  # its rate is so high that roundings grow tenfold in ten steps
    same_events(got, expected, drift * tolerances.FP32_LOSS_TRAJECTORY)
    # A key's bias has a gradient of rounding noise alone.
    tolerance = drift * tolerances.FP32_FINAL_WEIGHTS
    assert furthest(weights, expected_weights, but=("key.bias",)) < tolerance
    assert (their_cost["steps"], their_cost["tokens"], their_cost["epochs"]) == (cost.steps, cost.tokens, cost.epochs)


def test_negative_control_gradients_that_are_not_added_up_lead_elsewhere(together, tmp_path):
    _, expected, _ = parallel.variant("plain", tmp_path)
    assert furthest(load_file(together / "control.safetensors"), expected) > 10 * tolerances.FP32_FINAL_WEIGHTS


def test_killed_and_resumed_ends_bit_for_bit_the_same(together):
    straight, weights, _ = outcome(together, "straight")
    resumed, resumed_weights, _ = outcome(together, "resumed")
    assert furthest(resumed_weights, weights) == 0
    assert 0 < len(resumed) < len(straight)
    assert resumed == straight[-len(resumed) :]


def test_each_process_draws_dropout_of_its_own(together):
    states = load_file(next(together.glob("straight/checkpoint-*/tensors.safetensors")))["bits"]
    assert len(states) == len(torch.unique(states, dim=0)) == parallel.PROCESSES


def test_dropout_agrees_with_one_process_in_the_mean(together, tmp_path):
    one, _, _ = train(fit, tmp_path, parallel.STOCHASTIC, model=parallel.classifier(dropout=0.1))
    three, _, _ = outcome(together, "straight")
    difference = losses(one) - losses(three)
    assert np.abs(difference).max() > 1e-3
    assert abs(difference.mean()) < 4 * difference.std() / len(difference) ** 0.5


def test_another_number_of_processes_cannot_go_on(together, tmp_path):
    with pytest.raises(InputError, match="1 instead of 3"):
        train(fit, together / "straight", parallel.STOCHASTIC, model=parallel.classifier(dropout=0.1), resume=True)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_a_partition_with_like_many_tokens(size):
    lengths = np.random.default_rng(0).integers(1, 100, 50)
    rows = np.random.default_rng(1).permutation(50)[:23]
    shares = [share(rows, lengths, rank, size) for rank in range(size)]
    assert sorted(np.concatenate(shares)) == sorted(rows)
    tokens = [lengths[own].sum() for own in shares]
    assert max(tokens) - min(tokens) <= lengths[rows].max()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_processes_than_rows_leave_some_without():
    assert [len(share(np.array([4]), np.arange(1, 9), rank, 3)) for rank in range(3)] == [1, 0, 0]
    assert BASE.per_device_train_batch_size % parallel.PROCESSES
