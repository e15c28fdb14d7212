"""Standard streams that may be closed, full or left: they never end a command's work, and what was lost is said at its end."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

from lorabert import interrupts
from lorabert.errors import InputError


class _Tolerant(io.FileIO):
    """A descriptor that takes what it can.

    What refuses is kept in `lost`, and what follows is dropped, so that a long work is not lost with its messages; but whoever
    reads the answer and hangs up wants no more of it, and BrokenPipeError says so, once.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.lost: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all there is a place for."""
        if self.lost is None:
            try:
                while (written := super().write(content)) is None:  # somebody made the pipe one that does not wait
                    select.select([], [self.fileno()], [])
                return written
            except OSError as error:
                self.lost = error
                if isinstance(error, BrokenPipeError) and self is _stdout.behind:
                    raise
        return memoryview(content).nbytes


class _State:
    """Of this process's stdout.

    Attributes:
        behind: what stands behind it, once it is settled.
        closed: whether it was closed when the process began.
        answered: whether the one document of --json has been written, whole or not.
    """

    def __init__(self) -> None:
        self.behind: _Tolerant | None = None
        self.closed, self.answered = False, False


_stdout = _State()


def settle() -> None:
    """Make this process's streams ones that tolerate what befalls them; a closed one leads nowhere.

    A closed descriptor would be given to the next file that is opened, and what a library prints would land in it. Stdout gets
    another descriptor, and its own leads to stderr: libraries in C++ and Rust print to that, whenever they like.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            os.set_inheritable(nowhere, True)
    _stdout.closed = sys.stdout is None
    _stdout.behind = _Tolerant(os.dup(1))
    os.dup2(2, 1)
    sys.stdout = _text(_stdout.behind, sys.stdout, line_buffering=sys.stdout is not None and sys.stdout.isatty())
    sys.stderr = _text(_Tolerant(2), sys.stderr, line_buffering=True)


def begin() -> None:
    """Begin a command.

    Raises:
        InputError: its answer would go nowhere.
    """
    _stdout.answered = False
    if _stdout.closed:
        raise InputError("Standard output is closed, so that no answer could be given",
                         fix="Leave it open; > /dev/null throws away what is printed")  # fmt: skip


def write_document(stream: TextIO, line: str) -> None:
    """Write the one document of --json, which no interrupt cuts in two."""
    with interrupts.held():
        _stdout.answered = True
        stream.write(line + "\n")
        stream.flush()


def left() -> bool:
    """Whether whoever read the answer has hung up, as far as that is known."""
    return _stdout.behind is None or isinstance(_stdout.behind.lost, BrokenPipeError)


def answered() -> bool:
    """Whether the document has been written, so that an error makes no second one."""
    return _stdout.answered


def told(code: int) -> int:
    """The exit code, once all is written; a command whose answer was lost is not done, though its work is."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    refused = _stdout.behind.lost if _stdout.behind else None
    if code or refused is None or isinstance(refused, BrokenPipeError):
        return code
    lost = InputError(
        "The answer could not be written to standard output",
        got=refused.strerror or str(refused),
        fix="What was made is there; give the command again with an output that takes it",
    )
    print(f"lorabert: {lost}", file=sys.stderr)
    return 2


def _text(raw: _Tolerant, like: TextIO | None, *, line_buffering: bool) -> TextIO:
    encoding, errors = (like.encoding, like.errors) if like is not None else ("utf-8", None)
    unbuffered = getattr(like, "write_through", False)  # PYTHONUNBUFFERED
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=line_buffering or unbuffered)
