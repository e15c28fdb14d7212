"""A run that was killed ends, resumed, with the adapter that the undisturbed run ends with."""

import json
import os
import signal
import sys
import time

import pytest

WEIGHTS = "adapter/adapter_model.safetensors"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def options(workplace):
    return [*workplace, "--train.num_train_epochs", "6", "--train.logging_steps", "5", "--train.baselines", "false"]


@pytest.fixture(scope="module")
def undisturbed(shell, here, options):
    done = here("train", *options, "--out", "whole", "--json")
    assert done.code == 0, done.err
    return (shell.folder / "whole" / WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def undisturbed_by(shell, here, options, undisturbed):
    """The weights that a run ends with, by the engine that trains it."""
    done = here("train", *options, "--train.engine", "reference", "--out", "whole-reference", "--json")
    assert done.code == 0, done.err
    return {"fast": undisturbed, "reference": (shell.folder / "whole-reference" / WEIGHTS).read_bytes()}


def _stop(shell, options, out, seen, how):
    """Start a run and send it a signal as soon as a file matching `seen` is there."""
    process = shell.popen("train", *options, "--out", out, "--json")
    deadline = time.monotonic() + 120
    while not list((shell.folder / out).glob(seen)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, how)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.mark.parametrize(
    ("engine", "seen"),
    [
        ("fast", "config.yaml"),
        ("fast", "metrics.jsonl"),
        ("fast", "checkpoints/*/tensors.safetensors"),
        ("fast", "predictions.parquet"),
        ("reference", "checkpoints/checkpoint-*/complete"),
        ("reference", "checkpoints/checkpoint-*[0-9]/optimizer*"),
    ],
)
def test_killed_at_any_moment_and_resumed_gives_the_same_adapter(shell, here, options, undisturbed_by, engine, seen):
    out = "killed-" + "".join(letter for letter in engine + seen if letter.isalnum())
    options = [*options, "--train.engine", engine]
    code, _, _ = _stop(shell, options, out, seen, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (shell.folder / out / "adapter" / "lorabert.json").exists()
    resumed = here("train", *options, "--out", out, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert (shell.folder / out / WEIGHTS).read_bytes() == undisturbed_by[engine]


def test_resume_goes_on_from_the_checkpoint_and_not_from_the_start(shell, here, options, undisturbed):
    _stop(shell, options, "later", "checkpoints/checkpoint-2*/complete", signal.SIGKILL)
    assert here("train", *options, "--out", "later", "--resume", "--json").code == 0
    events = [json.loads(line) for line in (shell.folder / "later" / "metrics.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events].count(5) == 1
    assert (shell.folder / "later" / WEIGHTS).read_bytes() == undisturbed


def test_interrupt_ends_cleanly_and_says_what_is_saved(shell, here, options, undisturbed):
    code, output, errors = _stop(shell, options, "stopped", "checkpoints/checkpoint-*/complete", signal.SIGINT)
    assert code == 130
    assert "Traceback" not in errors
    assert "--resume" in errors
    assert "saved" in errors
    assert "error" in json.loads(output)
    assert json.loads((shell.folder / "stopped" / "run.json").read_text())["status"] == "interrupted"
    assert here("train", *options, "--out", "stopped", "--resume", "--json").code == 0
    assert (shell.folder / "stopped" / WEIGHTS).read_bytes() == undisturbed


def test_resume_without_out_finds_the_unfinished_run_of_the_same_configuration(shell, here, options, undisturbed):
    process = shell.popen("train", *options, "--json")
    while not list((shell.folder / "runs").glob("*/checkpoints/checkpoint-*/complete")):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.communicate()
    done = here("train", *options, "--resume", "--json")
    assert done.code == 0, done.err
    assert len(list((shell.folder / "runs").iterdir())) == 1
    assert (shell.folder / done.json["run"] / WEIGHTS).read_bytes() == undisturbed


def test_resume_refuses_another_configuration(shell, here, options, undisturbed):
    done = here("train", *options, "--out", "whole", "--resume", "--train.learning_rate", "1e-4")
    assert done.code == 2
    assert "train.learning_rate was 0.005 and is 0.0001" in done.err
    assert (shell.folder / "whole" / WEIGHTS).read_bytes() == undisturbed


def test_resuming_a_finished_run_changes_nothing(shell, here, options, undisturbed):
    before = (shell.folder / "whole" / "run.json").read_bytes()
    done = here("train", *options, "--out", "whole", "--resume", "--json")
    assert done.code == 0
    assert done.json["status"] == "done"
    assert (shell.folder / "whole" / "run.json").read_bytes() == before


def test_a_full_disk_is_a_clear_error_and_leaves_earlier_runs_whole(shell, here, options, undisturbed):
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    done = shell("train", *options, "--out", "full", preexec_fn=small_files)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "--resume" in done.err
    assert not (shell.folder / "full" / "adapter").exists()
    assert (shell.folder / "whole" / WEIGHTS).read_bytes() == undisturbed
    assert here("train", *options, "--out", "full", "--resume", "--json").code == 0
    assert (shell.folder / "full" / WEIGHTS).read_bytes() == undisturbed
