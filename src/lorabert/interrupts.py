"""Ctrl-C and SIGTERM, wherever they come: what was begun is undone in order, and the command ends with one line and 130.

Python alone raises KeyboardInterrupt between any two steps, and that is not enough. A library in C++ that is just being loaded
may abort; one in Python may make another error of it; a destructor swallows it, and the command goes on; and while the
interpreter ends, the process dies by the signal although its work is done. So the process has a handler of its own from its
first lines on, which waits where nothing can be raised, remembers that it was called, and heeds nothing once the end is decided.

While modules are imported nothing is raised at all: where nothing has been begun that must be undone, the command takes its leave
right there; otherwise the interrupt waits until the import is over.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

CODE = 130  # 128 + SIGINT, as shells report it
MESSAGE = "Interrupted."

# Two signals within it are one wish: a terminal and a launcher both send one. A later one is impatience.
_ONE_WISH_SECONDS = 1.0
_AGAIN_SECONDS = 0.02
_CLEANING_SECONDS = 10.0
_TAKEN = (signal.SIGINT, signal.SIGTERM)
_IMPORTING = "<frozen importlib._bootstrap>"


class _Signals:
    """What has come, and whether it may be raised now.

    Attributes:
        since: when the first one came, by the monotonic clock.
        heeded: whether a verb runs, which can be interrupted.
        farewell: ends the process from within, with nothing undone.
        begun: how many things have been begun that must be undone.
        held: how many steps are being made that are whole or not begun.
        waiting: whether one came that could not be raised yet.
        asked_again: whether the next call is our own repetition.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.farewell: Callable[[], object] | None = None
        self.heeded, self.held, self.begun, self.waiting, self.asked_again = False, 0, 0, False, False

    def handle(self, _: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, now or as soon as that can be done; the second wish ends the process at once."""
        again, self.asked_again = self.asked_again, False
        if not again:
            now = time.monotonic()
            if self.since is not None:
                if now - self.since > _ONE_WISH_SECONDS:
                    _leave_at_once()
                return
            self.since = now
        if not self.heeded or self.held:
            self.waiting = True
        elif _imports(frame):
            if self.farewell and not self.begun:
                self.heeded = False
                self.farewell()
            self.ask_again()
        else:
            self.waiting = False
            raise KeyboardInterrupt

    def ask_again(self) -> None:
        """Have the handler called again in a moment."""

        def ask() -> None:
            self.asked_again = True
            _thread.interrupt_main()

        timer = threading.Timer(_AGAIN_SECONDS, ask)
        timer.daemon = True
        timer.start()

    def raise_waiting(self) -> None:
        """Raise what had to wait, if it may be raised now."""
        if self.waiting and self.heeded and not self.held:
            self.waiting = False
            raise KeyboardInterrupt


_signals = _Signals()


def install() -> None:
    """Take SIGINT and SIGTERM, unless whoever started this process had them ignored; they wait until a verb is `heeded`."""
    for number in _TAKEN:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _signals.handle)
    before = sys.unraisablehook

    def unraisable(raised: Any) -> None:
        if issubclass(raised.exc_type, KeyboardInterrupt):  # in a destructor or the like, which nothing can be raised from
            _signals.ask_again()
        else:
            before(raised)

    sys.unraisablehook = unraisable
    if hasattr(os, "register_at_fork"):  # a process forked from this one ends as its maker expects, without a word
        os.register_at_fork(after_in_child=_give_back)


def came() -> bool:
    """Whether the user wanted an end, whatever a library made of it."""
    return _signals.since is not None


@contextmanager
def heeded(farewell: Callable[[], object]) -> Iterator[None]:
    """A verb's work: interrupts are raised in it, those that came before at its beginning.

    Args:
        farewell: says that it was interrupted and ends the process; called where nothing can be raised and nothing has begun.
    """
    _signals.heeded, _signals.farewell = True, farewell
    try:
        _signals.raise_waiting()
        yield
    finally:
        _signals.heeded, _signals.farewell = False, None


def begin() -> None:
    """Note that something has begun which must be undone when the command is interrupted, such as a lock."""
    _signals.begun += 1


def end() -> None:
    """Note that it is done or undone."""
    _signals.begun -= 1


@contextmanager
def undoing() -> Iterator[None]:
    """What is begun before this and undone after it."""
    begin()
    try:
        yield
    finally:
        end()


@contextmanager
def held() -> Iterator[None]:
    """A step that is whole or not begun: what comes during it is raised at its end."""
    if threading.current_thread() is not threading.main_thread():  # no other one is interrupted
        yield
        return
    _signals.held += 1
    try:
        yield
    finally:
        _signals.held -= 1
    _signals.raise_waiting()


def leave(code: int, *, tidy: bool = True) -> NoReturn:
    """End the process, whose work is over: no signal changes what it came to.

    Args:
        code: what it came to.
        tidy: do what was registered for the end.
    """
    for number in _TAKEN:
        if signal.getsignal(number) == _signals.handle:
            signal.signal(number, signal.SIG_IGN)
    if code != CODE:
        sys.exit(code)
    # The interpreter is not taken down in order: threads of libraries may be anywhere, and abort when what they use goes.
    limit = threading.Timer(_CLEANING_SECONDS, os._exit, [CODE])
    limit.daemon = True
    limit.start()
    with open(os.devnull, "w") as sys.stderr:  # noqa: PTH123 - what breaks now has nothing to add
        if tidy:
            atexit._run_exitfuncs()
        os._exit(CODE)


def _give_back() -> None:
    for number, plain in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == _signals.handle:
            signal.signal(number, plain)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported: one in C or C++ calls Python in its beginning and expects no exception."""
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False


def _leave_at_once() -> None:
    """End without another step; what lies half-made is dealt with by the next command, as after a kill."""
    with suppress(OSError):
        os.write(2, f"lorabert: {MESSAGE}\n".encode())
    os._exit(CODE)
