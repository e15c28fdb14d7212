"""Of two processes on one folder one works and the other is told of it; a lock ends with its holder, however that ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lorabert import locks
from lorabert.errors import InputError
from lorabert.folders import clear_partial, whole_folder

WEIGHTS = "adapter/adapter_model.safetensors"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

HOLDER = """
import sys, time
from pathlib import Path
from lorabert import locks
hold = locks.take(Path(sys.argv[1]), "works in")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder():
    """Another process that holds a folder, until it is killed."""
    running = []

    def start(folder):
        process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def kept_out(folder):
    with pytest.raises(InputError) as refused:
        locks.take(folder, "works in")
    return str(refused.value)


# ---- the lock itself


def test_a_second_process_is_kept_out_and_told_of_the_first(holder, tmp_path):
    first = holder(tmp_path / "folder")
    assert f"process {first.pid}, since" in kept_out(tmp_path / "folder")


def test_a_killed_holder_keeps_nobody_out_and_leaves_nothing_that_does(holder, tmp_path):
    first = holder(tmp_path / "folder")
    first.kill()
    first.wait()
    assert (tmp_path / "folder" / locks.HOLDER).exists(), "the control: a kill leaves it"
    hold = locks.take(tmp_path / "folder", "works in")
    assert json.loads((tmp_path / "folder" / locks.HOLDER).read_text())["pid"] == os.getpid()
    hold.release()
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_folder_that_was_made_for_a_lock_goes_with_it_and_another_stays(tmp_path):
    locks.take(tmp_path / "made", "works in").release()
    assert not (tmp_path / "made").exists()
    (tmp_path / "there").mkdir()
    locks.take(tmp_path / "there", "works in").release()
    assert (tmp_path / "there").exists()


def test_one_thread_may_hold_a_folder_twice_and_it_is_free_after_both(tmp_path):
    first, second = locks.take(tmp_path / "a", "works in"), locks.take(tmp_path / "a", "works in")
    second.release()
    second.release()
    held = subprocess.run([sys.executable, "-c", HOLDER.replace("60", "0"), str(tmp_path / "a")],
                          capture_output=True, text=True)  # fmt: skip
    assert f"process {os.getpid()}" in held.stderr
    first.release()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("how", ["removed", "moved", "replaced", "taken by another"])
def test_a_folder_that_is_no_longer_the_one_that_was_taken_is_lost(holder, tmp_path, how):
    folder = tmp_path / "folder"
    hold = locks.take(folder, "works in")
    hold.check("")
    if how == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(folder)
    if how == "replaced":
        folder.mkdir()
    if how == "taken by another":
        holder(folder)
    with pytest.raises(locks.Lost, match="all of it"):
        hold.check("all of it")
    hold.release()
    assert (folder / locks.HOLDER).exists() is (how == "taken by another")


def test_a_clock_that_is_set_back_changes_nothing(holder, tmp_path):
    folder = tmp_path / "folder"
    first = holder(folder)
    for name in (locks.LOCK, locks.HOLDER):
        os.utime(folder / name, (0, 0))
    assert "process" in kept_out(folder)
    first.kill()
    first.wait()
    for name in (locks.LOCK, locks.HOLDER):
        os.utime(folder / name, (2**33, 2**33))
    locks.take(folder, "works in").release()


def test_a_file_system_without_locks_is_said_and_worked_on(tmp_path, monkeypatch):
    import filelock

    def none(*_, **__):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    with pytest.warns(UserWarning, match="has no locks"):
        hold = locks.take(tmp_path / "folder", "works in")
    hold.check("")
    hold.release()


# ---- what is made beside its place


def test_partial_files_of_a_kill_are_cleared_and_what_only_looks_like_them_stays(tmp_path):
    ours = [".run.json.0a1b2c3d.partial", ".predictions.parquet.00000000.partial"]
    theirs = ["notes.partial", ".mine.partial", ".run.json.partial", "run.json", ".run.json.xyz12345.partial"]
    for name in (*ours, *theirs):
        (tmp_path / name).write_text("x")
    for name in (".adapter.partial", ".adapter.0a1b2c3d.partial", ".checkpoint-12.partial", ".own.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / ".link.0a1b2c3d.partial").symlink_to(tmp_path / "notes.partial")
    clear_partial(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*theirs, ".own.partial", ".link.0a1b2c3d.partial", ".cache"} - (
        {".cache"} if not (tmp_path / ".cache").exists() else set()
    )


def test_two_who_make_one_folder_are_kept_apart(tmp_path):
    told = "from pathlib import Path; from lorabert.folders import whole_folder; whole_folder(Path('out')).__enter__()"
    with whole_folder(tmp_path / "out") as beside:
        (beside / "a").write_text("x")
        other = subprocess.run([sys.executable, "-c", told], cwd=tmp_path, capture_output=True, text=True)
        assert "Another process is making" in other.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("put", ["a file in the folder", "a folder in it", "a file in its place"])
def test_what_is_put_into_the_place_meanwhile_stays(tmp_path, put):
    out = tmp_path / "out"
    making = whole_folder(out)
    (making.__enter__() / "made").write_text("x")
    if put == "a file in its place":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").mkdir() if put == "a folder in it" else (out / "mine").write_text("mine")
    with pytest.raises(InputError, match="put there meanwhile"):
        making.__exit__(None, None, None)
    assert out.read_text() == "mine" if put == "a file in its place" else (out / "mine").exists()
    assert not (out / "made").exists()
    assert not list(tmp_path.glob(".out*"))


# ---- the verbs


@pytest.fixture(scope="module")
def options(workplace):
    return [*workplace, "--train.num_train_epochs", "40", "--train.logging_steps", "5", "--train.baselines", "false"]


def until(there, process=None, seconds=120):
    deadline = time.monotonic() + seconds
    while not there():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def training(shell, options):
    """A run that trains for long in a process of its own."""
    process = shell.popen("train", *options, "--out", "run", "--json")
    until(lambda: list((shell.folder / "run").glob("checkpoints/checkpoint-*/complete")), process)
    yield process
    process.kill()
    process.communicate()


def test_resume_while_it_still_trains_names_the_other_process(shell, here, options, training):
    for words in (["--out", "run", "--resume"], ["--out", "run"]):
        done = here("train", *options, *words)
        assert done.code == 2, done.out
        assert f"process {training.pid}" in done.err or "already holds something" in done.err
        assert "Traceback" not in done.err
    assert f"process {training.pid}" in here("train", *options, "--out", "run", "--resume").err
    assert training.poll() is None


def test_a_run_folder_that_is_removed_while_it_trains_ends_in_words_and_is_not_made_again(shell, here, options):
    process = shell.popen("train", *options, "--out", "gone")
    until(lambda: list((shell.folder / "gone").glob("checkpoints/checkpoint-*/complete")), process)
    while (shell.folder / "gone").exists():
        shutil.rmtree(shell.folder / "gone", ignore_errors=True)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "was removed or moved while it was written to" in errors
    assert "lost" in errors
    assert "Traceback" not in errors
    assert not (shell.folder / "gone").exists()


def test_what_a_killed_training_left_half_written_is_cleared(shell, here, options):
    short = [*options, "--train.num_train_epochs", "2"]
    process = shell.popen("train", *short, "--out", "left")
    until(lambda: (shell.folder / "left" / "metrics.jsonl").exists(), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    out = shell.folder / "left"
    (out / ".run.json.0a1b2c3d.partial").write_text("{")
    (out / ".adapter.0a1b2c3d.partial").mkdir()
    (out / "checkpoints").mkdir(exist_ok=True)
    (out / "checkpoints" / ".checkpoint-8.partial").mkdir()
    (out / "checkpoints" / "notes.txt").write_text("mine")
    (out / "notes.txt").write_text("mine")
    done = here("train", *short, "--out", "left", "--resume")
    assert done.code == 0, done.err
    assert not list(out.rglob("*.partial"))
    assert not list(out.rglob(".lock*"))
    assert (out / "notes.txt").read_text() == (out / "checkpoints" / "notes.txt").read_text() == "mine"


def test_a_sweep_takes_no_folder_of_somebody_elses(shell, here, options):
    (shell.folder / "mine").mkdir()
    (shell.folder / "mine" / "best.yaml").write_text("mine")
    done = here("sweep", *options, "--grid", "lora.r=2,4", "--out", "mine")
    assert done.code == 2
    assert "no sweep" in done.err
    assert [path.name for path in (shell.folder / "mine").iterdir()] == ["best.yaml"]
