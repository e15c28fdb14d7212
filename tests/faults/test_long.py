"""What goes on for long takes no more memory and opens no more files: runs in one process, and a server at twice its load.

LORABERT_RELIABILITY=docs/records/reliability pytest -n 0 -m slow tests/faults/test_long.py
LORABERT_MINUTES=60 makes it an hour of serving, LORABERT_RUNS another number of runs.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

import serving
import tiny
from lorabert.cli import main
from reliability import Tally

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMMAND = "pytest -n 0 -m slow tests/faults/test_long.py"
# Growth that is none: above the noise of an allocator, far below a leak of anything a run or a request holds.
BYTES_A_RUN, BYTES_A_MINUTE = 64 << 10, 256 << 10
DESCRIPTORS_A_RUN, DESCRIPTORS_A_MINUTE = 0.01, 0.1
pytestmark = pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="descriptors as POSIX counts them")


@pytest.fixture
def benchmark(monkeypatch):
    """Modules of benchmarks/, which is no package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_a_slope_finds_growth_and_none_in_noise(benchmark):
    slope = benchmark("flatness").slope
    noise = np.random.default_rng(0).normal(0, 50, 400)
    assert slope(noise).low < 0 < slope(noise).high
    assert slope(noise + 3 * np.arange(400)).low > 2
    assert slope(1000 + 2 * np.arange(40), 0.5).value == pytest.approx(4)
    assert slope([7] * 40) == (0, 0, 0)
    with pytest.raises(ValueError, match="more than 2"):
        slope([1, 2])


def growth(folder, runs, monkeypatch):
    """The resident size and the open descriptors after each of so many runs in this process."""
    monkeypatch.chdir(folder)
    tiny.build_base("base")
    words = [("good", "fine", "bad", "poor")[number % 4] for number in range(48)]
    tiny.write_csv("data.csv", [f"a {word} film number {number}" for number, word in enumerate(words)],
                   [int(word in ("good", "fine")) for word in words])  # fmt: skip
    me, sizes, descriptors = psutil.Process(), [], []
    for number in range(runs):
        main(["train", "--model.name", "base", "--data.train", "data.csv", "--train.num_train_epochs", "1",
              "--train.seed", str(number), "--train.save_strategy", "no", "--out", f"runs/{number}"])  # fmt: skip
        sizes.append(me.memory_info().rss)
        descriptors.append(me.num_fds())
    return sizes, descriptors


def test_a_few_runs_in_one_process_leave_no_descriptor_open(tmp_path, monkeypatch):
    _, descriptors = growth(tmp_path, 4, monkeypatch)
    assert max(descriptors[1:]) <= descriptors[1] + 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_runs_in_one_process_stay_flat(tmp_path, monkeypatch, benchmark):
    runs, tally = int(os.environ.get("LORABERT_RUNS", "200")), Tally("long", "runs in one process")
    slope = benchmark("flatness").slope
    sizes, descriptors = growth(tmp_path, runs, monkeypatch)
    tally.outcomes["completed"] = runs
    grown, opened = slope(sizes), slope(descriptors)
    checked(tally, "the resident size, KiB a run", grown, BYTES_A_RUN, 1024)
    checked(tally, "open descriptors a run", opened, DESCRIPTORS_A_RUN, 1)
    tally.save(COMMAND, {"runs: growth of the resident size": f"{told(grown, 1024)} KiB a run",
                         "runs: growth of open descriptors": f"{told(opened, 1)} a run"})  # fmt: skip
    assert not tally.failures


def checked(tally, what, found, bound, unit):
    if found.low > bound:
        tally.failures.append(f"{what}: {told(found, unit)}")


def told(found, unit):
    return f"{found.value / unit:.3g} ({found.low / unit:.3g} to {found.high / unit:.3g})"


def overloaded(folder, seconds, benchmark):
    """What benchmarks/serving_overload.py measures, of a tiny adapter's server on loopback."""
    overload, client = benchmark("serving_overload"), benchmark("client")
    adapter = serving.save_adapter(folder / "one", tiny.build_base(folder / "base"), ["no", "yes"])
    command = [sys.executable, "-m", "lorabert", "serve", "--port", "0", "--json", "--access_log", "false", str(adapter)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
    try:
        port = int(json.loads(process.stdout.readline())["address"].rpartition(":")[2])
        texts = ["a wonderful film", "two hours that never come back", "the songs are lovely , the story is not"]
        requests = [client.encoded("POST", "/classify", {"model": "one", "input": text}) for text in texts]
        overload.PORT = port
        result = asyncio.run(overload._measure(process.pid, requests, seconds, 2.0))
        process.send_signal(signal.SIGTERM)
        return result | {"exit": process.wait(120)}
    finally:
        process.kill()
        process.wait()


def test_seconds_at_twice_the_load_leave_a_server_that_ends_in_order(tmp_path, benchmark):
    result = overloaded(tmp_path, 4, benchmark)
    assert result["statuses"]["200"] > 0
    assert (result["unanswered"], result["exit"]) == (0, 0)
    assert len(result["descriptors"]) == len(result["resident_bytes"]) - 1 > 10


@pytest.mark.slow
@pytest.mark.timeout(10_000)
def test_minutes_at_twice_the_load_stay_flat(tmp_path, benchmark):
    minutes, tally = float(os.environ.get("LORABERT_MINUTES", "10")), Tally("long", "serving at twice its load")
    result = overloaded(tmp_path, 60 * minutes, benchmark)
    slope = benchmark("flatness").Slope
    grown, opened = slope(**result["resident_bytes_a_minute"]), slope(**result["descriptors_a_minute"])
    for status, count in result["statuses"].items():
        if status in ("200", "429", "503"):
            tally.outcomes["answered" if status == "200" else f"told {status}"] = count
        else:
            tally.failures.append(f"{count} requests ended in {status}")
    checked(tally, "the resident size, KiB a minute", grown, BYTES_A_MINUTE, 1024)
    checked(tally, "open descriptors a minute", opened, DESCRIPTORS_A_MINUTE, 1)
    if result["unanswered"] or result["exit"]:
        tally.failures.append(f"{result['unanswered']} requests had no answer; exit {result['exit']}")
    command = COMMAND if minutes == 10 else f"LORABERT_MINUTES={minutes:g} {COMMAND}"
    tally.save(command, {"serving: asked over answered, times": f"{result['asked_over_answered']:.2f}, for {minutes:g} minutes",
                         "serving: growth of the resident size": f"{told(grown, 1024)} KiB a minute",
                         "serving: growth of open descriptors": f"{told(opened, 1)} a minute"})  # fmt: skip
    assert not tally.failures
