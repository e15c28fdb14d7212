"""Train: LoRA on a BERT-family encoder for text classification. The front door of `lorabert replicate`."""

import sys

from lorabert.__main__ import run

if __name__ == "__main__":
    run(["replicate", *sys.argv[1:]])
