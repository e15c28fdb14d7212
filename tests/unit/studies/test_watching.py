"""What people read while the runs of a study are made: runs, their parts, and the time left."""

from __future__ import annotations

import time

import pytest

from lorabert.config import DataConfig, RunConfig, TrainConfig
from lorabert.runs import RunFolder
from lorabert.studies.campaign import Job
from lorabert.studies.watching import Watch


@pytest.fixture
def jobs(tmp_path):
    settings = RunConfig(data=DataConfig(train="reviews.csv"), train=TrainConfig(num_train_epochs=4))
    return [Job(settings, tmp_path / str(number)) for number in range(2)]


class Lines:
    """Keeps what was told, and gives the lines after the first one by one, waiting for them."""

    def __init__(self):
        self.told, self.given = [], 1

    def next(self):
        deadline = time.monotonic() + 20
        while len(self.told) == self.given:
            assert time.monotonic() < deadline, self.told
            time.sleep(0.005)
        self.given += 1
        return self.told[self.given - 1]


def watch(jobs, lines, silence=0.0):
    return Watch(jobs, "Tuning", lines.told.append, every=0.01, silence=silence)


def begin(job, *epochs):
    folder = RunFolder.create(job.out, job.settings)
    for epoch in epochs:
        folder.log({"step": 1, "epoch": epoch, "event": "train", "loss": 1.0})
    return folder


def test_runs_and_parts_of_runs_count(jobs):
    lines = Lines()
    with watch(jobs, lines):
        assert lines.told == ["Tuning: 2 runs"]
        folder = begin(jobs[0], 1.0)
        assert lines.next() == "Tuning: 0 of 2 runs done (12% of the work, less than a minute left)"
        begin(jobs[1], 2.0)
        assert lines.next().startswith("Tuning: 0 of 2 runs done (38% of the work")
        folder.update(status="done")
        assert lines.next().startswith("Tuning: 1 of 2 runs done (75% of the work")
        RunFolder.open(jobs[1].out).update(status="done")
    assert lines.told[-1] == "Tuning: 2 of 2 runs done"


def test_the_time_left_counts_what_was_done_here_alone(jobs):
    lines, folder = Lines(), begin(jobs[0], 2.0)
    with watch(jobs, lines) as watching:
        watching.started -= 30 * 60
        folder.log({"step": 2, "epoch": 4.0, "event": "train", "loss": 1.0})
        assert lines.next() == "Tuning: 0 of 2 runs done (50% of the work, about 60 min left)"


def test_it_keeps_silent_where_nothing_goes_on_and_before_its_time(jobs):
    lines, patient = Lines(), Lines()
    begin(jobs[0], 1.0)
    with watch(jobs, lines), watch(jobs, patient, silence=600):
        time.sleep(0.1)
        assert lines.told == patient.told == ["Tuning: 2 runs"]
        begin(jobs[1], 1.0)
        lines.next()
        assert len(patient.told) == 1
        RunFolder.open(jobs[1].out).update(status="done")
        assert patient.next().startswith("Tuning: 1 of 2 runs done (62% of the work")


def test_what_is_done_already_is_not_made_again_and_a_damaged_run_counts_for_nothing(jobs):
    lines = Lines()
    begin(jobs[0]).update(status="done")
    begin(jobs[1], 3.0)
    metrics = jobs[1].out / "metrics.jsonl"
    metrics.write_bytes(b"[damaged\n" + metrics.read_bytes())
    with watch(jobs, lines):
        time.sleep(0.05)
    assert lines.told == ["Tuning: 2 runs, 1 of them already done"]


def test_one_run_is_one_run_and_its_end_is_told_though_all_its_epochs_were_done(jobs):
    lines, folder = Lines(), begin(jobs[0], 4.0)
    with watch(jobs[:1], lines):
        folder.update(status="done")
    assert lines.told == ["Tuning: 1 run", "Tuning: 1 of 1 run done"]
