"""Load an adapter, verify it and evaluate it. The front door of `lorabert evaluate`."""

import sys

from lorabert.cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("evaluate", sys.argv[1:]))
