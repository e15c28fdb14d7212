"""The two scripts at the root, on the real assets and on a hub that answers."""

import json
from pathlib import Path

import pytest

import loopback_hub
import tiny

ROOT = Path(__file__).parents[2]

SMALL = ["--data.limit", "80", "--train.num_train_epochs", "1", "--train.logging_steps", "2"]


@pytest.fixture(scope="module")
def quickstart(shell):
    """lora_replication.py as a newcomer runs it where the hub is out of reach, on a sample of the assets."""
    done = shell(*SMALL, program=[ROOT / "lora_replication.py"])
    assert done.code == 0, done.err
    return done


def test_replication_says_which_preset_and_why(quickstart):
    assert "Preset: quickstart (course is out of reach: HF_HUB_OFFLINE is set)" in quickstart.out


def test_replication_prints_what_the_course_prints_and_more(quickstart):
    for words in ("Using device: cpu", "trainable params: 74,498", "Newly initialised: classifier", "Test:", "accuracy",
                  "macro-F1", "MCC", "majority class", "TF-IDF + logistic regression", "frozen base + linear head", "Per class",
                  "Adapter: runs/"):  # fmt: skip
        assert words in quickstart.out, words
    assert "step 2: loss" in quickstart.err


def test_replication_is_the_papers_lora(shell, quickstart):
    adapter = next((shell.folder / "runs").glob("*/adapter/adapter_config.json"))
    settings = json.loads(adapter.read_text())
    assert (settings["r"], settings["lora_alpha"], settings["lora_dropout"], settings["bias"]) == (8, 32, 0.1, "none")
    assert settings["task_type"] == "SEQ_CLS"
    assert {name.rsplit(".", 1)[-1] for name in settings["target_modules"]} == {"query", "value"}


def test_load_and_evaluate_takes_the_newest_run(shell, quickstart):
    done = shell("--json", program=[ROOT / "load_and_evaluate.py"])
    assert done.code == 0, done.err
    record = json.loads(next((shell.folder / "runs").glob("*/run.json")).read_text())
    assert done.json["metrics"] == record["metrics"]
    assert done.json["n"] == 80


def test_load_and_evaluate_without_any_run_says_what_to_do(shell, tmp_path):
    done = type(shell)(tmp_path, shell.env)(program=[ROOT / "load_and_evaluate.py"])
    assert done.code == 2
    assert "lora_replication.py" in done.err


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny.build_base(folder / "bert")
    tiny.build_dataset(folder / "sst2", configs={"default": 2})
    with loopback_hub.LoopbackHub(
        {"bert-base-uncased": folder / "bert"}, datasets={"stanfordnlp/sst2": folder / "sst2"}
    ) as server:
        yield server


@pytest.mark.hub
def test_replication_takes_the_course_where_the_hub_gives_it_and_its_cache_later(shell, hub, tmp_path):
    env = loopback_hub.environment(hub, tmp_path / "home") | {"LORABERT_CACHE": shell.env["LORABERT_CACHE"]}
    user = type(shell)(tmp_path, env)
    tiny_limit = ["--model.max_length", "64", "--train.num_train_epochs", "1"]
    done = user(*tiny_limit, program=[ROOT / "lora_replication.py"])
    assert done.code == 0, done.err
    assert "Preset: course (the hub can give it)" in done.out
    asked = len(hub.requests)
    user.env["HF_HUB_OFFLINE"] = "1"
    done = user("--json", *tiny_limit, "--out", "offline", program=[ROOT / "lora_replication.py"])
    assert done.code == 0, done.err
    assert "Preset: course (from the cache: HF_HUB_OFFLINE is set)" in done.err
    assert len(hub.requests) == asked
    assert done.json["base"]["revision"] == hub.commit("bert-base-uncased")
    assert done.json["config"]["train"]["learning_rate"] == 5e-5
