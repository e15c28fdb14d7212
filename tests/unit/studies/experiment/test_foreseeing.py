"""A run says when it will end before anything long begins, from its own steps, which change nothing."""

import dataclasses
import json
import re
import time

import pytest
import torch

import tiny
from lorabert.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from lorabert.data.pacing import Pace
from lorabert.hardware import Placement
from lorabert.studies import experiment
from lorabert.studies.experiment import foreseeing, preparing, shortening
from lorabert.studies.experiment.preparing import prepare

LINE = r"(Less than a minute|About \d.*) left: ends near \d\d:\d\d"


@pytest.fixture
def settings(tiny_base, tmp_path):
    texts, labels = tiny.reviews(120, classes=3)
    tiny.write_csv(tmp_path / "reviews.csv", texts, labels)
    return RunConfig(
        ModelConfig(str(tiny_base), max_length=64), DataConfig(train="reviews.csv"),
        train=TrainConfig(precision="fp32", num_train_epochs=2, logging_steps=2, baselines=False),
    )  # fmt: skip


def with_train(settings, **changes):
    return dataclasses.replace(settings, train=dataclasses.replace(settings.train, **changes)).resolved()


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_measured_steps_leave_no_trace(settings, engine, method):
    lines, asked = [], with_train(settings, engine=engine, method=method)
    plain, measured = prepare(asked, lines.append, None), prepare(asked, lines.append, None, measure=True)
    assert measured.foreseen.engine == engine
    assert measured.foreseen.pace.steps >= 2
    assert [line for line in lines if re.fullmatch(LINE, line)]
    before, after = (dict(ready.model.named_parameters()) for ready in (plain, measured))
    assert all(torch.equal(before[name], after[name]) and after[name].grad is None for name in before)
    assert torch.equal(torch.rand(3), torch.rand(3)) is False
    assert [module.training for module in plain.model.modules()] == [module.training for module in measured.model.modules()]


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_random_states_are_as_before(settings, engine):
    ready = prepare(with_train(settings, engine=engine), lambda _: None, None)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    foreseeing.foresee(ready.model, ready.tokenizer, ready.splits, ready.settings, ready.placement)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_the_record_tells_what_was_expected_and_what_it_came_to(settings, tmp_path, engine):
    lines = []
    experiment.train(with_train(settings, engine=engine), out=tmp_path / "run", say=lines.append)
    found = json.loads((tmp_path / "run" / "run.json").read_text())["estimate"]
    assert 0 <= found["seconds"] < 600  # in tenths, of a training that may take less
    assert 0 <= found["came_to_seconds"] < 600
    assert found["engine"] == engine
    assert found["measured_tokens"] > 0
    assert found["shorter"] == []
    place = next(number for number, line in enumerate(lines) if re.fullmatch(LINE, line))
    assert place < next(number for number, line in enumerate(lines) if line.startswith("Tokens:"))  # before tokenisation


def test_work_is_counted_in_tokens():
    settings = RunConfig(train=TrainConfig(num_train_epochs=3, baselines=True))
    work = foreseeing.work_of(settings, {"train": 10_000, "validation": 100, "test": 200},
                              {"train": 20.0, "validation": 10.0, "test": 30.0})  # fmt: skip
    assert work.trained == 3 * 10_000 * 20
    assert work.read == 4 * 100 * 10 + 200 * 30 + 4_000 * 20 + 200 * 30
    assert work.seconds(Pace(2, 1_000, 2.0)) == pytest.approx(0.002 * (work.trained + 0.5 * work.read))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "less than a minute"),
     (60, "about 1 min"), (12 * 60, "about 12 min"), (3_600, "about 1 h"), (12_000, "about 3 h 20 min"),
     (40_000, "about 11 h"), (400_000, "about 5 days")],
)  # fmt: skip
def test_durations_are_told_as_people_tell_them(seconds, said):
    assert foreseeing.duration(seconds) == said


def test_an_end_on_another_day_tells_the_day():
    noon = time.mktime((2026, 11, 26, 12, 0, 0, 0, 0, -1))
    assert foreseeing.left(750, noon) == "About 12 min left: ends near 12:12"
    assert foreseeing.left(13 * 3_600, noon).endswith("ends near 01:00 on 2026-11-27")


def test_a_long_run_is_told_what_would_make_it_shorter_and_a_short_one_is_not(settings):
    asked = with_train(settings, num_train_epochs=4, baselines=True)
    ready = prepare(asked, lambda _: None, None, measure=True)
    long = dataclasses.replace(ready.foreseen, pace=Pace(1, 1, 1.0))
    assert long.seconds > shortening.LONG_SECONDS
    lines = shortening.shorter(long, asked, Placement("cpu", "fp32", ""), ready.model, 10_000)
    quarter = foreseeing.duration(long.seconds / 4)
    assert f"--train.num_train_epochs 1: {quarter}" in lines
    assert any(line.startswith("--data.limit ") for line in lines)
    assert not any("minilm" in line for line in lines)  # this base is smaller still
    assert shortening.shorter(ready.foreseen, asked, ready.placement, ready.model, 96) == []


def test_steps_that_fail_are_told_of_and_the_run_goes_on(settings, monkeypatch):
    def broken(*_):
        raise ValueError("no such\nstep")

    monkeypatch.setattr(preparing, "foresee", broken)
    lines = []
    assert prepare(settings.resolved(), lines.append, None, measure=True).foreseen is None
    assert "No estimate of the time: the steps that it is measured on failed (ValueError: no such step)" in lines
