"""Numbers at their limits: what diverges stops at once and alone, and the smallest sets are trained or refused in words."""

import json
import re

import pytest
import torch

import tiny
from lorabert.config import DataConfig, LoraConfig, ModelConfig, RunConfig, TrainConfig
from lorabert.errors import Diverged, InputError
from lorabert.models import methods
from lorabert.studies import campaign, experiment
from lorabert.studies.campaign import Job


@pytest.fixture
def settings(tiny_base, tmp_path):
    def settings(texts=None, labels=None, max_length=64, **train):
        if texts is None:
            texts, labels = tiny.reviews(80, classes=2)
        tiny.write_csv(tmp_path / "reviews.csv", texts, labels)
        fixed = {"precision": "fp32", "num_train_epochs": 1, "logging_steps": 1, "baselines": False, "learning_rate": 2e-3}
        return RunConfig(
            ModelConfig(str(tiny_base), max_length=max_length), DataConfig(train="reviews.csv"), LoraConfig(),
            TrainConfig(**{**fixed, **train}),
        ).resolved()  # fmt: skip

    return settings


@pytest.fixture
def models(monkeypatch):
    """The models that are trained, in the order of their preparation."""
    made, apply = [], methods.apply

    def kept(*words):
        made.append(apply(*words))
        return made[-1]

    monkeypatch.setattr(methods, "apply", kept)
    return made


def spoil(models, number=0, after=2):
    """A watch that puts a NaN into a model once it has made so many steps."""

    def watch(event):
        if event["event"] == "train" and event["step"] == after:
            weight = next(found for name, found in models[number].named_parameters() if "lora_A" in name)
            with torch.no_grad():
                weight[0, 0] = float("nan")

    return watch


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_a_training_that_diverges_stops_at_the_step_with_a_rate_and_no_adapter(settings, models, tmp_path, engine):
    with pytest.raises(Diverged, match=r"loss of step 3 is not a finite number.*--train\.learning_rate 0\.0002 instead"):
        experiment.train(settings(engine=engine), out=tmp_path / "run", say=lambda _: None, watch=spoil(models))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "diverged"
    assert not (tmp_path / "run" / "adapter").exists()
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_one_that_diverges_among_several_that_train_together_leaves_the_others_to_the_bit(settings, models, tmp_path):
    jobs = [settings(seed=seed) for seed in (1, 2, 3)]

    def weights(folder):
        return (folder / "adapter" / "adapter_model.safetensors").read_bytes()

    undisturbed = [Job(job, tmp_path / f"whole-{number}") for number, job in enumerate(jobs)]
    assert [record["status"] for record in campaign.run(undisturbed, concurrent=3, say=lambda _: None)] == ["done"] * 3
    models.clear()
    disturbed = [
        Job(job, tmp_path / f"run-{number}", spoil(models, 1) if number == 1 else None) for number, job in enumerate(jobs)
    ]
    records = campaign.run(disturbed, concurrent=3, say=lambda _: None)
    assert [record["status"] for record in records] == ["done", "diverged", "done"]
    assert "diverged: the loss of step 3" in records[1]["error"]
    assert json.loads((tmp_path / "run-1" / "run.json").read_text())["status"] == "diverged"
    assert not (tmp_path / "run-1" / "adapter").exists()
    for number in (0, 2):
        assert weights(tmp_path / f"run-{number}") == weights(tmp_path / f"whole-{number}")


def test_fp16_on_a_processor_is_refused_before_anything_is_written(settings, tmp_path):
    with pytest.raises(InputError, match="fp16 cannot be trained on a CPU"):
        experiment.train(settings(precision="fp16", device="cpu"), out=tmp_path / "run", say=lambda _: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        (["good film"], ["a"], r"one class|too few|example"),
        (["good film", "bad film"], ["a", "b"], r"too few|example|class"),
        ([f"film {number}" for number in range(40)], ["a"] * 40, r"one class"),
    ],
    ids=["one", "two", "one class"],
)
def test_sets_that_cannot_be_split_are_refused_in_words(settings, tmp_path, texts, labels, said):
    with pytest.raises(InputError) as refused:
        experiment.train(settings(texts, labels), out=tmp_path / "run", say=lambda _: None)
    assert re.search(said, str(refused.value))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("kind", ["one token", "as long as the base reads"])
def test_texts_of_one_token_and_of_all_that_the_base_reads_are_trained(settings, tmp_path, engine, kind):
    words = tiny.WORDS[:80]
    texts = list(words) if kind == "one token" else [" ".join([word] + ["film"] * 200) for word in words]
    record = experiment.train(
        settings(texts, [number % 2 for number in range(80)], engine=engine), out=tmp_path / "run", say=lambda _: None
    )
    assert record["status"] == "done"
    assert record["data"]["truncated"]["train"] == (0 if kind == "one token" else record["data"]["examples"]["train"])
