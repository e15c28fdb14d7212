"""Losses in a tracker are those of metrics.jsonl; a tracker that is not there is named before anything is written."""

import importlib.util
import json
import sys

import pytest

OPTIONS = ["--train.num_train_epochs", "2", "--train.logging_steps", "5", "--train.baselines", "false"]


def events(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_tensorboard_shows_what_the_run_logged(shell, here, workplace, engine):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = here(
        "train", *workplace, *OPTIONS, "--train.engine", engine, "--train.report_to", "tensorboard", "--out", engine, "--json"
    )
    assert done.code == 0, done.err
    shown = EventAccumulator(str(shell.folder / engine / "tensorboard"))
    shown.Reload()
    for kind in ("train", "validation"):
        logged = [(event["step"], event["loss"]) for event in events(shell.folder / engine) if event["event"] == kind]
        assert logged
        found = shown.Scalars(f"{kind}/loss")
        assert [scalar.step for scalar in found] == [step for step, _ in logged]
        assert [scalar.value for scalar in found] == pytest.approx([loss for _, loss in logged], rel=1e-6)


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow", "trackio"])
def test_a_tracker_that_is_not_installed_is_named_before_anything_is_written(shell, here, workplace, monkeypatch, tracker):
    monkeypatch.setitem(sys.modules, tracker, None)
    done = here("train", *workplace, *OPTIONS, "--train.report_to", tracker, "--out", "missing", "--json")
    assert done.code == 2
    assert f"pip install {tracker}" in done.json["error"]
    assert not (shell.folder / "missing").exists()


def test_nothing_is_tracked_unless_asked_for(shell, here, workplace):
    done = here("train", *workplace, *OPTIONS, "--out", "quiet", "--json")
    assert done.code == 0, done.err
    assert not (shell.folder / "quiet" / "tensorboard").exists()
    assert len(events(shell.folder / "quiet")) > 2
