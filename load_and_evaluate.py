"""Load an adapter, verify it and evaluate it. The front door of `lorabert evaluate`."""

import sys

from lorabert.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
