"""From a run to its exports and their answers, by the commands of the guide."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

TRAIN = ("--train.num_train_epochs", "60", "--train.learning_rate", "1e-2", "--train.baselines", "false")


@pytest.fixture(scope="module")
def run(shell, here, workplace):
    done = here("train", *workplace, *TRAIN, "--out", "run", "--json")
    assert done.code == 0, done.err
    return done.json


@pytest.fixture(scope="module", params=["merged", "onnx", "onnx-int8"])
def export(request, here, run):
    done = here("export", "run", "--format", request.param, "--out", f"as-{request.param}", "--json")
    assert done.code == 0, done.err
    return done.json


def test_accuracy_is_compared_on_the_runs_own_validation_split(export, run):
    validation = export["parity"]["validation"]
    assert validation["n"] == run["data"]["examples"]["validation"]
    assert validation["adapter"]["accuracy"]["value"] > 0.5  # three classes: it learned something that could be lost
    assert export["parity"]["within_tolerance"]
    if export["format"] != "onnx-int8":
        assert validation["export"] == validation["adapter"]
        assert validation["accuracy_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": validation["n"]}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows what is mapped")
def test_no_file_of_an_export_is_still_mapped_when_its_folder_is_moved(here, run, monkeypatch):
    """Windows would refuse to move it."""
    mapped, move = [], os.rename

    def noted(path, target):
        if Path(path).is_dir():
            mapped.append([line for line in Path("/proc/self/maps").read_text().splitlines() if str(path) in line])
        return move(path, target)

    monkeypatch.setattr(os, "rename", noted)
    assert here("export", run["adapter"], "--format", "merged", "--out", "unmapped").code == 0
    assert mapped == [[]]


def test_evaluate_and_predict_take_an_export_as_they_take_an_adapter(here, export, run):
    folder = f"as-{export['format']}"
    ours, theirs = (here("evaluate", target, "--split", "validation", "--json") for target in ("run", folder))
    assert theirs.code == 0, theirs.err
    assert (ours.json["kind"], theirs.json["kind"]) == ("adapter", "export")
    assert set(theirs.json) == set(ours.json)
    assert theirs.json["metrics"]["accuracy"] == export["parity"]["validation"]["export"]["accuracy"]
    assert ours.json["metrics"]["accuracy"] == export["parity"]["validation"]["adapter"]["accuracy"]
    ours, theirs = (here("predict", target, "a wonderful film", "awful", "--json").json for target in ("run", folder))
    assert [answer["label"] for answer in theirs] == [answer["label"] for answer in ours]
    assert here("predict", folder, "--file", "reviews.csv", "--json").code == 0
    half = here("predict", folder, "a wonderful film", "--precision", "bf16")
    assert half.code == (0 if export["format"] == "merged" else 2)
    assert "Leave --precision out" in half.err or half.code == 0


def test_people_see_the_figures(here, run):
    done = here("export", "run/adapter", "--format", "merged", "--out", "seen")
    assert done.code == 0, done.err
    for words in ("Verified", "keep their label", "logits differ", "accuracy on", "Export: "):
        assert words in done.out
    shown = here("evaluate", "seen")
    assert "Verified" in shown.out
    assert "the base" not in shown.out
    assert "export" in shown.out


def test_wrong_inputs_end_in_a_paragraph(shell, here, run):
    for words, message in (
        (("run", "--format", "tflite", "--out", "new"), "merged, onnx, onnx-int8"),
        (("base", "--format", "onnx", "--out", "new"), "is not an adapter"),
        (("nowhere", "--format", "onnx", "--out", "new"), "There is no folder 'nowhere'"),
        (("run", "--format", "onnx", "--out", "run"), "already holds something"),
        (("run", "--format", "onnx", "--out", "new", "--base", "nowhere"), "nowhere"),
        (("run", "--format", "onnx"), "lacks --out"),
        (("run", "--out", "new"), "lacks --format"),
    ):
        done = here("export", *words, "--json")
        assert done.code == 2, words
        assert message in done.err
        assert "Traceback" not in done.err
        assert "error" in json.loads(done.out)
    assert not (shell.folder / "new").exists()


def test_data_that_have_changed_are_not_compared_on_and_it_says_so(shell, here, run):
    reviews = shell.folder / "reviews.csv"
    kept = reviews.read_bytes()
    for change in (lambda: reviews.write_bytes(kept.replace(b"bad", b"good", 1)), reviews.unlink):
        change()
        try:
            done = here("export", "run", "--format", "merged", "--out", "without", "--json")
        finally:
            reviews.write_bytes(kept)
        assert done.code == 0, done.err
        assert "reviews.csv" in done.json["parity"]["validation"]["missing"]
        assert done.json["parity"]["agreement"]["n"] == done.json["parity"]["texts"]["fixed"]
        assert "accuracy was not compared" in (shell.folder / "without" / "README.md").read_text(encoding="utf-8")
        shutil.rmtree(shell.folder / "without")


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize(("how", "seen"), [("SIGKILL", "model.onnx"), ("SIGKILL", "config.json"), ("SIGINT", "config.json")])
def test_killed_at_any_moment_it_leaves_nothing_half(shell, here, run, how, seen):
    process = shell.popen("export", "run", "--format", "onnx", "--out", "killed", "--json")
    deadline = time.monotonic() + 240
    partial = shell.folder / ".killed.partial"
    while not (partial / "whole" / seen).exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, getattr(signal, how))
    process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130)
    assert not (shell.folder / "killed").exists()
    assert partial.exists() == (how == "SIGKILL")
    if partial.exists():
        assert "is not an adapter" in here("predict", partial / "whole", "a text").err
        shutil.rmtree(partial)


def test_a_killed_export_can_be_made_again(shell, here, run):
    (shell.folder / ".again.0123.partial").mkdir()
    assert here("export", "run", "--format", "merged", "--out", "again", "--json").code == 0
    assert here("evaluate", "again", "--json").code == 0
