"""The command as a process of its own: `lorabert`, `python -m lorabert` and the two front doors begin and end here."""

import os

try:  # what can be interrupted from here on is interrupted in order; before it, Python begins
    from lorabert import interrupts

    interrupts.install()
except KeyboardInterrupt:
    os.write(2, b"lorabert: Interrupted.\n")
    os._exit(130)

import signal
import sys
from typing import NoReturn


def run(words: list[str] | None = None) -> NoReturn:
    """Run the command and end the process.

    Args:
        words: the verb and its options; by default those that the process was given.
    """
    if sys.getfilesystemencoding() == "ascii":  # a locale without characters, and Python told to obey it
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    from lorabert import processes
    from lorabert.cli import main, streams

    if processes.count() > 1:  # they may be waiting where Python sees no signal
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    streams.settle()
    interrupts.leave(streams.told(main(words)))


if __name__ == "__main__":
    run()
