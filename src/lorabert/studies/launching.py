"""Who makes the runs of a study: this process, several processes, or several machines. The runs are the same."""

from __future__ import annotations

import functools
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from lorabert import clusters, locks, runs
from lorabert.errors import InputError
from lorabert.studies import campaign
from lorabert.studies.campaign import Job

Launcher = Literal["local", "processes", "ray"]
Record = dict[str, Any]
_MOST = 1_000  # at once
Take = Callable[[Sequence[Job]], dict[str, Record]]


def check(launcher: Launcher, workers: int, concurrent: int | None = None) -> None:
    """Check that a launcher can be used here.

    Raises:
        InputError: it cannot.
    """
    if not 1 <= workers <= _MOST:
        raise InputError("--workers cannot be used", got=str(workers), expected=f"at least 1, and at most {_MOST:,}")
    if concurrent is not None and not 1 <= concurrent <= _MOST:
        raise InputError("--concurrent cannot be used", got=str(concurrent),
                         expected=f"auto, or at least 1 and at most {_MOST:,}")  # fmt: skip
    if launcher == "ray" and not importlib.util.find_spec("ray"):
        raise InputError("--launcher ray needs Ray", fix="pip install 'lorabert[ray]'")


def launch(
    jobs: Sequence[Job], *, launcher: Launcher = "local", workers: int = 2, concurrent: int | None = None, log: Path
) -> list[Record]:
    """Make every run that is not done yet, and return their records in the order of the jobs.

    A worker takes whole runs and holds a lock on each, so that no two processes ever make the same one: not two workers,
    not two commands on one folder, not a command and a worker that outlived the command before it.

    Args:
        jobs: all runs that are ready; their order has no say in the results.
        launcher: `local` makes them in this process, `processes` in several, `ray` on the machines of a Ray cluster that
            see the same files.
        workers: how many at once, for processes and ray.
        concurrent: how many runs on one base a worker trains at once; by default as many as its share of the memory holds.
        log: file that the runs' own lines are added to.

    Raises:
        InputError: a record says that its run is done, and lacks what one that is done has.
    """
    waiting = [job for job in jobs if finished(job) is None]
    made: dict[str, Record] = {}
    if waiting:
        log.parent.mkdir(parents=True, exist_ok=True)
        share = 1.0 if launcher == "local" else 1 / workers
        take = functools.partial(_take, concurrent=concurrent, share=share, log=log.absolute())
        made = {"local": _local, "processes": _processes, "ray": _ray}[launcher](waiting, workers, take)
    lost = {"status": "failed", "error": "its process ended without a word, as one does that runs out of memory"}
    return [_whole(job, finished(job)) or made.get(str(job.out)) or {"run": str(job.out), **lost} for job in jobs]


def _whole(job: Job, record: Record | None) -> Record | None:
    if record:
        runs.RunFolder(job.out, record).check_whole()
    return record


def finished(job: Job) -> Record | None:
    """The record of a finished run of this configuration, on the study's data; None when there is none."""
    record = record_at(job.out)
    if record.get("status") != "done" or runs.unlike(record, job.settings):
        return None
    if job.data and job.data != record.get("data", {}).get("fingerprint"):
        return None
    locks.tidy(job.out)
    return {"run": str(job.out), "adapter": str(job.out / "adapter"), **record}


def record_at(folder: Path) -> Record:
    """The record in a run folder; empty when there is none yet, or none that can be read: whoever makes the run says so."""
    try:
        return runs.RunFolder.open(folder).record
    except InputError:
        return {}


def units(jobs: Sequence[Job], workers: int) -> list[list[Job]]:
    """What a worker takes at once: its share of the runs that can train together, or one other run."""
    shares = [group[part::workers] for group in campaign.groups(jobs) for part in range(workers)]
    return sorted((share for share in shares if share), key=len, reverse=True)


def _local(jobs: Sequence[Job], _: int, take: Take) -> dict[str, Record]:
    return take(jobs)


def _processes(jobs: Sequence[Job], workers: int, take: Take) -> dict[str, Record]:
    """Several processes of this machine; one that dies takes its runs with it, which the next launch makes again."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    others = set(multiprocessing.active_children())
    quiet, before = "TQDM_DISABLE", os.environ.get("TQDM_DISABLE")
    os.environ[quiet] = before or "1"  # read when a worker imports tqdm: bars of several processes would overwrite one another
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_settle, initargs=(workers,))
    made: dict[str, Record] = {}
    try:
        with _no_ctrl_c_for_children():
            futures = [pool.submit(take, unit) for unit in units(jobs, workers)]
        for future in futures:
            try:
                made |= future.result()
            except BrokenProcessPool:
                continue
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ[quiet]
    return made


@contextmanager
def _no_ctrl_c_for_children() -> Iterator[None]:
    """A terminal's Ctrl-C reaches every process; those started here leave it to this one, which ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ray(jobs: Sequence[Job], workers: int, take: Take) -> dict[str, Record]:
    """Tasks of a Ray cluster, at most `workers` at once; one that is lost takes its runs with it, as a process does."""
    import ray

    clusters.join(log_to_driver=False)
    here, gpus = os.getcwd(), 1 if ray.cluster_resources().get("GPU") else 0  # noqa: PTH109 - a word for another process

    @ray.remote(max_retries=0, num_gpus=gpus)
    def task(unit: list[Job]) -> dict[str, Record]:
        os.chdir(here)
        return take(unit)

    made: dict[str, Record] = {}
    waiting = units(jobs, workers)
    running = [task.remote(waiting.pop(0)) for _ in range(min(workers, len(waiting)))]
    while running:
        (done,), running = ray.wait(running)
        try:
            made |= ray.get(done)
        except ray.exceptions.RayTaskError:  # our own mistake, and no loss
            raise
        except ray.exceptions.RayError:
            pass
        if waiting:
            running.append(task.remote(waiting.pop(0)))
    return made


def _take(jobs: Sequence[Job], *, concurrent: int | None, share: float, log: Path) -> dict[str, Record]:
    """Lock the runs, make those that nobody has made meanwhile, and return the records by the run's folder.

    Locks are taken in the order of their paths, so that two processes cannot each wait for the other. The system frees
    them when a process ends, however it ends.
    """
    say = functools.partial(note, log)
    with ExitStack() as held:
        for job in sorted(jobs, key=lambda job: str(job.out)):
            held.callback(runs.hold(job.out, wait=locks.FOREVER).release)
        left = [job for job in jobs if finished(job) is None]
        made = campaign.run(left, concurrent=concurrent, share=share, say=say)
        return {str(job.out): record for job, record in zip(left, made, strict=True)}


def note(log: Path, line: str) -> None:
    """Add a line to a study's log, if its folder is still there: that it is gone is for the runs to say."""
    with suppress(FileNotFoundError), log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _settle(workers: int) -> None:
    """Make a worker process at home: its share of the cores, stdout left to the parent, and no life after the parent's."""
    import torch
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and an interrupt would leave it behind
    os.dup2(sys.stderr.fileno(), 1)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
