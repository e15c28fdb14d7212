"""A lock is an empty file of ours; what somebody else keeps under its name is neither emptied nor removed."""

import subprocess
import sys

import pytest

from lorabert import locks
from lorabert.cli import main
from lorabert.errors import InputError


def test_a_strangers_file_in_the_place_of_the_lock_stays_as_it_is(tmp_path):
    (tmp_path / ".lock").write_text("4711")
    with pytest.raises(InputError, match=r"no lock of lorabert's.*Name another"):
        locks.take(tmp_path, "works in")
    assert (tmp_path / ".lock").read_text() == "4711"


def test_what_a_kill_left_of_our_own_lock_is_taken_over(tmp_path):
    (tmp_path / ".lock").touch()
    locks.take(tmp_path, "works in").release()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_refused_a_folder_leaves_the_lock_of_another_program_in_it(tmp_path, tiny_base):
    import tiny

    texts, labels = tiny.reviews(40)
    tiny.write_csv(tmp_path / "reviews.csv", texts, labels)
    (tmp_path / ".lock").write_text("4711")
    words = ["--data.train", "reviews.csv", "--model.name", str(tiny_base), "--train.baselines", "false", "--out", "."]
    assert main(["train", *words]) == 2
    assert (tmp_path / ".lock").read_text() == "4711"


def test_a_lock_that_a_kill_left_is_tidied_and_one_that_is_held_is_not(tmp_path):
    for name in (locks.LOCK, locks.HOLDER):
        (tmp_path / name).touch()
    locks.tidy(tmp_path)
    assert not list(tmp_path.iterdir())
    locks.tidy(tmp_path)  # nothing to do, and nothing made
    assert not list(tmp_path.iterdir())
    hold = locks.take(tmp_path, "works in")
    code = f"from pathlib import Path; from lorabert import locks; locks.tidy(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / locks.LOCK).exists()
    hold.release()
