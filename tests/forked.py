"""`lorabert` as a process of its own, forked from one that has imported everything: the seconds of a start are paid once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# What the commands import sooner or later; read with the hub switched off, as conftest.py says.
_IMPORTED = ["lorabert.cli", "peft", "lorabert.studies.campaign", "lorabert.studies.comparison", "lorabert.studies.sweeping",
             "lorabert.engine.training", "lorabert.shipping.exporting", "optuna"]  # fmt: skip


class Forked:
    """What a test needs of subprocess.Popen.

    Args:
        argv: the verb and its options.
        cwd: where it starts.
        env: its environment.
        befall: what befalls the process just before the command begins; a function that another process can import.
    """

    def __init__(self, argv: list[str], *, cwd: Path, env: dict[str, str], befall: Callable[[], None] | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED)
        self._streams = [tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2)]  # noqa: SIM115
        self.stdout, self.stderr = self._streams
        paths = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in self._streams]
        self._ready, ready = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(argv, str(cwd), env, *paths, befall, ready))
        self._process.start()
        ready.close()
        self.pid = self._process.pid
        self.kill = self._process.kill

    def begun(self) -> None:
        """Wait until the command has begun, so that it meets what is sent to it."""
        with suppress(EOFError):
            self._ready.recv()

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it may end at this moment
            os.kill(self.pid, number)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(["lorabert"], timeout or 0)
        for stream in self._streams:
            stream.seek(0)
        return self.stdout.read(), self.stderr.read()


def possible() -> bool:
    """Whether this system forks and shows open files by path."""
    return sys.platform == "linux"


def _run(
    argv: list[str], cwd: str, env: dict[str, str], out: str, err: str, befall: Callable[[], None] | None, ready: Any
) -> None:
    from lorabert import interrupts
    from lorabert.__main__ import run

    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    if befall:
        befall()
    interrupts.install()  # done when the module was first imported, in the process that this one is forked from
    ready.send(True)
    ready.close()
    run(argv)
