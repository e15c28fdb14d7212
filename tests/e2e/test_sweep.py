"""`lorabert sweep` as a user runs it: a whole sweep, its best configuration, kills, grids, and blindness to the test split."""

import json
import signal
import sys
import time

import pytest

import tiny

SEARCH = ["--search", "train.learning_rate=5e-3..5e-2:log", "lora.r=2,4,8", "lora.target_modules=auto,[query,key,value]"]


@pytest.fixture(scope="module")
def files(shell):
    """A tiny base and three files, with enough validation examples for trials to differ."""
    tiny.build_base(shell.folder / "base")
    names = ["bad", "fair", "good"]
    for seed, (split, size) in enumerate({"train": 64, "validation": 60, "test": 30}.items()):
        texts, labels = tiny.reviews(size, classes=3, seed=seed)
        tiny.write_csv(shell.folder / f"{split}.csv", texts, [names[label] for label in labels])
    return ["--data.train", "train.csv", "--data.validation", "validation.csv", "--model.name", "base", "--model.max_length",
            "64", "--train.num_train_epochs", "2", "--train.per_device_train_batch_size", "8", "--lora.modules_to_save",
            "[word_embeddings]"]  # fmt: skip


@pytest.fixture(scope="module")
def small(files):
    """The same without the trained embeddings, so that trials can share a base."""
    return [*files[:-2], "--data.test", "test.csv", "--metric", "loss"]


@pytest.fixture(scope="module")
def options(files):
    return [*files, "--data.test", "test.csv"]


@pytest.fixture(scope="module")
def whole(shell, here, options):
    done = here("sweep", *options, *SEARCH, "--trials", "4", "--out", "whole", "--json")
    assert done.code == 0, done.err
    return done


def outcome(document):
    """What a sweep found, without its times and places."""
    kept = ("number", "status", "parameters", "value", "low", "high", "n", "run")
    return [{key: trial[key] for key in kept} for trial in document["trials"]], document["best"]["number"], document["selection"]


def test_a_sweep_writes_its_trials_the_best_and_a_picture(shell, whole):
    document = whole.json
    assert document == {"sweep": "whole", **json.loads((shell.folder / "whole" / "sweep.json").read_text())}
    assert document["status"] == "done"
    assert document["selected_on"] == "validation"
    assert [trial["number"] for trial in document["trials"]] == list(range(4))
    assert {trial["status"] for trial in document["trials"]} == {"done"}
    assert len({trial["value"] for trial in document["trials"]}) > 1
    values = [trial["value"] for trial in document["trials"]]
    assert document["best"]["value"] == max(values)
    assert document["best"]["number"] == values.index(max(values))
    assert all(5e-3 <= trial["parameters"]["train.learning_rate"] <= 5e-2 for trial in document["trials"])
    assert all((shell.folder / "whole" / trial["run"] / "adapter" / "lorabert.json").exists() for trial in document["trials"])
    assert "<svg" in (shell.folder / "whole" / "sweep.svg").read_text()


def test_values_are_those_that_the_runs_recorded_of_their_validation_split(shell, whole):
    for trial in whole.json["trials"]:
        record = json.loads((shell.folder / "whole" / trial["run"] / "run.json").read_text())
        assert trial["value"] == record["validation_metrics"]["accuracy"]["value"]
        assert trial["n"] == 60
        assert record["baselines"] == {}
        for key, value in trial["parameters"].items():
            section, name = key.split(".")
            assert record["config"][section][name] == value


def test_train_takes_the_best_configuration_and_gets_the_same_value(shell, here, whole):
    done = here("train", "--config", "whole/best.yaml", "--out", "best", "--json")
    assert done.code == 0, done.err
    assert done.json["validation_metrics"]["accuracy"]["value"] == whole.json["best"]["value"]
    assert done.json["baselines"], "what the user did not turn off is on again"


def test_people_see_progress_on_stderr_and_a_table_with_the_next_command_on_stdout(here, options):
    done = here("sweep", *options, *SEARCH, "--trials", "2", "--out", "people")
    assert done.code == 0, done.err
    assert "Trial 1 of 2: train.learning_rate=" in done.err
    assert "best so far" in done.err
    assert "1 left, about" in done.err
    assert "lorabert train --config people/best.yaml" in done.out
    assert "2 configurations on 60 validation examples is optimistic" in done.out


def test_equal_sweeps_have_equal_trials(here, options, whole):
    again = here("sweep", *options, *SEARCH, "--trials", "2", "--out", "again", "--json")
    assert outcome(again.json)[0] == outcome(whole.json)[0][:2]
    other = here("sweep", *options, *SEARCH, "--trials", "2", "--train.seed", "7", "--out", "other", "--json")
    assert other.json["trials"][1]["parameters"] != whole.json["trials"][1]["parameters"]


def test_a_longer_sweep_begins_with_the_trials_of_the_shorter_one(here, options, whole):
    assert here("sweep", *options, *SEARCH, "--trials", "1", "--out", "longer", "--json").code == 0
    longer = here("sweep", *options, *SEARCH, "--trials", "2", "--out", "longer", "--json")
    assert longer.code == 0, longer.err
    assert "1 of them done already" in longer.err
    assert outcome(longer.json)[0] == outcome(whole.json)[0][:2]


def test_the_test_split_changes_nothing(shell, here, files, whole):
    texts, labels = tiny.reviews(30, classes=3, seed=2)
    names = ["bad", "fair", "good"]
    tiny.write_csv(shell.folder / "shuffled.csv", texts, [names[(label + 1) % 3] for label in labels])
    blind = here("sweep", *files, "--data.test", "shuffled.csv", *SEARCH, "--trials", "4", "--out", "blind", "--json")
    assert blind.code == 0, blind.err
    found, expected = outcome(blind.json), outcome(whole.json)
    for trials in (found[0], expected[0]):
        for trial in trials:
            del trial["run"]  # named after the configuration, which names the test file
    assert found == expected
    of_test = [
        json.loads((shell.folder / "blind" / trial["run"] / "run.json").read_text())["metrics"] for trial in blind.json["trials"]
    ]
    of_whole = [
        json.loads((shell.folder / "whole" / trial["run"] / "run.json").read_text())["metrics"] for trial in whole.json["trials"]
    ]
    assert of_test != of_whole, "the control: the runs themselves do see it"
    told = {"number", "status", "parameters", "value", "low", "high", "n", "run", "here", "seconds"}
    assert all(
        set(trial) == told and trial["n"] == 60
        for trial in json.loads((shell.folder / "blind" / "sweep.json").read_text())["trials"]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize(
    ("concurrent", "seen"),
    [
        (1, "trials/*/checkpoints/checkpoint-*/complete"),
        pytest.param(2, "trials/*/predictions.parquet", marks=pytest.mark.slow),
    ],
)
def test_killed_and_started_again_it_ends_as_if_undisturbed(shell, here, options, whole, concurrent, seen):
    out = f"killed-{concurrent}-" + "".join(letter for letter in seen if letter.isalnum())
    command = ["sweep", *options, *SEARCH, "--trials", "4", "--concurrent", str(concurrent), "--out", out, "--json"]
    process = shell.popen(*command)
    deadline = time.monotonic() + 240
    while not list((shell.folder / out).glob(seen)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    before = json.loads((shell.folder / out / "sweep.json").read_text()) if (shell.folder / out / "sweep.json").exists() else {}
    assert before.get("status") != "done"
    done = here(*command)
    assert done.code == 0, done.err
    undisturbed = whole.json
    if concurrent > 1:
        undisturbed = here("sweep", *command[1:-2], f"{out}-whole", "--json").json
    assert outcome(done.json) == outcome(undisturbed)
    assert len(list((shell.folder / out / "trials").iterdir())) == len({trial["run"] for trial in done.json["trials"]})


def test_trials_that_train_together_are_worth_what_they_are_worth_alone(shell, here, small):
    search = [*SEARCH, "--sampler", "random", "--trials", "3"]
    alone = here("sweep", *small, *search, "--concurrent", "1", "--out", "alone", "--json")
    together = here("sweep", *small, *search, "--concurrent", "3", "--out", "together", "--json")
    assert alone.code == together.code == 0, alone.err + together.err
    for one, other in zip(alone.json["trials"], together.json["trials"], strict=True):
        assert one["parameters"] == other["parameters"]
        assert other["value"] == pytest.approx(one["value"], abs=1e-4)
        fits = [json.loads((shell.folder / out / trial["run"] / "run.json").read_text())["fit"]
                for out, trial in (("alone", one), ("together", other))]  # fmt: skip
        assert [fit["together"] for fit in fits] == [1, 3]


def test_a_pruned_trial_stops_early_and_counts_once(shell, here, small):
    search = ["--search", "train.learning_rate=1e-4,5e-2", "lora.r=2,4", "--sampler", "random", "--trials", "4"]
    command = ["sweep", *small, "--train.num_train_epochs", "4", *search, "--pruner", "halving", "--concurrent", "4"]
    done = here(*command, "--out", "pruned", "--json")
    assert done.code == 0, done.err
    ended = [trial for trial in done.json["trials"] if trial["status"] == "pruned"]
    assert ended
    for trial in done.json["trials"]:
        run = shell.folder / "pruned" / trial["run"]
        epochs = [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        record = json.loads((run / "run.json").read_text())
        assert (max(epochs) < 4) == (trial["status"] == "pruned")
        assert record["status"] == {"pruned": "stopped", "done": "done"}[trial["status"]]
    assert all(trial["value"] is None and trial["number"] != done.json["best"]["number"] for trial in ended)
    assert "Pruned after epoch" in done.err
    again = here(*command, "--out", "pruned", "--json")
    assert again.json == done.json


def test_finished_it_trains_nothing_more(shell, here, options, whole):
    before = {path: path.stat().st_mtime_ns for path in (shell.folder / "whole" / "trials").rglob("*")}
    again = here("sweep", *options, *SEARCH, "--trials", "4", "--out", "whole", "--json")
    assert again.json == whole.json
    assert {path: path.stat().st_mtime_ns for path in (shell.folder / "whole" / "trials").rglob("*")} == before


def test_a_grid_tries_every_combination_once(here, options):
    done = here(
        "sweep", *options, "--grid", "lora.r=2,4", "lora.use_rslora=true,false", "--metric", "loss", "--out", "grid", "--json"
    )
    assert done.code == 0, done.err
    tried = sorted((trial["parameters"]["lora.r"], trial["parameters"]["lora.use_rslora"]) for trial in done.json["trials"])
    assert tried == [(2, False), (2, True), (4, False), (4, True)]
    assert done.json["best"]["value"] == min(trial["value"] for trial in done.json["trials"])
    assert done.json["direction"] == "minimize"


def test_a_trial_that_fails_is_not_the_end(here, options):
    done = here("sweep", *options, "--grid", "lora.target_modules=auto,nowhere", "lora.r=2,4", "--out", "failing", "--json")
    assert done.code == 0, done.err
    failed = [trial for trial in done.json["trials"] if trial["status"] == "failed"]
    assert {trial["parameters"]["lora.target_modules"] for trial in failed} == {"nowhere"}
    assert all("nowhere" in trial["error"] and trial["value"] is None for trial in failed)
    assert done.json["best"]["parameters"]["lora.target_modules"] == "auto"


def test_when_every_trial_fails_the_first_error_is_told(here, options):
    done = here("sweep", *options, "--grid", "lora.target_modules=nowhere,elsewhere", "--out", "hopeless")
    assert done.code == 2
    assert "None of 2 trials" in done.err
    assert "nowhere" in done.err


def test_two_folders_share_one_database(shell, here, options, whole):
    storage = ["--storage", "sqlite:///shared.db"]
    first = here("sweep", *options, *SEARCH, "--trials", "1", "--out", "one", *storage, "--json")
    second = here("sweep", *options, *SEARCH, "--trials", "3", "--out", "two", *storage, "--json")
    assert first.code == second.code == 0, first.err + second.err
    assert [trial["here"] for trial in second.json["trials"]] == [False, True, True]
    assert [trial["value"] for trial in second.json["trials"]] == [trial["value"] for trial in whole.json["trials"]][:3]
    other = here("sweep", *options, "--search", "lora.r=2,4", "--trials", "1", "--out", "two", *storage)
    assert other.code == 2
    assert "another sweep" in other.err


def test_other_options_or_other_data_in_the_same_folder_are_refused(shell, here, options, whole):
    before = (shell.folder / "whole" / "sweep.json").read_bytes()
    other = here("sweep", *options, "--search", "lora.r=2,4", "--trials", "4", "--out", "whole")
    assert other.code == 2
    assert "another space" in other.err
    validation = (shell.folder / "validation.csv").read_text()
    try:
        (shell.folder / "validation.csv").write_text(validation + "one more text,good\n")
        done = here("sweep", *options, *SEARCH, "--trials", "4", "--out", "whole")
    finally:
        (shell.folder / "validation.csv").write_text(validation)
    assert done.code == 2
    assert "data" in done.err
    assert (shell.folder / "whole" / "sweep.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "0"], "--trials 0"),
        (["--trials", "-3"], "at least 1"),
        (["--trials", "many"], "trials"),
        (["--concurrent", "0"], "--concurrent 0"),
        (["--search", "lora.rank=4,8"], "Did you mean `lora.r`"),
        (["--search", "train.learning_rate=1e-2..1e-4"], "lower end first"),
        (["--search", "data.train=a.csv,b.csv"], "other data"),
        (["--grid", "lora.lora_dropout=0..0.2"], "needs values"),
        (["--grid", "lora.r=4,8", "--trials", "3"], "Leave one of them out"),
        (["--sampler", "grid"], "sampler"),
        (["--metric", "precision"], "metric"),
        (["--storage", "sqlite:////nowhere/at/all/study.db"], "--storage"),
        (["--serach", "lora.r=4,8"], "`search`"),
        (["--model.name", "nowhere"], "nowhere"),
        (["--data.validation", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_written(shell, here, options, words, said):
    done = here("sweep", *options, *words, "--out", "refused", "--json")
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert said in done.json["error"]
    assert not (shell.folder / "refused").exists()


def test_one_process_sweeps_in_a_folder(shell, here, options, whole):
    from filelock import FileLock

    with FileLock(shell.folder / "whole" / ".lock"):
        done = here("sweep", *options, *SEARCH, "--trials", "4", "--out", "whole")
    assert done.code == 2
    assert "Another process" in done.err


def test_a_missing_extra_is_named_with_its_install(here, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = here("sweep", *options)
    assert done.code == 2
    assert "pip install 'lorabert[sweep]'" in done.err
