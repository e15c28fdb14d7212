"""Many runs at once: each ends as it would have ended alone, none disturbs another, finished ones are not made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tiny
from lorabert.config import DataConfig, LoraConfig, ModelConfig, RunConfig, TrainConfig
from lorabert.runs import RunFolder
from lorabert.studies import campaign, experiment
from lorabert.studies.campaign import Job


@pytest.fixture
def settings(tmp_path, base_folder):
    folder = base_folder("bert", with_pooler=False)
    tiny.write_csv(tmp_path / "reviews.csv", *tiny.reviews(120, 2))
    return RunConfig(
        model=ModelConfig(name=str(folder), max_length=32),
        data=DataConfig(train=str(tmp_path / "reviews.csv"), split_seed=0),
        lora=LoraConfig(lora_dropout=0.1),
        train=TrainConfig(num_train_epochs=2, learning_rate=5e-3, baselines=False, precision="fp32"),
    )


def changed(settings, *, lora=None, **train):
    lora = dataclasses.replace(settings.lora, **(lora or {}))
    return dataclasses.replace(settings, train=dataclasses.replace(settings.train, **train), lora=lora).resolved()


def logits(record):
    return np.array(pq.read_table(Path(record["run"]) / "predictions.parquet")["logits"].to_pylist())


def quiet(_: str) -> None:
    pass


def test_each_ends_as_alone_and_what_can_share_a_base_does(settings, tmp_path):
    wanted = {
        "lora": changed(settings),
        "other seed": changed(settings, seed=1),
        "rank": changed(settings, lora={"r": 2, "target_modules": "all-linear"}),
        "head": changed(settings, method="head"),
        "full": changed(settings, method="full"),
        "reference": changed(settings, engine="reference"),
    }
    records = campaign.run([Job(one, tmp_path / "together" / name) for name, one in wanted.items()], say=quiet)
    assert [record["status"] for record in records] == ["done"] * 6
    assert [record["fit"]["together"] for record in records] == [4, 4, 4, 4, 1, 1]
    assert [record["engine"] for record in records] == [*["fast"] * 5, "reference"]
    for (name, one), record in zip(wanted.items(), records, strict=True):
        alone = experiment.train(one, out=tmp_path / "alone" / name, say=quiet)
        assert np.abs(logits(alone) - logits(record)).max() < 1e-4
        assert alone["fit"]["steps"] == record["fit"]["steps"]
    assert np.abs(logits(records[0]) - logits(records[1])).max() > 1e-2


def test_a_failure_stays_alone_and_a_second_call_makes_only_what_is_missing(settings, tmp_path):
    jobs = [Job(changed(settings, seed=seed), tmp_path / "runs" / str(seed)) for seed in range(3)]
    jobs[1].out.parent.mkdir()
    jobs[1].out.write_text("a file where the run folder should go")
    first = campaign.run(jobs, say=quiet)
    assert [record["status"] for record in first] == ["done", "failed", "done"]
    assert str(jobs[1].out) in first[1]["error"]
    finished = {job.out: RunFolder.open(job.out).record["finished"] for job in (jobs[0], jobs[2])}
    jobs[1].out.unlink()
    second = campaign.run(jobs, say=quiet)
    assert [record["status"] for record in second] == ["done"] * 3
    assert {out: RunFolder.open(out).record["finished"] for out in finished} == finished


def test_an_architecture_that_the_fast_engine_does_not_know_goes_one_by_one(settings, tmp_path, base_folder):
    model = ModelConfig(name=str(base_folder("mpnet")), max_length=32)
    wanted = [dataclasses.replace(changed(settings, seed=seed), model=model) for seed in range(2)]
    records = campaign.run([Job(one, tmp_path / "runs" / str(number)) for number, one in enumerate(wanted)], say=quiet)
    assert [(record["status"], record["engine"]) for record in records] == [("done", "reference")] * 2
