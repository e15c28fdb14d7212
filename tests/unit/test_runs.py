"""Run folders: what was said to be saved is there after a kill, and no earlier run is overwritten."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lorabert import config, runs
from lorabert.config import RunConfig, TrainConfig
from lorabert.errors import InputError
from lorabert.runs import RunFolder, all_runs, newest, start

SETTINGS = RunConfig().resolved()
OTHER = dataclasses.replace(SETTINGS, train=TrainConfig(seed=1)).resolved()

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from lorabert.config import RunConfig
from lorabert.errors import InputError
from lorabert.runs import RunFolder

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    RunFolder.create(Path("runs/new"), RunConfig().resolved())
except InputError as error:
    print(error)
"""


def started(name: str, when: str, settings: RunConfig = SETTINGS, status: str = "done") -> RunFolder:
    folder = RunFolder.create(Path("runs") / name, settings)
    folder.update(started=when, status=status)
    return folder


def test_a_new_run_records_its_configuration_and_that_it_is_running():
    folder = RunFolder.create(Path("deep/er/run"), SETTINGS)
    record = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))
    assert record == folder.record
    assert record["status"] == "running"
    assert record["schema_version"] == runs.SCHEMA_VERSION
    assert record["config_sha256"] == SETTINGS.sha256()
    assert config.from_dict(record["config"]) == SETTINGS
    assert config.load(folder.path / "config.yaml") == SETTINGS
    assert {path.name for path in folder.path.iterdir()} == {"config.yaml", "run.json"}


def test_a_run_opened_again_has_the_same_record():
    folder = RunFolder.create(Path("run"), SETTINGS)
    folder.update(labels=["naïve", "\u2028"], value=0.1)
    assert RunFolder.open(Path("run")).record == folder.record


def test_a_record_that_is_no_number_is_refused_and_leaves_the_saved_one_whole():
    folder = RunFolder.create(Path("run"), SETTINGS)
    before = (folder.path / "run.json").read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.update(loss=float("nan"))
    assert (folder.path / "run.json").read_bytes() == before


def test_out_that_holds_something_is_refused_and_left_alone():
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep", encoding="utf-8")
    Path("file").write_text("keep", encoding="utf-8")
    for out in (Path("mine"), Path("file")):
        with pytest.raises(InputError, match="already holds something"):
            RunFolder.create(out, SETTINGS)
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]
    Path("empty").mkdir()
    assert RunFolder.create(Path("empty"), SETTINGS).path == Path("empty")


def test_out_below_a_file_is_refused():
    Path("file").write_text("keep", encoding="utf-8")
    with pytest.raises(InputError):
        RunFolder.create(Path("file/run"), SETTINGS)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe"], ids=["missing", "empty", "cut", "binary"])
def test_a_folder_without_a_readable_record_is_no_run(content):
    Path("run").mkdir()
    if content is not None:
        Path("run/run.json").write_bytes(content)
    with pytest.raises(InputError, match="run"):
        RunFolder.open(Path("run"))


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"'])
def test_a_record_that_is_no_object_is_no_run(content):
    started("good", "2026-01-01")
    Path("runs/bad").mkdir()
    Path("runs/bad/run.json").write_bytes(content)
    with pytest.raises(InputError):
        RunFolder.open(Path("runs/bad"))
    assert [run.path.name for run in all_runs()] == ["good"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right")
def test_of_checkpoints_only_files_of_their_own_are_removed():
    folder = RunFolder.create(Path("run"), SETTINGS)
    Path("outside").mkdir()
    Path("outside/progress.json").write_text("keep", encoding="utf-8")
    (folder.checkpoints / "checkpoint-1" / "complete").mkdir(parents=True)
    (folder.checkpoints / "checkpoint-2").symlink_to(Path("outside").absolute())
    folder.clear_checkpoints()
    assert Path("outside/progress.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a right")
@pytest.mark.parametrize("part", ["metrics.jsonl", "checkpoints", "adapter", ".lock"])
def test_a_run_of_which_a_part_lies_elsewhere_is_not_worked_in(part):
    folder = RunFolder.create(Path("run"), SETTINGS)
    Path("outside").mkdir()
    (folder.path / part).symlink_to(Path("outside").absolute())
    with pytest.raises(InputError, match="no part of"):
        folder.take()
    assert not list(Path("outside").iterdir())


# ---- events


def test_events_come_back_in_order():
    folder = RunFolder.create(Path("run"), SETTINGS)
    assert folder.events() == []
    logged = [{"step": step, "loss": 0.1 * step, "note": "line\u2028\nbreak"} for step in range(3)]
    for event in logged:
        folder.log(event)
    assert folder.events() == logged


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_last_line_that_a_kill_cut_is_left_out(cut):
    folder = RunFolder.create(Path("run"), SETTINGS)
    for step in range(3):
        folder.log({"step": step, "loss": 0.5})
    file = folder.path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[: -cut - 1])
    assert [event["step"] for event in folder.events()] == [0, 1]


def test_a_broken_line_in_the_middle_that_no_kill_explains_is_not_hidden():
    folder = RunFolder.create(Path("run"), SETTINGS)
    (folder.path / "metrics.jsonl").write_text('{"step": 0}\n{step: 1}\n{"step": 2}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2.*property name"):
        folder.events()


def test_events_logged_after_a_kill_in_the_middle_of_a_line_are_kept():
    folder = RunFolder.create(Path("run"), SETTINGS)
    folder.log({"step": 0})
    with (folder.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 1, "lo')  # the kill
    resumed = RunFolder.open(Path("run"))
    for step in (1, 2, 3):
        resumed.log({"step": step})
    assert [event["step"] for event in resumed.events()] == [0, 1, 2, 3]


def test_predictions_are_one_row_an_example_in_the_splits_order():
    folder = RunFolder.create(Path("run"), SETTINGS)
    draw = np.random.default_rng(0)
    logits = {name: draw.normal(size=(n, 3)).astype(np.float32) for name, n in (("test", 4), ("validation", 2))}
    folder.save_predictions({name: (np.arange(len(values)) % 3, values) for name, values in logits.items()})
    rows = pq.read_table(folder.path / "predictions.parquet").to_pylist()
    assert [(row["split"], row["index"], row["label"]) for row in rows] == [
        ("test", 0, 0), ("test", 1, 1), ("test", 2, 2), ("test", 3, 0), ("validation", 0, 0), ("validation", 1, 1),
    ]  # fmt: skip
    assert np.array_equal(np.array([row["logits"] for row in rows], np.float32), np.concatenate(list(logits.values())))


# ---- finding and resuming


def test_the_newest_run_is_the_one_that_started_last_and_finished():
    started("a", "2026-01-02T00:00:00+0000")
    started("z", "2026-01-01T00:00:00+0000")
    started("b", "2026-01-03T00:00:00+0000", status="running")
    Path("runs/noise").mkdir()
    Path("runs/noise/run.json").write_text("{", encoding="utf-8")
    assert [run.path.name for run in all_runs()] == ["b", "a", "z"]
    assert newest().path.name == "a"


def test_no_finished_run_is_an_input_error():
    with pytest.raises(InputError, match="No finished run"):
        newest()
    started("a", "2026-01-02", status="failed")
    with pytest.raises(InputError, match="No finished run"):
        newest()


def test_without_resume_a_new_folder_is_made_each_time():
    paths = {start(SETTINGS, None, resume=False, name="my data!").path for _ in range(3)}
    assert len(paths) == 3
    assert all(path.parent == Path("runs") and path.name.startswith("my-data-") for path in paths)


@pytest.mark.parametrize("name", ["", "..", "///", "映画"])
def test_a_strange_name_still_makes_a_folder_below_runs(name):
    path = start(SETTINGS, None, resume=False, name=name).path
    assert path.parent == Path("runs")
    assert path.name.startswith("run-")


def test_resume_goes_on_with_the_newest_run_of_the_same_configuration_only():
    started("old", "2026-01-01", status="running")
    started("same", "2026-01-02", status="interrupted")
    started("other", "2026-01-03", OTHER, status="running")
    assert start(SETTINGS, None, resume=True, name="x").path.name == "same"
    assert start(OTHER, None, resume=True, name="x").path.name == "other"
    third = dataclasses.replace(SETTINGS, train=TrainConfig(seed=2)).resolved()
    assert start(third, None, resume=True, name="x").path.name.startswith("x-")
    assert start(SETTINGS, None, resume=False, name="x").path.name.startswith("x-")


def test_resume_with_out_takes_that_run_or_says_what_differs():
    started("mine", "2026-01-01", status="running")
    started("newer", "2026-01-02", status="running")
    out = Path("runs/mine")
    assert start(SETTINGS, out, resume=True, name="x").path == out
    with pytest.raises(InputError, match=r"train\.seed was 42 and is 1"):
        start(OTHER, out, resume=True, name="x")
    with pytest.raises(InputError, match="already holds something"):
        start(SETTINGS, out, resume=False, name="x")


def test_resume_with_an_out_that_a_kill_left_before_its_record_starts_anew():
    out = Path("run")
    out.mkdir()
    (out / "config.yaml").write_text(config.dump(SETTINGS), encoding="utf-8")
    (out / ".run.json.1234.partial").write_text("{", encoding="utf-8")
    assert start(SETTINGS, out, resume=True, name="x").record["status"] == "running"
    assert not list(out.glob("*.partial"))
    assert start(SETTINGS, Path("new"), resume=True, name="x").path == Path("new")


# `lorabert train --config mine/config.yaml --out mine --resume` deletes the user's own configuration.
def test_resume_with_an_out_that_is_no_run_deletes_nothing():
    out = Path("mine")
    out.mkdir()
    (out / "config.yaml").write_text("train: {seed: 1}\n", encoding="utf-8")
    (out / "data.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(InputError, match="already holds something"):
        start(SETTINGS, out, resume=True, name="x")
    assert (out / "config.yaml").read_text(encoding="utf-8") == "train: {seed: 1}\n"


# ---- disks that refuse


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE")
def test_a_full_disk_is_an_input_error_and_leaves_earlier_runs_whole():
    earlier = started("earlier", "2026-01-01")
    before = {path.name: path.read_bytes() for path in earlier.path.iterdir()}
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert "runs/new" in done.stdout
    assert {path.name: path.read_bytes() for path in earlier.path.iterdir()} == before
    assert [run.path.name for run in all_runs()] == ["earlier"]
    assert [path.name for path in Path("runs/new").iterdir()] == []  # nothing half-written


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such right")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes everywhere; see the next test")
def test_a_folder_that_may_not_be_written_is_an_input_error():
    Path("closed").mkdir(mode=0o500)
    with pytest.raises(InputError, match="may not be written"):
        RunFolder.create(Path("closed/run"), SETTINGS)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that refuses")
def test_a_file_system_that_refuses_is_an_input_error_for_root_too(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="read-only"):
        RunFolder.create(Path("run"), SETTINGS)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system in which no folder can be made")
def test_a_folder_that_cannot_be_made_is_refused():
    with pytest.raises(InputError, match=r"/proc/nowhere/run cannot be made.*--out"):
        runs.RunFolder.create(Path("/proc/nowhere/run"), RunConfig().resolved())
