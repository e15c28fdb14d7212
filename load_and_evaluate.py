"""Load an adapter, verify it and evaluate it. The front door of `lorabert evaluate`."""

import sys

from lorabert.__main__ import run

if __name__ == "__main__":
    run(["evaluate", *sys.argv[1:]])
