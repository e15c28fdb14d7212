"""Several processes on one store, and processes that are killed in the middle of it: real ones."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import handmade
from lorabert.shipping.store import Store

TESTS = Path(handmade.__file__).parent
# Adds and now and then removes, and says so once it is done: what was said must hold whatever happens next.
WORKER = """
import sys
from pathlib import Path
from lorabert.shipping.store import Store

root, adapter, name, times = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
for count in range(times):
    entry = Store(root).add(adapter, name)
    print("added", entry.reference, entry.sha256, flush=True)
    if count % 4 == 3:
        print("removing", entry.reference, flush=True)
        Store(root).remove(entry.reference)
        print("removed", entry.reference, flush=True)
"""


def worker(adapter: Path, name: str, times: int) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", WORKER, "store", str(adapter), name, str(times)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def go(*processes: subprocess.Popen) -> None:
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def said(lines: list[str], what: str) -> list[str]:
    return [line.rstrip("\n").split(maxsplit=1)[1] for line in lines if line.startswith(f"{what} ") and line.endswith("\n")]


def test_eight_processes_that_add_at_once_get_a_number_each():
    adapters = [handmade.adapter(f"made-{seed}", seed) for seed in range(8)]
    processes = [worker(adapter, "emotion", 3) for adapter in adapters]
    go(*processes)
    store = Store(Path("store"))
    while any(process.poll() is None for process in processes):  # and a reader sees a whole store all the while
        if store.exists():
            assert store.verify().problems == []
    ends = [process.communicate() for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, ends, strict=True)] == [(0, "")] * 8
    added = [line for out, _ in ends for line in said(out.splitlines(keepends=True), "added")]
    entries = store.entries()
    assert sorted(added) == sorted(f"{entry.reference} {entry.sha256}" for entry in entries)
    assert [entry.version for entry in entries] == list(range(1, 25))
    assert len(list(Path("store/objects").iterdir())) == 8
    check = store.verify()
    assert (check.problems, check.notes) == ([], [])


def test_processes_that_add_and_remove_at_once_leave_what_they_said():
    adapters = [handmade.adapter(f"made-{seed % 2}", seed % 2) for seed in range(4)]
    processes = [worker(adapter, name, 8) for adapter, name in zip(adapters, ["a", "a", "b", "b"], strict=True)]
    go(*processes)
    lines = [line for process in processes for line in process.communicate()[0].splitlines(keepends=True)]
    assert [process.returncode for process in processes] == [0] * 4
    gone = set(said(lines, "removed"))
    assert len(gone) == 8
    kept = {line for line in said(lines, "added") if line.split()[0] not in gone}
    store = Store(Path("store"))
    assert {f"{entry.reference} {entry.sha256}" for entry in store.entries()} == kept
    assert store.verify().problems == []


@pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL")
@pytest.mark.parametrize("how", ["kill", pytest.param("refuse", marks=pytest.mark.slow)])
def test_struck_at_every_step_a_store_is_whole_and_goes_on(how):
    done = subprocess.run([sys.executable, TESTS / "store_at_every_step.py", how], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["wrong"] == [], done.stderr
    assert min(result["steps"].values()) > 20


@pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL")
def test_a_store_that_adds_in_the_wrong_order_would_be_found_out():
    command = [sys.executable, TESTS / "store_at_every_step.py", "control"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "its adapter is missing" in done.stdout


@pytest.mark.slow
def test_killed_at_random_moments_a_store_keeps_all_that_was_said():
    adapters = [handmade.adapter(f"made-{seed}", seed, bytes_of_weights=300_000) for seed in range(2)]
    draw, store, lines, in_the_middle = random.Random(0), Store(Path("store")), [], 0
    for kill in range(30):
        process = worker(adapters[kill % 2], "emotion", 1000)
        go(process)
        lines += [process.stdout.readline() for _ in range(kill % 7)]
        time.sleep(draw.uniform(0, 0.03))
        process.kill()
        lines += process.stdout.readlines()  # communicate() would pass over what readline() has read ahead
        process.communicate()
        if not store.exists():
            continue
        in_the_middle += any(Path("store").glob("partial/*"))
        assert store.verify().problems == []
        there = {f"{entry.reference} {entry.sha256}" for entry in store.entries()}
        begun = set(said(lines, "removing"))
        assert {line for line in said(lines, "added") if line.split()[0] not in begun} <= there
        assert not {line.split()[0] for line in there} & set(said(lines, "removed"))
    assert len(said(lines, "added")) > 30
    assert in_the_middle  # some kills did hit a writer at work
    store.remove(store.add(adapters[0], "last").reference)
    assert store.verify().notes == []
    assert not Path("store/partial").exists()
