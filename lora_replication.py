"""Train: LoRA on a BERT-family encoder for text classification. The front door of `lorabert replicate`."""

import sys

from lorabert.cli import main

if __name__ == "__main__":
    sys.exit(main(["replicate", *sys.argv[1:]]))
