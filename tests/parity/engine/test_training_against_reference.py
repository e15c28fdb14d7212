"""The fast engine's training against the Trainer's: every loss, the final weights, resuming, dropout's randomness."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch

import tolerances
from classifiers import classifier
from lorabert.data import batching
from lorabert.data.batching import BatchPlan
from lorabert.engine import reference
from lorabert.engine.packed.masks import Bits, draw
from lorabert.engine.training import checkpoints, fit
from lorabert.errors import Unsupported
from lorabert.hardware import Placement
from trainings import BASE, STOPPING, TRAIN, Killed, furthest, kill_at, losses, plan_of, same_events, train

VARIANTS = {
    "plain": {},
    "accumulating": {"gradient_accumulation_steps": 3},
    "tightly clipped": {"max_grad_norm": 0.05},
    "clipped while accumulating": {"max_grad_norm": 0.05, "gradient_accumulation_steps": 2},
    "not clipped": {"max_grad_norm": 0.0},
    "decaying": {"weight_decay": 0.3},
    "cosine with warm-up steps": {"lr_scheduler_type": "cosine", "warmup": 5.0},
    "constant": {"lr_scheduler_type": "constant", "warmup": 0.0},
    "constant with warm-up": {"lr_scheduler_type": "constant_with_warmup", "warmup": 0.25},
    "seldom logged": {"logging_steps": 4},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_loss_and_the_final_weights(changes, tmp_path):
    settings = dataclasses.replace(BASE, **changes)
    expected, expected_weights, expected_cost = train(reference.fit, tmp_path / "reference", settings)
    got, weights, cost = train(fit, tmp_path / "fast", settings)
    same_events(got, expected)
    assert furthest(weights, expected_weights) < tolerances.FP32_FINAL_WEIGHTS
    for key in ("steps", "epochs", "tokens"):
        assert getattr(cost, key) == getattr(expected_cost, key)


@pytest.mark.parametrize("method", ["full", "bitfit", "head"])
def test_other_methods(method, tmp_path):
    settings = dataclasses.replace(BASE, weight_decay=0.1, num_train_epochs=2)
    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", settings, model=classifier("roberta", method))
    got, weights, _ = train(fit, tmp_path / "fast", settings, model=classifier("roberta", method))
    same_events(got, expected)
    # A key's bias moves all scores of a query alike, so its gradient is rounding noise, which AdamW scales to full steps.
    assert furthest(weights, expected_weights, but=("key.bias",)) < tolerances.FP32_FINAL_WEIGHTS


def test_negative_control_another_plan_gives_other_losses(tmp_path):
    other = batching.plan(TRAIN.lengths, batch_size=8, num_epochs=2, seed=1)
    plain, weights, _ = train(fit, tmp_path / "plain")
    changed, changed_weights, _ = train(fit, tmp_path / "other", plan=other)
    assert np.abs(losses(plain) - losses(changed)).max() > 1000 * tolerances.FP32_LOSS_TRAJECTORY
    assert furthest(weights, changed_weights) > 10 * tolerances.FP32_FINAL_WEIGHTS


def test_negative_control_each_variant_changes_the_run(tmp_path):
    _, plain, _ = train(fit, tmp_path / "plain")
    for name in ("accumulating", "tightly clipped", "decaying", "cosine with warm-up steps", "constant"):
        _, weights, _ = train(fit, tmp_path / name, dataclasses.replace(BASE, **VARIANTS[name]))
        assert furthest(weights, plain) > 2 * tolerances.FP32_FINAL_WEIGHTS, name


def test_it_learns(tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=12, learning_rate=5e-3)
    events, _, _ = train(fit, tmp_path, settings, model=classifier("bert", "full", dropout=0.1))
    assert losses(events)[-13:].mean() < 0.5 * losses(events)[:13].mean()


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    expected, expected_weights, expected_cost = train(reference.fit, tmp_path / "reference", STOPPING)
    got, weights, cost = train(fit, tmp_path / "fast", STOPPING)
    measured = losses(got, "validation")
    assert len(measured) == len(losses(expected, "validation")) < 8
    assert measured.argmin() == losses(expected, "validation").argmin() == len(measured) - 3
    assert cost.epochs == expected_cost.epochs
    assert furthest(weights, expected_weights) < 10 * tolerances.FP32_FINAL_WEIGHTS


STOCHASTIC = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch", gradient_accumulation_steps=2)


@pytest.mark.parametrize("step", [3, 7, 10, 15, 21])
def test_killed_and_resumed_ends_bit_for_bit_the_same(step, tmp_path):
    straight, weights, cost = train(fit, tmp_path / "straight", STOCHASTIC, model=classifier(dropout=0.1))
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", STOCHASTIC, model=classifier(dropout=0.1), log=kill_at(step))
    resumed, resumed_weights, resumed_cost = train(
        fit, tmp_path / "killed", STOCHASTIC, model=classifier(dropout=0.1), resume=True
    )
    assert furthest(resumed_weights, weights) == 0
    assert resumed == straight[-len(resumed) :]
    assert (resumed_cost.steps, resumed_cost.epochs, resumed_cost.tokens) == (cost.steps, cost.epochs, cost.tokens)


@pytest.mark.parametrize("engine", [fit, reference.fit], ids=["fast", "reference"])
def test_the_seconds_of_a_resumed_run_are_those_of_all_its_parts(engine, tmp_path):
    def slowly(event):
        if event["step"] == 1:
            time.sleep(3)

    settings = dataclasses.replace(BASE, num_train_epochs=1, save_strategy="epoch")
    train(engine, tmp_path, settings, log=slowly)
    _, _, resumed = train(engine, tmp_path, settings, resume=True)
    assert resumed.train_seconds >= 3


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    write, written = checkpoints.write_atomically, []

    def fail_late(path, content, **options):
        written.append(path)
        if len(written) == 5:
            raise Killed
        write(path, content, **options)

    _, weights, _ = train(fit, tmp_path / "straight", STOCHASTIC, model=classifier(dropout=0.1))
    monkeypatch.setattr(checkpoints, "write_atomically", fail_late)
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", STOCHASTIC, model=classifier(dropout=0.1))
    monkeypatch.undo()
    found = checkpoints.newest(tmp_path / "killed")
    assert found is not None
    assert found[0].epochs == 1
    _, resumed_weights, _ = train(fit, tmp_path / "killed", STOCHASTIC, model=classifier(dropout=0.1), resume=True)
    assert furthest(resumed_weights, weights) == 0


def test_checkpoints_hold_no_pickle_and_the_newest_two_and_the_best_stay(tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=5, learning_rate=0.5, save_strategy="epoch")
    events, _, _ = train(fit, tmp_path, settings)
    best = 13 * (int(losses(events, "validation").argmin()) + 1)
    kept = {int(path.name.rpartition("-")[2]) for path in tmp_path.glob("checkpoint-*")}
    assert kept == {52, 65, best}
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"tensors.safetensors", "progress.json", "complete"}


def test_dropout_follows_the_seed_and_no_global_state(tmp_path):
    runs = []
    for number, (seed, noise) in enumerate([(42, 0), (42, 1), (43, 0)]):
        model = classifier(dropout=0.2)
        torch.manual_seed(noise)
        plan = plan_of(BASE)
        runs.append(train(fit, tmp_path / str(number), dataclasses.replace(BASE, seed=seed), model=model, plan=plan)[1])
    assert furthest(runs[0], runs[1]) == 0
    assert furthest(runs[0], runs[2]) > 1e-4


@pytest.mark.parametrize("use_dora", [False, True], ids=["lora", "dora"])
def test_dropout_agrees_with_transformers_in_the_mean(use_dora):
    """The mean loss over many draws, ours and theirs, within four standard errors."""
    from classifiers import padded
    from lorabert.data.packing import pack
    from lorabert.engine.packed import PackedClassifier

    model, rows = classifier(dropout=0.2, target_modules="all-linear", use_dora=use_dora), np.arange(16)
    bits = Bits(0)
    batch, packed = pack(TRAIN, rows), PackedClassifier(model)
    inputs = padded(TRAIN, batch.rows)
    inputs.pop("labels")
    torch.manual_seed(0)
    with torch.no_grad():
        ours = torch.stack([packed(batch, bits) for _ in range(100)])
        model.train()
        theirs = torch.stack([model(**inputs).logits for _ in range(100)])
    error = (ours.var(0) / 100 + theirs.var(0) / 100).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() / error).max() < 4
    assert (ours.std(0) / theirs.std(0)).log().abs().max() < 0.4


@pytest.mark.parametrize("p", [0.05, 0.1, 0.3])
def test_dropout_rates(p):
    mask = draw([Bits(0)], [999_000], p, torch.float32)
    assert mask is not None
    assert set(mask.keep.unique().tolist()) == {0.0, 1.0}
    assert float(1 - mask.keep.mean()) == pytest.approx(p, abs=4 * (p * (1 - p) / mask.keep.numel()) ** 0.5)
    assert mask.scale == pytest.approx(1 / (1 - p), rel=2**-16)
    # Elements that share a 64-bit draw must not share their fate.
    columns = mask.keep[: 4 * 249_000].view(-1, 4)
    assert np.abs(np.corrcoef(columns.T.numpy()) - np.eye(4)).max() < 5 / 249_000**0.5
    assert (columns.mean(0) - (1 - p)).abs().max() < 5 * (p * (1 - p) / 249_000) ** 0.5


def test_no_dropout_draws_nothing():
    bits = Bits(0)
    assert draw([bits], [25], 0.0, torch.float32) is None
    assert torch.equal(bits.words(9), Bits(0).words(9))


def test_random_bits_go_on_from_any_position():
    bits, again = Bits(3), Bits(3)
    begin, end = bits.words(1001), bits.words(77)
    assert not torch.equal(begin[:77], end)
    assert not torch.equal(begin, Bits(4).words(1001))
    again.words(1001)
    state = again.state()
    resumed = Bits(3)
    resumed.restore(state)
    assert torch.equal(resumed.words(77), end)
    assert torch.equal(again.words(77), end)


def test_the_reference_leaves_no_half_precision_behind(tmp_path):
    model = classifier()
    own = model.forward
    train(reference.fit, tmp_path, model=model, placement=Placement("cpu", "bf16", "a test"))
    assert model.forward == own
    assert "_original_forward" not in vars(model)


def test_bf16_follows_fp32(tmp_path):
    exact, _, _ = train(fit, tmp_path / "fp32")
    half, weights, _ = train(fit, tmp_path / "bf16", placement=Placement("cpu", "bf16", "a test"))
    assert np.abs(losses(exact) - losses(half)).max() < 0.1
    assert all(weight.dtype == torch.float32 for weight in weights.values())


@pytest.mark.parametrize(("device", "precision"), [("mps", "fp32"), ("cpu", "fp8")])
def test_what_it_does_not_know_is_refused_and_nothing_is_changed(device, precision, tmp_path):
    model = classifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(Unsupported, match=f"{precision}|{device}"):
        train(fit, tmp_path, model=model, placement=Placement(device, precision, "a test"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not list(tmp_path.iterdir())


def test_a_plan_of_one_small_batch(tmp_path):
    plan = BatchPlan([[np.array([5])]])
    settings = dataclasses.replace(BASE, num_train_epochs=1)
    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", settings, plan=plan)
    got, weights, _ = train(fit, tmp_path / "fast", settings, plan=plan)
    same_events(got, expected)
    assert furthest(weights, expected_weights) < tolerances.FP32_FINAL_WEIGHTS


def test_a_training_in_bf16_leaves_the_next_one_in_fp32(tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=1)
    expected, *_ = train(reference.fit, tmp_path / "before", settings)
    half, *_ = train(reference.fit, tmp_path / "half", settings, placement=Placement("cpu", "bf16", "a test"))
    got, *_ = train(reference.fit, tmp_path / "after", settings)
    assert np.abs(losses(half) - losses(expected)).max() > tolerances.FP32_LOSS_TRAJECTORY  # it does show
    assert np.array_equal(losses(got), losses(expected))
