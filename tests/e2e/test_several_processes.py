"""`torchrun -m lorabert train`: real processes, started as a user starts them."""

import json
import os
import signal
import sys
import time

import psutil
import pytest

LAUNCHED = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "lorabert")
WEIGHTS = "adapter/adapter_model.safetensors"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def options(workplace):
    return [
        *workplace,
        "--train.num_train_epochs",
        "12",
        "--train.baselines",
        "false",
        "--train.per_device_train_batch_size",
        "8",
    ]


@pytest.fixture(scope="module")
def undisturbed(shell, options):
    """A run of two processes, and its weights."""
    done = shell("train", *options, "--out", "two", "--json", program=LAUNCHED)
    assert done.code == 0, done.err
    return done, (shell.folder / "two" / WEIGHTS).read_bytes()


def messages(errors):
    return [line for line in errors.replace("\r", "\n").splitlines() if "lorabert: " in line]


def test_one_run_one_document_and_one_voice(shell, undisturbed):
    done, _ = undisturbed
    record = done.json
    assert (record["world_size"], record["engine"], record["status"]) == (2, "fast", "done")
    assert record["fit"]["steps"] == 12 * -(-record["data"]["examples"]["train"] // 16)
    assert done.err.count("Run folder: two") == 1
    assert done.err.count("epoch 12: validation loss") == 1
    assert "Processes: 2, with 8 examples each in a batch of 16" in done.err
    assert messages(done.err) == []


def process_of(rank, out):
    """The process of a rank that makes a run."""
    for process in psutil.process_iter():
        try:
            if out in process.cmdline() and process.environ().get("RANK") == str(rank):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise AssertionError("no such process")


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_one_that_dies_ends_all_with_one_message_and_resume_goes_on(shell, options, undisturbed, rank):
    out = f"killed-{rank}"
    launcher = shell.popen("train", *options, "--out", out, program=LAUNCHED)
    deadline = time.monotonic() + 120
    while not list((shell.folder / out).glob("checkpoints/checkpoint-*/complete")):
        assert launcher.poll() is None, launcher.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process_of(rank, out).pid, signal.SIGKILL)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode != 0
    said = messages(errors)
    assert len(said) == 1
    assert "nother process" in said[0]
    assert json.loads((shell.folder / out / "run.json").read_text())["status"] != "done"
    resumed = shell("train", *options, "--out", out, "--resume", "--json", program=LAUNCHED)
    assert resumed.code == 0, resumed.err
    assert (shell.folder / out / WEIGHTS).read_bytes() == undisturbed[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            ("train", "--train.engine", "reference", "--out", "refused"), "Only the fast engine", marks=pytest.mark.slow
        ),
        pytest.param(("train", "--train.nonsense", "1"), "Unknown option", marks=pytest.mark.slow),
        pytest.param(("train", "--out", "two"), "already holds something", marks=pytest.mark.slow),
        (("doctor",), "runs as one process"),
    ],
    ids=["engine", "option", "folder", "verb"],
)
def test_a_wrong_input_is_said_once(shell, options, undisturbed, words, expected):
    done = shell(*words, *(options if words[0] == "train" else ()), program=LAUNCHED)
    assert done.code != 0
    said = messages(done.err)
    assert len(said) == 1
    assert expected in said[0]
    assert not (shell.folder / "refused").exists()
    assert "lorabert/cli" not in done.err, "a traceback"


@pytest.mark.slow
def test_a_finished_run_is_told_to_all(shell, options, undisturbed):
    done = shell("train", *options, "--out", "two", "--resume", "--json", program=LAUNCHED)
    assert done.code == 0, done.err
    assert done.json["status"] == "done"
