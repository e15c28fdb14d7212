"""`lorabert compare` on tiny models: paired, resumable, whoever makes the runs."""

import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import time

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

import studies
import tiny

WEIGHTS = "adapter/adapter_model.safetensors"
BASE = ("--methods", "lora,full", "--seeds", "2")
RAY = importlib.util.find_spec("ray") is not None
WITH_RAY = [pytest.mark.slow, pytest.mark.skipif(not RAY, reason="Ray is not installed")]


@pytest.fixture(scope="module")
def words(shell):
    """Words of a comparison of four runs on one task; six epochs, no baselines."""
    options = studies.prepare(shell.folder)
    options[options.index("--tasks") + 1] = "two.csv"
    return [*options, *BASE, "--train.baselines", "false"]


@pytest.fixture(scope="module")
def whole(shell, here, words):
    """The undisturbed comparison."""
    done = here("compare", *words, "--out", "whole", "--json")
    assert done.code == 0, done.err
    return done.json


def test_sizes_end_in_curves(shell, here, words):
    sized = [*words[: words.index("--train.baselines")], "--methods", "lora", "--sizes", "40,80", "--out", "sized"]
    done = here("compare", *sized, "--json")
    assert done.code == 0, done.err
    (curve,) = done.json["curves"]
    assert curve["sizes"] == [40, 80]
    assert [task["n_train"] + task["n_validation"] for task in done.json["tasks"]] == [40, 80]
    assert len({task["n_test"] for task in done.json["tasks"]}) == 1
    for found in (*curve["systems"]["lora"], *curve["baselines"]["TF-IDF + logistic regression"]):
        assert found["low"] <= found["value"] <= found["high"]
    runs = [json.loads(file.read_text()) for file in sorted((shell.folder / "sized").glob("runs/*/*/*/run.json"))]
    assert len({run["data"]["fingerprint"] for run in runs}) == 4  # two sizes, and two draws of each
    for line in curve["says"]:
        assert line in done.err
    page = (shell.folder / "sized/report.html").read_text()
    assert "what more labels bring" in page
    again = here("compare", *sized, "--json")
    assert again.json["curves"] == done.json["curves"]
    assert here("compare", *sized, "--sizes", "40,60,80", "--json").json["curves"][0]["sizes"] == [40, 60, 80]


def _logits(folder):
    """Test logits of every run of a study, by its place in it."""
    found = {}
    for file in sorted(folder.glob("runs/*/*/*/predictions.parquet")):
        table = pq.read_table(file, filters=[("split", "==", "test")])
        found[file.parent.relative_to(folder).as_posix()] = np.array(table["logits"].to_pylist())
    return found


def _same_runs(one, other):
    """The same runs with the same answers; runs that trained together in another company round differently."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=2e-3, err_msg=name)


def test_the_document_says_what_was_compared(shell, whole):
    (task,) = whole["tasks"]
    assert whole["schema_version"] == 1
    assert json.loads((shell.folder / "whole" / "comparison.json").read_text()) == {
        key: value for key, value in whole.items() if key not in ("comparison", "report")
    }
    assert "<html" in (shell.folder / whole["report"]).read_text()
    assert (task["task"], task["n_test"], task["labels"]) == ("two", 36, ["negative", "positive"])
    assert list(task["systems"]) == ["lora", "full"]
    for name, system in task["systems"].items():
        accuracy = system["metrics"]["accuracy"]
        assert [run["seed"] for run in system["runs"]] == [42, 43]
        assert accuracy["values"] == [run["metrics"]["accuracy"] for run in system["runs"]]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert system["learning_rate_from"] == "given"
        for run in system["runs"]:
            record = json.loads((shell.folder / "whole" / run["run"] / "run.json").read_text())
            assert record["method"] == name
            assert record["metrics"]["accuracy"]["value"] == run["metrics"]["accuracy"]
    assert task["systems"]["full"]["cost"]["parameters"] > task["systems"]["lora"]["cost"]["parameters"]
    assert task["systems"]["lora"]["cost"]["adapter_bytes"] > 0
    (difference,) = task["differences"]
    assert (difference["system"], difference["against"], difference["n_seeds"]) == ("lora", "full", 2)
    assert difference["test"]["smallest_p"] == 0.5
    assert whole["environment"]["device"] == ["cpu"]
    assert task["tuning"] is None


def test_seeds_are_paired_across_methods(words, shell, monkeypatch):
    """The same seed: the same head, the same order of examples, the same test split. Another seed: another head and order."""
    from lorabert.cli.verbs.compare import asked
    from lorabert.config import METHODS
    from lorabert.studies import experiment

    monkeypatch.chdir(shell.folder)
    plan, _ = asked([*words, "--methods", ",".join(METHODS)])

    def begun(system, seed):
        name = f"pairing-{system.name}-{seed}"
        return experiment.begin(plan.run_config(plan.tasks[0], system, seed), out=shell.folder / name, resume=False, say=str)

    def head(one):
        named = [
            (name, value)
            for name, value in one.ready.model.named_parameters()
            if name.endswith("classifier.modules_to_save.default.weight")
        ]
        assert len(named) == 1
        return named[0][1].detach().numpy()

    def order(one):
        return [rows.tolist() for epoch in one.ready.plan().epochs for rows in epoch]

    first, *others = [begun(system, 42) for system in plan.systems]
    assert np.abs(head(first)).max() > 0
    for other in others:
        np.testing.assert_array_equal(head(other), head(first))
        assert order(other) == order(first)
        assert other.ready.splits.fingerprint() == first.ready.splits.fingerprint()
    again = begun(plan.systems[0], 43)
    assert not np.array_equal(head(again), head(first))
    assert order(again) != order(first)
    assert again.ready.splits.fingerprint() == first.ready.splits.fingerprint()


def test_the_same_command_makes_nothing_again(shell, here, words, whole):
    before = {path: path.stat().st_mtime_ns for path in (shell.folder / "whole").glob("runs/*/*/*/*")}
    done = here("compare", *words, "--out", "whole", "--json")
    assert done.code == 0
    assert {path: path.stat().st_mtime_ns for path in (shell.folder / "whole").glob("runs/*/*/*/*")} == before
    assert done.json["tasks"] == whole["tasks"]
    assert "4 runs, 4 of them already done" in done.err


def test_a_comparison_grows_by_seeds_and_methods_and_keeps_what_it_has(shell, here, words, whole):
    shutil.copytree(shell.folder / "whole", shell.folder / "grown")
    made = (shell.folder / "grown/runs/two/lora/seed-42" / WEIGHTS).stat().st_mtime_ns
    done = here("compare", *words, "--seeds", "3", "--methods", "head,lora,full", "--out", "grown", "--json")
    assert done.code == 0, done.err
    assert "9 runs, 4 of them already done" in done.err
    (task,) = done.json["tasks"]
    assert list(task["systems"]) == ["head", "lora", "full"]
    before = whole["tasks"][0]["systems"]["full"]["metrics"]["accuracy"]["values"]
    assert task["systems"]["full"]["metrics"]["accuracy"]["values"][:2] == before
    assert [found["system"] for found in task["differences"]] == ["head", "lora"]
    assert (shell.folder / "grown/runs/two/lora/seed-42" / WEIGHTS).stat().st_mtime_ns == made


def test_another_plan_is_refused_and_changes_nothing(shell, here, words, whole):
    before = sorted(path for path in (shell.folder / "whole").rglob("*"))
    done = here("compare", *words, "--out", "whole", "--train.num_train_epochs", "2")
    assert done.code == 2
    assert "train.num_train_epochs was 6 and is 2" in done.err
    assert sorted(path for path in (shell.folder / "whole").rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize(
    ("launcher", "seen"),
    [
        ("local", "runs/two/full/seed-42/adapter/lorabert.json"),
        pytest.param("processes", "runs/*/*/*/checkpoints/*/tensors.safetensors", marks=pytest.mark.slow),
        pytest.param("ray", "runs/*/*/*/checkpoints/*/tensors.safetensors", marks=WITH_RAY),
    ],
)
def test_killed_at_any_moment_the_same_command_ends_with_the_same_runs(shell, here, words, whole, launcher, seen):
    out = f"killed-{launcher}-{len(seen)}"
    process = shell.popen("compare", *words, "--out", out, "--launcher", launcher)
    deadline = time.monotonic() + 180
    while not list((shell.folder / out).glob(seen)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (shell.folder / out / "comparison.json").exists()
    done = here("compare", *words, "--out", out, "--json")
    assert done.code == 0, done.err
    _same_runs(_logits(shell.folder / out), _logits(shell.folder / "whole"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("launcher", ["processes", pytest.param("ray", marks=WITH_RAY)])
def test_interrupt_ends_cleanly_and_says_how_to_go_on(shell, words, launcher):
    out = f"stopped-{launcher}"
    own = ("-m", "lorabert")  # a new interpreter, which says at its end what was left behind
    process = shell.popen("compare", *words, "--out", out, "--launcher", launcher, "--json", program=own)
    deadline = time.monotonic() + 180
    while not list((shell.folder / out).glob("runs/*/*/*/metrics.jsonl")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "The same command goes on" in errors
    assert "leaked" not in errors
    assert json.loads(output)["exit"] == 130


def test_several_processes_make_the_same_runs(shell, words, whole):
    done = shell("compare", *words, "--out", "spread", "--launcher", "processes", "--workers", "2", "--json")
    assert done.code == 0, done.err
    _same_runs(_logits(shell.folder / "spread"), _logits(shell.folder / "whole"))
    assert done.json["tasks"][0]["systems"].keys() == whole["tasks"][0]["systems"].keys()
    assert (shell.folder / "spread" / "log.txt").read_text().count("Run folder: ") == 4


def test_two_commands_at_once_never_make_the_same_run(shell, words, whole):
    both = [shell.popen("compare", *words, "--out", "shared", "--json") for _ in range(2)]
    outputs = [process.communicate(timeout=400) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    first, second = (json.loads(output) for output, _ in outputs)
    assert first["tasks"] == second["tasks"]
    # A run that was begun twice would have found its folder taken, or have said it twice.
    assert (shell.folder / "shared" / "log.txt").read_text().count("Run folder: ") == 4
    _same_runs(_logits(shell.folder / "shared"), _logits(shell.folder / "whole"))


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_the_message_says_how_to_get_it(shell, here, words):
    done = here("compare", *words, "--out", "no-ray", "--launcher", "ray")
    assert done.code == 2
    assert "pip install 'lorabert[ray]'" in done.err
    assert not (shell.folder / "no-ray").exists()


@pytest.fixture(scope="module")
def by_ray(shell, words):
    """The comparison of `whole` with a method more, whose runs fail; one worker, so that the same runs train together."""
    pytest.importorskip("ray")
    methods = "methods:\n  lora: {}\n  full: {}\n  too long: {train.method: full, model.max_length: 4000}\n"
    (shell.folder / "by-ray.yaml").write_text(methods)
    options = [word for word in words if word not in ("--methods", "lora,full")]
    command = ("compare", "--config", "by-ray.yaml", *options, "--out", "ray", "--json")
    return shell(*command, "--launcher", "ray", "--workers", "1"), command


def _facts(folder):
    """A run's record without the times and the memory, which belong to the process that made it."""
    record = json.loads((folder / "run.json").read_text())
    fit = {name: value for name, value in record["fit"].items() if name not in ("train_seconds", "peak_bytes")}
    return {name: value for name, value in record.items() if name not in ("started", "finished", "seconds")} | {"fit": fit}


@pytest.mark.slow
def test_ray_makes_the_same_runs_and_one_that_fails_leaves_them_alone(shell, whole, by_ray):
    done, _ = by_ray
    assert done.code == 0, done.err
    for system in ("lora", "full"):
        for seed in (42, 43):
            place = f"runs/two/{system}/seed-{seed}"
            ours, rays = (shell.folder / out / place for out in ("whole", "ray"))
            assert _facts(rays) == _facts(ours)
            assert (rays / WEIGHTS).read_bytes() == (ours / WEIGHTS).read_bytes()
    failed = done.json["tasks"][0]["systems"]["too long"]
    assert failed["metrics"] is None
    assert "at most 64" in failed["failures"][0]["why"]


@pytest.mark.slow
def test_what_ray_has_made_is_not_made_again(here, by_ray):
    done, command = by_ray
    again = here(*command)
    assert again.code == 0, again.err
    assert "6 runs, 4 of them already done" in again.err
    assert again.json["tasks"][0]["systems"]["full"]["runs"] == done.json["tasks"][0]["systems"]["full"]["runs"]


def _ray_worker(folder):
    """The worker that makes runs in a folder: Ray gives it the task's name for a title."""
    return next(one for one in psutil.process_iter(["name", "cwd"]) if one.info == {"name": "ray::take", "cwd": str(folder)})


@pytest.mark.slow
def test_a_worker_of_ray_that_dies_takes_its_runs_alone(shell, here, words, whole):
    pytest.importorskip("ray")
    options = ("compare", *words, "--out", "orphaned", "--json")
    process = shell.popen(*options, "--launcher", "ray", "--workers", "1")
    deadline = time.monotonic() + 180
    while not list((shell.folder / "orphaned").glob("runs/two/lora/*/config.yaml")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    _ray_worker(shell.folder).kill()
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    systems = json.loads(output)["tasks"][0]["systems"]
    assert systems["full"]["failures"] == []
    assert ["ended without a word" in failure["why"] for failure in systems["lora"]["failures"]] == [True, True]
    done = here(*options)
    assert done.code == 0, done.err
    _same_runs(_logits(shell.folder / "orphaned"), _logits(shell.folder / "whole"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--methods", "lora,fll"), "no method 'fll'"),
        (("--tasks", "rotten"), "The nearest is 'rotten-tomatoes'"),
        (("--tasks", "nope.csv"), "no such file"),
        (("--tasks", "minilm-l6"), "is a model, not a data set"),
        (("--seeds", "0"), "from 1 to 999"),
        (("--vary", "lora.rank=1,2"), "Did you mean `lora.r`?"),
        (("--workers", "0"), "at least 1"),
        (("--model.name", "two.csv"), "two.csv"),
        (("--metods", "lora"), "Did you mean `methods`?"),
        (("--tune",), "both tuned and given"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_paragraph_and_leaves_no_folder(shell, here, words, wrong, said):
    done = here("compare", *words, "--out", "wrong", *wrong)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (shell.folder / "wrong").exists()


def test_a_run_that_learns_nothing_or_cannot_be_made_leaves_the_others_alone(shell, here, words):
    study = (
        "methods:\n  full: {}\n  too fast: {train.method: full, train.learning_rate: 0.9}\n"
        "  too long: {train.method: full, model.max_length: 4000}\n"
    )
    (shell.folder / "failures.yaml").write_text(study)
    options = [word for word in words if word not in ("--methods", "lora,full")]
    done = here("compare", "--config", "failures.yaml", *options, "--out", "failures", "--json")
    assert done.code == 0, done.err
    (task,) = done.json["tasks"]
    full, fast, long = (task["systems"][name] for name in ("full", "too fast", "too long"))
    assert full["failures"] == []
    assert [failure["why"] for failure in fast["failures"]] == ["no better than the commonest class"] * 2
    assert "at most 64" in long["failures"][0]["why"]
    assert long["metrics"] is None
    assert [found["system"] for found in task["differences"]] == ["too fast"]
    shown = here("compare", "--config", "failures.yaml", *options, "--out", "failures")
    assert "2 runs of too fast failed: no better than the commonest class" in shown.out
    assert re.search(r"too long\s+-\s+-\s+-\s+-\s+2 of 2", shown.out)


def _tune(shell, here, words, out, test):
    options = [word for word in words if word not in ("--train.learning_rate", "5e-3")]
    rates = ("--tune_rates", "{full: [1e-6, 5e-3], head: [1e-3, 1e-2]}", "--methods", "full,head", "--seeds", "1")
    done = here("compare", *options, *rates, "--data.test", test, "--out", out, "--json")
    assert done.code == 0, done.err
    return done.json


def test_tuning_never_sees_test(shell, here, words):
    """Other test labels change what is reported, and nothing of what is chosen."""
    import tiny

    texts, labels = tiny.reviews(40, seed=7)
    names = [tiny.CLASS_NAMES[label] for label in labels]
    tiny.write_csv(shell.folder / "test.csv", texts, names)
    tiny.write_csv(shell.folder / "upside-down.csv", texts, [tiny.CLASS_NAMES[1 - label] for label in labels])
    right = _tune(shell, here, words, "tuned", "test.csv")
    wrong = _tune(shell, here, words, "tuned-upside-down", "upside-down.csv")
    tunings = [one["tasks"][0]["tuning"] for one in (right, wrong)]
    for name in ("full", "head"):
        assert tunings[0][name]["chosen"] == tunings[1][name]["chosen"]
        scores = [[trial["validation"] for trial in tuning[name]["trials"]] for tuning in tunings]
        assert scores[0] == scores[1]
    accuracies = [one["tasks"][0]["systems"]["full"]["metrics"]["accuracy"]["value"] for one in (right, wrong)]
    assert accuracies[0] > 0.6
    assert accuracies[1] == pytest.approx(1 - accuracies[0])
    tuning = right["tasks"][0]["tuning"]["full"]
    assert (tuning["chosen"], tuning["edge"], tuning["grid"], tuning["budget_runs"]) == (5e-3, "highest", [1e-6, 5e-3], 2)
    assert tuning["seed"] == 1042
    assert right["tasks"][0]["systems"]["full"]["learning_rate"] == 5e-3
    assert right["tasks"][0]["systems"]["full"]["learning_rate_from"] == "tuned"


def test_rates_beyond_the_end_that_is_best_are_tried_and_no_more_than_asked(shell, here, words):
    options = [word for word in words if word not in ("--train.learning_rate", "5e-3")]
    grid = ("--methods", "full", "--seeds", "1", "--tune_rates", "1e-6,2e-3", "--more_rates", "1")
    done = here("compare", *options, *grid, "--out", "beyond", "--json")
    assert done.code == 0, done.err
    found = done.json["tasks"][0]["tuning"]["full"]
    assert found["grid"] == [1e-6, 2e-3, 5e-3]
    assert found["budget_runs"] == len(found["trials"]) == 3
    assert len(list((shell.folder / "beyond").glob("tuning/*/*/rate-*/run.json"))) == 3
    again = here("compare", *options, *grid, "--out", "beyond")
    assert "Tuning beyond the grid: 1 run, 1 of them already done" in again.err
    assert "Where the best was an end of these, up to 1 beyond it were tried." in again.out


def test_the_screen_says_what_may_be_said(here, words, whole):
    shown = here("compare", *words, "--out", "whole")
    assert shown.code == 0
    assert max(len(line) for line in shown.out.splitlines() if line.startswith("  ")) <= 100  # the tables
    for said in (
        "two: accuracy on 36 test examples",
        "sign flips of seeds",
        "least p",
        "not tuned",
        "of it head",
        "with 2 seeds",
    ):
        assert said in shown.out, said
    assert "Between lora and full nothing is decided" in shown.out or "below full" in shown.out


def test_one_seed_is_said_to_say_nothing_about_seeds(here, words):
    shown = here("compare", *words, "--seeds", "1", "--methods", "head,bitfit", "--train.num_train_epochs", "1", "--out", "one")
    assert shown.code == 0, shown.err
    assert "McNemar" in shown.out
    assert "nothing can be said about seeds" in shown.out


def test_baselines_are_fitted_once_a_task(shell, here, words):
    options = [
        "--seeds",
        "1",
        "--methods",
        "head",
        "--train.num_train_epochs",
        "1",
        "--train.baselines",
        "true",
        "--out",
        "cheap",
    ]
    first = here("compare", *words, *options, "--json")
    assert first.code == 0, first.err
    assert "TF-IDF + logistic regression" in first.json["tasks"][0]["baselines"]
    assert "Cheap baselines of two" in first.err
    assert "Cheap baselines" not in here("compare", *words, *options, "--json").err


@pytest.mark.parametrize(
    ("file", "sizes", "says"),
    [
        ("two.csv", "20,5000", "names more texts than there are. Got 5,000 of 'two 5000'. Expected at most"),
        ("rare.csv", "10,50", "Of the task 'rare 10' 10 texts are too few for one of its seeds"),
    ],
)
def test_sizes_that_the_data_do_not_have_are_refused_before_anything_runs(shell, here, words, file, sizes, says):
    texts, _ = tiny.reviews(100, 2, seed=3)
    tiny.write_csv(shell.folder / "rare.csv", texts, ["b" if row < 6 else "a" for row in range(100)])
    done = here("compare", *words, "--tasks", file, "--methods", "head", "--seeds", "4", "--sizes", sizes, "--out", "unsized")
    assert done.code == 2
    assert says in " ".join(done.err.split())
    assert not (shell.folder / "unsized").exists()


def test_more_seeds_are_more_draws_for_the_baselines_too(shell, here, words):
    options = ["--methods", "head", "--sizes", "20", "--train.num_train_epochs", "1", "--train.baselines", "true"]
    grown = [here("compare", *words, *options, "--seeds", seeds, "--out", "more-draws", "--json") for seeds in ("1", "2")]
    at_once = here("compare", *words, *options, "--seeds", "2", "--out", "at-once", "--json")
    assert [done.code for done in (*grown, at_once)] == [0, 0, 0], at_once.err
    found = [done.json["tasks"][0]["baselines"] for done in (*grown, at_once)]
    assert found[1] == found[2]
    assert found[0] != found[1]


def test_systems_with_test_splits_of_their_own_are_refused(shell, here, words):
    done = here("compare", *words, "--vary", "data.limit=10,20", "--out", "unpaired")
    assert done.code == 2
    assert "different examples of 'two'" in done.err
    assert not (shell.folder / "unpaired").exists()


def test_changed_data_are_refused(shell, here, words):
    texts = (shell.folder / "two.csv").read_text()
    (shell.folder / "moving.csv").write_text(texts)
    options = [
        *words,
        "--tasks",
        "moving.csv",
        "--methods",
        "head",
        "--seeds",
        "1",
        "--train.num_train_epochs",
        "1",
        "--out",
        "moved",
    ]
    assert here("compare", *options).code == 0
    (shell.folder / "moving.csv").write_text(texts.replace("negative", "NEGATIVE"))
    done = here("compare", *options)
    assert done.code == 2
    assert "the data of 'moving' have changed" in done.err
