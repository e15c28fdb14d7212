"""The two scripts at the root, on the real assets and on a hub that answers."""

import json
import re
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


# The command in an interpreter in which something is not as it is: a GPU that is there, a training that is not made.
AS_IF = "import sys; from lorabert import hardware; from lorabert.cli import main; from lorabert.cli.verbs import replicate; "
GPU = "hardware.has_gpu = lambda *_: True; "
NO_TRAINING = "replicate.train = lambda *_: None; "
RUN = "sys.exit(main(['replicate', *sys.argv[1:]]))"
TOO_LONG = (
    r"Preset: quickstart \(there is no GPU here, and course would take (about \d+|less than a).* on this processor: measured on "
    r"\d+ steps? of its base's shapes with random weights, [\d,]+ tokens a second; --preset course runs it\)"
)


@pytest.fixture(scope="module")
def user(shell, hub, tmp_path_factory):
    home = tmp_path_factory.mktemp("door")
    env = loopback_hub.environment(hub, home / "home") | {
        name: shell.env[name] for name in ("LORABERT_CACHE", "LORABERT_KERNELS", "OMP_NUM_THREADS")
    }
    return type(shell)(home, env)


@pytest.mark.hub
def test_without_a_gpu_the_quickstart_runs_though_the_hub_could_give_the_course(user, hub):
    done = user(*SMALL, "--json", program=[ROOT / "lora_replication.py"])
    assert done.code == 0, done.err
    assert re.search(TOO_LONG, done.err)
    assert done.json["config"]["data"]["name"] == "rotten-tomatoes"
    assert [str(request) for request in hub.requests if "safetensors" in str(request) or "parquet" in str(request)] == []


@pytest.mark.hub
def test_with_a_gpu_the_course_runs_where_the_hub_gives_it_and_from_its_cache_later(user, hub):
    tiny_limit = ["--model.max_length", "64", "--train.num_train_epochs", "1"]
    done = user(*tiny_limit, program=["-c", AS_IF + GPU + RUN])
    assert done.code == 0, done.err
    assert "Preset: course (the hub can give it)" in done.out
    asked = len(hub.requests)
    offline = type(user)(user.folder, user.env | {"HF_HUB_OFFLINE": "1"})
    done = offline("--json", *tiny_limit, "--out", "offline", program=["-c", AS_IF + GPU + RUN])
    assert done.code == 0, done.err
    assert "Preset: course (from the cache: HF_HUB_OFFLINE is set)" in done.err
    assert len(hub.requests) == asked
    assert done.json["base"]["revision"] == hub.commit("bert-base-uncased")
    assert done.json["config"]["train"]["learning_rate"] == 5e-5
    done = offline(*tiny_limit, program=["-c", AS_IF + NO_TRAINING + RUN])  # no GPU: what is in the cache is measured
    assert re.search(TOO_LONG, done.out), done.out + done.err


@pytest.mark.hub
def test_the_course_runs_without_a_gpu_where_it_is_asked_for(user):
    done = user("--preset", "course", "--model.max_length", "64", "--train.num_train_epochs", "1", "--json",
                program=[ROOT / "lora_replication.py"])  # fmt: skip
    assert done.code == 0, done.err
    assert "Preset: course (as asked)" in done.err
    assert done.json["config"]["data"]["name"] == "stanfordnlp/sst2"


@pytest.mark.hub
@pytest.mark.parametrize("gpu", ["", GPU])
def test_where_the_hub_does_not_answer_the_quickstart_runs(shell, tmp_path, gpu):
    nobody = type(shell)(tmp_path, loopback_hub.environment(None, tmp_path / "home") | {"OMP_NUM_THREADS": "1"})
    done = nobody(program=["-c", AS_IF + gpu + NO_TRAINING + RUN])
    assert re.search(r"Preset: quickstart \(course is out of reach: http\S+ cannot be reached", done.out), done.out + done.err
