"""A run goes on with what it was made from, by content, and with nothing else."""

import json
import shutil

import pytest

import tiny

EPOCHS = ["--train.num_train_epochs", "3", "--train.baselines", "false", "--train.learning_rate", "5e-3"]
WEIGHTS = "adapter/adapter_model.safetensors"


@pytest.fixture(scope="module")
def place(shell):
    """Files for three splits, a base, and the options that train on them."""
    tiny.build_base(shell.folder / "base")
    texts, labels = tiny.reviews(120)
    parts = {"train": (0, 80), "validation": (80, 100), "test": (100, 120)}
    for name, (first, last) in parts.items():
        tiny.write_csv(shell.folder / f"{name}.csv", texts[first:last], [["bad", "good"][label] for label in labels[first:last]])
    return [*(word for name in parts for word in (f"--data.{name}", f"{name}.csv")), "--model.name", "base",
            "--model.max_length", "64", *EPOCHS]  # fmt: skip


@pytest.fixture(scope="module")
def whole(shell, here, place):
    """The undisturbed run."""
    done = here("train", *place, "--out", "whole", "--json")
    assert done.code == 0, done.err
    return (shell.folder / "whole" / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def half_done(shell, here, place, whole):
    """A run that was interrupted after its first checkpoint, to be copied by each test."""
    with pytest.MonkeyPatch.context() as patch:
        from lorabert.runs import RunFolder

        log = RunFolder.log

        def interrupted(folder, event):
            log(folder, event)
            if list(folder.checkpoints.glob("checkpoint-*/complete")):
                raise KeyboardInterrupt

        patch.setattr(RunFolder, "log", interrupted)
        assert here("train", *place, "--out", "half", "--train.logging_steps", "1").code == 130
    assert list((shell.folder / "half" / "checkpoints").glob("checkpoint-*/complete"))
    return [*place, "--train.logging_steps", "1"]


@pytest.fixture
def run(shell, half_done, request):
    """A copy of the interrupted run, and its files as they were afterwards."""
    out = shell.folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(shell.folder / "half", out)
    kept = {path: path.read_bytes() for path in [*shell.folder.glob("*.csv"), *(shell.folder / "base").iterdir()]}
    yield [*half_done, "--out", "run", "--resume"]
    for path in shell.folder.glob("*.csv"):
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)


def swap_labels(file):
    file.write_text(file.read_text().replace(",good", ",x").replace(",bad", ",good").replace(",x", ",bad"))


def drop_a_row(file):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def other_words(file):
    file.write_text(file.read_text().replace("the", "The", 1) + "one more,good\n")


def another_base(folder):
    tiny.build_base(folder, seed=1)


def another_config(folder):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"layer_norm_eps": 1e-3}))


def another_tokenizer(folder):
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(settings))


CHANGES = [
    ("train.csv", swap_labels, "train has the same 80 texts with other labels"),
    ("validation.csv", swap_labels, "validation has the same 20 texts with other labels"),
    ("test.csv", drop_a_row, "test was 20 texts"),
    ("train.csv", other_words, "and is 81 others"),
    ("base", another_base, "its weights were"),
    ("base", another_config, "config.json was"),
    ("base", another_tokenizer, "tokenizer.json was"),
]


@pytest.mark.parametrize(("name", "change", "said"), CHANGES, ids=[change.__name__ + "-" + name for name, change, _ in CHANGES])
@pytest.mark.parametrize("finished", [False, True], ids=["half done", "finished"])
def test_what_has_changed_is_refused_with_what_it_was(shell, here, run, name, change, said, finished):
    if finished:
        assert here("train", *run).code == 0
    record = (shell.folder / "run" / "run.json").read_bytes()
    change(shell.folder / name)
    done = here("train", *run, "--json")
    assert done.code == 2, done.out
    assert said in done.err
    assert "has changed" in done.err
    assert "--out" in done.err
    assert "Traceback" not in done.err
    assert (shell.folder / "run" / "run.json").read_bytes() == record
    assert not (shell.folder / "run" / ".lock").exists()


def touch(folder):
    (folder / "train.csv").write_bytes((folder / "train.csv").read_bytes())
    return {}


def other_line_ends(folder):
    file = folder / "train.csv"
    file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    return {}


def move_data(folder):
    (folder / "train.csv").rename(folder / "elsewhere.csv")
    return {"--data.train": "elsewhere.csv"}


def move_base(folder):
    shutil.copytree(folder / "base", folder / "moved-base", dirs_exist_ok=True)
    return {"--model.name": "moved-base"}


@pytest.mark.parametrize("change", [touch, other_line_ends, move_data, move_base])
def test_what_only_moved_or_was_touched_goes_on(shell, here, run, whole, change):
    options = dict(zip(run[:-1:2], run[1:-1:2], strict=True)) | change(shell.folder)
    done = here("train", *(word for pair in options.items() for word in pair), "--resume", "--json")
    assert done.code == 0, done.err
    assert (shell.folder / "run" / WEIGHTS).read_bytes() == whole
    record = json.loads((shell.folder / "run" / "run.json").read_text())
    assert record["config"]["data"]["train"] == options["--data.train"]
    assert f"name: {options['--model.name']}" in (shell.folder / "run" / "config.yaml").read_text().replace('"', "")


def test_other_packages_are_named_and_noted_and_do_not_stop_it(shell, here, run, monkeypatch):
    from lorabert import hardware

    versions = hardware.package_versions()
    monkeypatch.setattr(hardware, "package_versions", lambda: versions | {"torch": "9.9.9"})
    done = here("train", *run)
    assert done.code == 0, done.err
    assert f"torch was {versions['torch']} and is 9.9.9" in done.out
    assert "9.9.9" in json.loads((shell.folder / "run" / "run.json").read_text())["drift"][0]


def test_a_study_goes_on_with_the_same_base_and_data_alone(shell, here, run):
    words = ["compare", "--methods", "head", "--seeds", "1", "--tasks", "train.csv", "--model.name", "base", "--model.max_length",
             "64", "--train.num_train_epochs", "1", "--train.baselines", "false", "--out", "study"]  # fmt: skip
    assert here(*words).code == 0
    another_config(shell.folder / "base")
    done = here(*words)
    assert (done.code, "the base of head on 'train' has changed" in done.err) == (2, True), done.err
    swap_labels(shell.folder / "train.csv")
    done = here(*words)
    assert "the data of 'train' have changed" in done.err


def test_data_that_change_while_a_study_is_made_stop_it(shell, here, run, monkeypatch):
    from lorabert.studies.comparison import comparing

    begin = comparing.study.begin

    def changed(*arguments):
        swap_labels(shell.folder / "train.csv")
        return begin(*arguments)

    monkeypatch.setattr(comparing.study, "begin", changed)
    words = ["--methods", "head", "--seeds", "2", "--tasks", "train.csv", "--model.name", "base", "--model.max_length", "64"]
    done = here("compare", *words, "--train.num_train_epochs", "1", "--train.baselines", "false", "--out", "moving")
    assert done.code == 2
    assert "have changed since this study began" in done.err
    assert not (shell.folder / "moving" / "comparison.json").exists()


def test_a_sweep_goes_on_with_the_same_base_alone(shell, here, run):
    shared = run[: run.index("--train.logging_steps")]
    words = ["sweep", *shared, "--grid", "lora.r=2,4", "--train.num_train_epochs", "1", "--out", "sweep"]
    assert here(*words).code == 0
    another_tokenizer(shell.folder / "base")
    done = here(*words)
    assert done.code == 2
    assert "begun with another base" in done.err
