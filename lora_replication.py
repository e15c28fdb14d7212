"""Train: LoRA on a BERT-family encoder for text classification. The front door of `lorabert replicate`."""

import sys

from lorabert.cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("replicate", sys.argv[1:]))
