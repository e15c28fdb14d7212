"""Adapters trained together on one frozen base against the same adapters trained alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import tiny
import tolerances
from classifiers import stream
from lorabert.config import LoraConfig, ModelConfig, TrainConfig
from lorabert.data import batching, packing
from lorabert.data.packing import join, merge, pack
from lorabert.engine.packed import Bits, PackedBase, PackedClassifier, adapter_in
from lorabert.engine.training import Job, fit_together, fitting
from lorabert.errors import Diverged, InputError, Unsupported
from lorabert.hardware import Placement
from lorabert.models import bases, methods
from lorabert.models.wrapped import classifier_of

CPU = Placement("cpu", "fp32", "a test")
SETTINGS = TrainConfig(learning_rate=2e-3, num_train_epochs=2, per_device_train_batch_size=8, logging_steps=1, save_strategy="no")
LENGTHS = np.random.default_rng(3).integers(1, 40, 60)
KINDS = {
    "plain": ({}, {}),
    "all-linear, two ranks": ({"target_modules": "all-linear", "r": 3, "lora_alpha": 7}, {"learning_rate": 5e-3, "seed": 1}),
    "head alone": ({}, {"method": "head", "gradient_accumulation_steps": 3, "seed": 2}),
    "dora": ({"target_modules": "all-linear", "use_dora": True}, {"lr_scheduler_type": "cosine", "warmup": 0.2, "seed": 3}),
    "decaying": ({"use_rslora": True, "r": 16}, {"weight_decay": 0.2, "max_grad_norm": 0.05, "num_train_epochs": 1, "seed": 4}),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tiny.build_base(tmp_path_factory.mktemp("bases") / "bert", with_pooler=False)
    return bases.find(ModelConfig(name=str(folder)))


class Alone:
    """One run's parts: model, splits, settings, log."""

    def __init__(self, base, number, lora, train, folder, *, dropout=0.0, frozen=None):
        self.settings = dataclasses.replace(SETTINGS, **train)
        torch.manual_seed(self.settings.seed)
        loaded = bases.load(base, [f"label {index}" for index in range(2 + number % 2)])
        bases.share(loaded, frozen or {})
        self.parameters = dict(loaded.model.named_parameters())
        self.model = methods.apply(loaded, self.settings.method, LoraConfig(**{"lora_dropout": dropout, **lora}))
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        self.train = stream(LENGTHS, seed=number, learnable=True, pairs=number == 1)
        self.validation, self.events, self.folder = stream(LENGTHS[:20], seed=9, learnable=True), [], folder

    def job(self, *, resume=False):
        plan = batching.plan(self.train.lengths, batch_size=8, num_epochs=self.settings.num_train_epochs, seed=self.settings.seed)
        return Job(self.model, self.train, self.validation, plan, self.settings, CPU, self.folder, resume, self.events.append)

    def weights(self):
        return {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}


def team(base, folder, **options):
    runs = []
    for number, (lora, train) in enumerate(KINDS.values()):
        frozen = runs[0].parameters if runs else None
        runs.append(Alone(base, number, lora, train, folder / str(number), frozen=frozen, **options))
    return runs


def alone(base, folder, **options):
    runs = [Alone(base, number, *kind, folder / str(number), **options) for number, kind in enumerate(KINDS.values())]
    for run in runs:
        assert_all_done(fit_together([run.job()], concurrent=1))
    return runs


def assert_all_done(outcomes):
    for _, outcome in outcomes:
        assert not isinstance(outcome, Exception), outcome


def furthest(left, right):
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.parametrize("concurrent", [2, 5, None])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_together_as_alone(base, tmp_path, concurrent, dropout):
    expected = alone(base, tmp_path / "alone", dropout=dropout)
    got = team(base, tmp_path / "together", dropout=dropout)
    before = {name: value.clone() for name, value in got[0].parameters.items()}
    assert_all_done(fit_together((run.job() for run in got), concurrent=concurrent))
    for mine, theirs in zip(got, expected, strict=True):
        assert furthest(mine.weights(), theirs.weights()) < tolerances.FP32_FINAL_WEIGHTS
        assert [event["step"] for event in mine.events] == [event["step"] for event in theirs.events]
        difference = np.abs([a["loss"] - b["loss"] for a, b in zip(mine.events, theirs.events, strict=True)])
        assert difference.max() < tolerances.FP32_LOSS_TRAJECTORY
    own = ("classifier", "pooler")
    assert all(torch.equal(value, before[name]) for name, value in got[0].parameters.items() if not any(o in name for o in own))


@pytest.mark.parametrize("concurrent", [1, 5])
def test_as_on_a_gpu_those_that_train_alone_are_recorded(base, tmp_path, graphs, concurrent):
    expected = alone(base, tmp_path / "alone")
    got = team(base, tmp_path / "together")
    assert_all_done(fit_together((run.job() for run in got), concurrent=concurrent))
    for mine, theirs in zip(got, expected, strict=True):
        assert furthest(mine.weights(), theirs.weights()) < tolerances.FP32_FINAL_WEIGHTS
    *each, together = graphs
    assert all(recorder.replayed for recorder in each)
    assert together.replayed == (sum(recorder.replayed for recorder in each) if concurrent == 1 else 0)


def test_fillers_of_no_run_change_nothing_and_draw_nothing(base, tmp_path, monkeypatch):
    expected = alone(base, tmp_path / "alone", dropout=0.2)
    got, sizes = team(base, tmp_path / "together", dropout=0.2), set()
    monkeypatch.setattr(packing, "_grain", lambda tokens: 1024)
    forward = PackedBase.__call__

    def noted(self, inputs, *others):
        sizes.add((len(inputs.batch.ids), inputs.batch.parts[-1].tokens.stop))
        return forward(self, inputs, *others)

    monkeypatch.setattr(PackedBase, "__call__", noted)
    assert_all_done(fit_together(run.job() for run in got))
    assert any(size == 1024 and end < 1000 for size, end in sizes)
    for mine, theirs in zip(got, expected, strict=True):
        assert furthest(mine.weights(), theirs.weights()) < tolerances.FP32_FINAL_WEIGHTS


@pytest.mark.parametrize(
    ("room", "share", "expected"),
    [(0, 1.0, 1), (2.5, 1.0, 2), (5.5, 0.5, 2), (99, 1.0, 5)],
    ids=["none", "two", "half of five", "all"],
)
def test_as_many_train_at_once_as_half_of_the_free_memory_holds(base, tmp_path, monkeypatch, room, share, expected):
    got = [Alone(base, 0, {}, {}, tmp_path / "0")]
    got += [Alone(base, 0, {}, {}, tmp_path / str(number), frozen=got[0].parameters) for number in range(1, 5)]
    free = int(2 * room * got[0].job().needed)
    monkeypatch.setattr(fitting, "available_bytes", lambda device: free)
    costs = [cost.together for _, cost in fit_together((run.job() for run in got), share=share)]
    assert costs == [expected] * 5


def test_a_larger_run_needs_more_memory(base, tmp_path):
    run = Alone(base, 0, {}, {}, tmp_path)
    few = dataclasses.replace(run.job(), plan=batching.plan(run.train.lengths, batch_size=4, num_epochs=1, seed=0))
    assert few.needed < run.job().needed


def test_negative_control_another_seed_ends_elsewhere(base, tmp_path):
    one, other = (Alone(base, 0, {}, {"seed": seed}, tmp_path / str(seed), dropout=0.2) for seed in (1, 2))
    for run in (one, other):
        assert_all_done(fit_together([run.job()]))
    assert furthest(one.weights(), other.weights()) > 10 * tolerances.FP32_FINAL_WEIGHTS


def test_the_gradient_of_one_with_respect_to_anothers_examples_is_exactly_zero(base, tmp_path):
    runs = team(base, tmp_path, dropout=0.2)
    shared = PackedBase(classifier_of(runs[0].model))
    adapters = [adapter_in(run.model) for run in runs]
    joined = join([pack(run.train, np.arange(8)) for run in runs])
    streams = [Bits(number) for number in range(len(runs))]
    answers = shared(shared.inputs(joined), adapters, streams)
    answers[1].sum().backward()
    for number, run in enumerate(runs):
        gradients = [p.grad for p in run.model.parameters() if p.requires_grad and p.grad is not None]
        if number == 1:
            assert max(float(g.abs().max()) for g in gradients) > 0
        else:
            assert all(not g.any() for g in gradients)


def test_a_run_that_diverges_does_not_touch_the_others(base, tmp_path):
    expected = alone(base, tmp_path / "alone")
    got = team(base, tmp_path / "together")
    with torch.no_grad():
        next(p for p in got[1].model.parameters() if p.requires_grad).fill_(float("nan"))
    outcomes = list(fit_together(run.job() for run in got))
    failed = [job.checkpoints for job, outcome in outcomes if isinstance(outcome, Diverged)]
    assert failed == [got[1].folder]
    assert_all_done((job, outcome) for job, outcome in outcomes if job.checkpoints not in failed)
    for number in (0, 2, 3, 4):
        assert furthest(got[number].weights(), expected[number].weights()) < tolerances.FP32_FINAL_WEIGHTS


def test_a_run_that_fails_leaves_and_the_others_go_on(base, tmp_path):
    expected = alone(base, tmp_path / "alone")
    got = team(base, tmp_path / "together")
    got[2].settings = dataclasses.replace(got[2].settings, save_strategy="epoch")
    got[2].folder.parent.mkdir(parents=True, exist_ok=True)
    got[2].folder.write_text("a file where the checkpoints should go")
    outcomes = dict(fit_together(run.job() for run in got))
    failed = [job for job, outcome in outcomes.items() if isinstance(outcome, Exception)]
    assert [job.checkpoints for job in failed] == [got[2].folder]
    assert isinstance(outcomes[failed[0]], InputError)
    for number in (0, 1, 3, 4):
        assert furthest(got[number].weights(), expected[number].weights()) < tolerances.FP32_FINAL_WEIGHTS


def test_early_stop_of_one(base, tmp_path):
    late = {"num_train_epochs": 4}
    early = {"num_train_epochs": 4, "early_stopping_patience": 1, "learning_rate": 0.3, "save_strategy": "epoch", "seed": 5}
    settings = [({}, late), ({}, early)]
    expected = [Alone(base, number, *kind, tmp_path / f"alone {number}") for number, kind in enumerate(settings)]
    costs = [next(iter(fit_together([run.job()])))[1] for run in expected]
    first = Alone(base, 0, *settings[0], tmp_path / "0")
    got = [first, Alone(base, 1, *settings[1], tmp_path / "1", frozen=first.parameters)]
    together = {job.checkpoints.name: cost for job, cost in fit_together(run.job() for run in got)}
    assert together["1"].epochs < 4
    for number, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        assert together[str(number)].epochs == costs[number].epochs
        assert together[str(number)].together == 2
        assert furthest(mine.weights(), theirs.weights()) < tolerances.FP32_FINAL_WEIGHTS


def test_resume_continues_each_where_it_stood(base, tmp_path):
    save = {"save_strategy": "epoch", "num_train_epochs": 3}
    kinds = [({}, save), ({"r": 4}, {**save, "seed": 1})]
    whole = [Alone(base, number, *kind, tmp_path / f"whole {number}", dropout=0.2) for number, kind in enumerate(kinds)]
    for run in whole:
        assert_all_done(fit_together([run.job()]))

    def pair():
        first = Alone(base, 0, *kinds[0], tmp_path / "0", dropout=0.2)
        return [first, Alone(base, 1, *kinds[1], tmp_path / "1", dropout=0.2, frozen=first.parameters)]

    class Killed(BaseException):
        pass

    cut = pair()

    def after_two_epochs(event):
        if event["event"] == "validation" and event["epoch"] == 2:
            raise Killed

    cut[1].events = type("Log", (), {"append": staticmethod(after_two_epochs)})()
    with pytest.raises(Killed):
        list(fit_together(run.job() for run in cut))
    resumed = pair()
    assert_all_done(fit_together(run.job(resume=True) for run in resumed))
    assert resumed[0].events[0]["epoch"] > 1
    for mine, theirs in zip(resumed, whole, strict=True):
        assert furthest(mine.weights(), theirs.weights()) < tolerances.FP32_FINAL_WEIGHTS


def test_what_trains_the_base_itself_cannot_share_it(base, tmp_path):
    first = Alone(base, 0, {}, {}, tmp_path / "0")
    biases = Alone(base, 1, {}, {"method": "bitfit"}, tmp_path / "1", frozen=first.parameters)
    with pytest.raises(Unsupported, match="cannot share"):
        list(fit_together(run.job() for run in (first, biases)))
    stranger = Alone(base, 1, {}, {}, tmp_path / "2")
    with pytest.raises(Unsupported, match="not shared"):
        list(fit_together(run.job() for run in (Alone(base, 0, {}, {}, tmp_path / "3"), stranger)))


def test_merged_blocks_give_each_row_what_its_adapter_alone_gives(base, tmp_path):
    runs = team(base, tmp_path)
    with torch.no_grad():
        for run in runs:
            for p in run.model.parameters():
                if p.requires_grad:
                    p.add_(torch.randn_like(p), alpha=0.1)
    rows = [np.arange(5 * number, 5 * number + number + 1) for number in range(len(runs))]
    batches = [pack(run.train, some) for run, some in zip(runs, rows, strict=True)]
    shared, adapters = PackedBase(classifier_of(runs[0].model)), [adapter_in(run.model) for run in runs]
    with torch.inference_mode():
        got = shared(shared.inputs(merge(batches)), adapters)
        expected = [PackedClassifier(run.model, merged=True)(batch) for run, batch in zip(runs, batches, strict=True)]
        swapped = shared(shared.inputs(merge(batches)), [adapters[2], *adapters[1:2], adapters[0], *adapters[3:]])
    assert len(merge(batches).blocks) < len(join(batches).blocks)
    for mine, theirs in zip(got, expected, strict=True):
        assert (mine - theirs).abs().max() < tolerances.FP32_LOGITS * max(1.0, float(theirs.abs().max()))
    assert (swapped[0] - got[0]).abs().max() > 100 * tolerances.FP32_LOGITS
