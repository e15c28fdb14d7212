"""A file of one's own and no option: the recipe says what it does and why, and its configuration alone repeats the run."""

import json

import pytest
import yaml

import tiny
from lorabert.config import COURSE


@pytest.fixture(scope="module")
def own(shell):
    """A tiny base and sixty texts, and the words that name them."""
    tiny.build_base(shell.folder / "base")
    texts, labels = tiny.reviews(60, classes=2)
    tiny.write_csv(shell.folder / "own.csv", texts, [("bad", "good")[label] for label in labels])
    return ["--data.train", "own.csv", "--model.name", "base"]


@pytest.fixture(scope="module")
def run(here, own):
    done = here("train", *own, "--out", "auto", "--json")
    assert done.code == 0, done.err
    return done


def options(config):
    return {key: config[key.partition(".")[0]][key.partition(".")[2]] for key in COURSE}


def test_the_run_says_what_it_chose_and_why(run):
    record = run.json
    chosen = record["recipe"]["chosen"]
    assert record["recipe"]["name"] == "auto"
    assert chosen == options(record["config"])
    assert chosen["train.head_init"] == "probe"
    assert record["fit"]["steps"] >= 150
    assert "Recipe auto:" in run.err
    for sentence in record["recipe"]["because"]:
        assert sentence in run.err


def test_the_run_says_where_its_head_starts_and_why(run):
    start = run.json["start"]
    assert set(start["log_loss"]) == {"base", "evenly"}
    assert start["attends"] == min(("evenly", "base"), key=start["log_loss"].get)
    assert "Head: a linear probe of the first token" in run.err


def test_a_head_alone_cannot_look_elsewhere(here, own):
    record = here("train", *own, "--train.method", "head", "--train.num_train_epochs", "1", "--out", "head", "--json").json
    assert record["start"] == {"attends": "base", "log_loss": {}}


def test_its_configuration_alone_repeats_it(here, shell, run):
    file = shell.folder / "auto" / "config.yaml"
    assert None not in options(yaml.safe_load(file.read_text())).values()
    again = here("train", "--config", file, "--out", "again", "--json")
    assert again.json["recipe"]["chosen"] == {}
    weights = [(shell.folder / folder / "adapter" / "adapter_model.safetensors").read_bytes() for folder in ("auto", "again")]
    assert weights[0] == weights[1]


BRANCHES = {
    "plain": [], "folds": ["--folds", "3"], "top layer": ["--lora.layers", "top-1"], "head": ["--train.method", "head"],
    "bitfit": ["--train.method", "bitfit"], "reference": ["--train.engine", "reference"],
    "course": ["--train.recipe", "course", "--model.max_length", "48"],
    "stopping": ["--train.early_stopping_patience", "1"], "no baselines": ["--train.baselines", "false"],
}  # fmt: skip


@pytest.mark.parametrize("branch", BRANCHES)
def test_training_never_reads_the_test_split(here, shell, own, branch):
    """Two test files that share no text and no share of labels: nothing that is trained, chosen or shipped differs by a bit."""
    texts, labels = tiny.reviews(40, classes=2, seed=5)
    tiny.write_csv(shell.folder / "right.csv", texts[:20], [("bad", "good")[label] for label in labels[:20]])
    tiny.write_csv(shell.folder / "wrong.csv", [f"{text} {text}" for text in texts[20:25]], ["bad"] * 5)
    found = []
    for test in ("right", "wrong"):
        out = f"{branch} {test}".replace(" ", "-")
        words = [*own, *BRANCHES[branch], "--train.num_train_epochs", "3"]
        done = here("train", *words, "--data.test", f"{test}.csv", "--out", out, "--json")
        assert done.code == 0, done.err
        weights = (shell.folder / out / "adapter" / "adapter_model.safetensors").read_bytes()
        calibration = {key: value for key, value in done.json.get("calibration", {}).items() if not key.startswith("ece")}
        chosen = [done.json.get(key) for key in ("recipe", "start", "folds", "standing", "validation_metrics")]
        found.append((weights, calibration, chosen, done.json["metrics"]["accuracy"]["n"]))
    assert found[0][:3] == found[1][:3]
    assert (found[0][3], found[1][3]) == (20, 5)


def test_a_run_that_is_done_is_found_again_by_what_was_asked(here, own, run):
    again = here("train", *own, "--out", "auto", "--resume", "--json")
    assert again.code == 0, again.err
    assert again.json["adapter"] == run.json["adapter"]
    assert again.json["recipe"] == run.json["recipe"]
    other = here("train", *own, "--train.num_train_epochs", "2", "--out", "auto", "--resume")
    assert other.code == 2
    assert "train.num_train_epochs" in other.err


def test_course_and_what_is_set_by_hand_win(here, own):
    course = here("train", *own, "--train.recipe", "course", "--model.max_length", "64", "--out", "course", "--json").json
    assert options(course["config"]) == COURSE | {"model.max_length": 64}
    assert course["fit"]["steps"] == 3 * -(-course["data"]["examples"]["train"] // 16)
    words = ["--train.num_train_epochs", "4", "--train.head_init", "random", "--lora.target_modules", "auto"]
    mine = here("train", *own, *words, "--out", "mine", "--json").json
    assert mine["fit"]["epochs"] == 4
    assert set(mine["recipe"]["chosen"]) == {"model.max_length", "train.warmup", "train.calibration"}


def test_the_reference_engine_starts_from_the_probe_too(here, shell, own):
    words = ["--train.engine", "reference", "--train.num_train_epochs", "1", "--train.baselines", "false"]
    losses = {}
    for start in ("probe", "random"):
        done = here("train", *own, *words, "--train.logging_steps", "1", "--train.head_init", start, "--out", start)
        assert done.code == 0, done.err
        first = (shell.folder / start / "metrics.jsonl").read_text().splitlines()[0]
        losses[start] = json.loads(first)["loss"]
    assert losses["probe"] != losses["random"]


def test_a_sweep_leaves_the_epochs_to_the_recipe(here, shell, own):
    done = here("sweep", *own, "--trials", "2", "--out", "sweep", "--json")
    assert done.code == 0, done.err
    assert "train.num_train_epochs" not in json.loads((shell.folder / "sweep" / "sweep.json").read_text())["space"]
