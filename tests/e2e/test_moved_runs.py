"""A run is used from another folder, and moved with or without what it was made from."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import pipeline

import tiny

TRAIN = ("--train.num_train_epochs", "1", "--train.baselines", "false", "--train.precision", "fp32")


@pytest.fixture(scope="module")
def run(shell, here, workplace):
    done = here("train", *workplace, *TRAIN, "--out", "runs/one", "--json")
    assert done.code == 0, done.err
    return done.json


@pytest.fixture
def in_folder(here, monkeypatch):
    """The same command in another working folder."""

    def command(folder: Path, *argv):
        folder.mkdir(exist_ok=True, parents=True)
        with monkeypatch.context() as patch:
            patch.setattr(here.shell, "folder", folder)
            return here(*argv)

    return command


def test_from_another_working_folder_its_data_and_its_base_are_found(shell, run, in_folder, tmp_path):
    for target in (shell.folder / "runs/one", shell.folder / "runs/one/adapter"):
        done = in_folder(tmp_path / "elsewhere", "evaluate", target, "--json")
        assert done.code == 0, done.err
        assert done.json["metrics"] == run["metrics"]
    answer = in_folder(tmp_path / "elsewhere", "predict", shell.folder / "runs/one", "a film", "--json").json
    adapter = str(shell.folder / "runs/one/adapter")
    by_pipeline = pipeline("text-classification", adapter, model_kwargs={"id2label": dict(enumerate(run["data"]["labels"]))})
    assert by_pipeline("a film")[0]["label"] == answer["label"]


@pytest.mark.parametrize("content", ["a wonderful film,good\nan awful film,bad\na film,fair\n", "a,b,c\n", ""])
def test_another_file_of_that_name_where_one_is_now_is_not_taken_for_the_data(shell, run, in_folder, tmp_path, content):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "reviews.csv").write_text("text,label\n" + content, encoding="utf-8")
    (other / "base").mkdir()
    done = in_folder(other, "evaluate", shell.folder / "runs/one", "--json")
    assert done.code == 0, done.err
    assert done.json["metrics"] == run["metrics"]


def test_moved_together_everything_is_found_by_its_way_from_the_run(shell, run, in_folder, tmp_path):
    there = tmp_path / "moved"
    there.mkdir()
    for name in ("runs", "base"):
        shutil.copytree(shell.folder / name, there / name)
    shutil.copy(shell.folder / "reviews.csv", there)
    for name in ("reviews.csv", "base"):
        (shell.folder / name).rename(shell.folder / f"{name}.away")
    try:
        for target in (there / "runs/one", there / "runs/one/adapter"):
            done = in_folder(tmp_path / "elsewhere", "evaluate", target, "--json")
            assert done.code == 0, done.err
            assert done.json["metrics"] == run["metrics"]
        done = in_folder(tmp_path / "elsewhere", "export", there / "runs/one", "--format", "merged", "--out", "out", "--json")
        assert done.json["parity"]["validation"]["n"] == run["data"]["examples"]["validation"]
    finally:
        for name in ("reviews.csv", "base"):
            (shell.folder / f"{name}.away").rename(shell.folder / name)


def test_moved_alone_it_says_what_it_looked_for_and_how_to_go_on(shell, run, in_folder, tmp_path):
    there = tmp_path / "alone"
    shutil.copytree(shell.folder / "runs/one", there / "one")
    for name in ("reviews.csv", "base"):
        (shell.folder / name).rename(shell.folder / f"{name}.away")
    try:
        done = in_folder(there, "predict", "one", "a film", "--json")
        assert done.code == 2
        for words in ("was the folder 'base'", str(shell.folder / "base"), "--base"):
            assert words in done.err
        assert "hub" not in done.err
        assert "HF_" not in done.err
        base = shell.folder / "base.away"
        assert in_folder(there, "predict", "one", "a film", "--base", base, "--json").code == 0
        done = in_folder(there, "evaluate", "one", "--base", base, "--json")
        assert done.code == 2
        for words in ("not where they were", str(shell.folder / "reviews.csv"), "--data FILE"):
            assert words in done.err
        data = shell.folder / "reviews.csv.away"
        shutil.copy(data, there / "new.csv")
        done = in_folder(there, "evaluate", "one", "--base", base, "--data", "new.csv", "--json")
        assert done.code == 0, done.err
    finally:
        for name in ("reviews.csv", "base"):
            (shell.folder / f"{name}.away").rename(shell.folder / name)


def test_a_base_of_other_weights_at_the_old_place_is_refused_and_the_right_one_found(shell, run, in_folder, tmp_path):
    record = json.loads((shell.folder / "runs/one/run.json").read_text(encoding="utf-8"))
    assert record["made_in"] == {"working_folder": str(shell.folder), "run_folder": str(shell.folder / "runs/one")}
    there = tmp_path / "there"
    tiny.build_base(there / "base", seed=9)
    done = in_folder(there, "predict", shell.folder / "runs/one", "a film", "--json")
    assert done.code == 0, done.err  # by the hash of its weights, not by the name alone
    done = in_folder(there, "predict", shell.folder / "runs/one", "a film", "--base", "base", "--json")
    assert done.code == 2
    assert "belongs to the base" in done.err
