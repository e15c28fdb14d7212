"""Asks the hub for a base or a data set, as training does, for each line on stdin: `base ID` or `data ID`; answers in JSON lines.

One process asks again and again, because the libraries take seconds to import and read the hub's address only then.
"""

import hashlib
import json
import os
import sys

import datasets
import huggingface_hub.constants

from lorabert.config import ModelConfig
from lorabert.data import hub
from lorabert.errors import InputError
from lorabert.files import sha256_of
from lorabert.models import bases


def asked(kind: str, name: str) -> str:
    """One hash of all that was got."""
    if kind == "base":
        base = bases.find(ModelConfig(name=name))
        return hashlib.sha256(repr([sha256_of(file) for file in sorted(base.folder.iterdir())]).encode()).hexdigest()
    return hashlib.sha256(repr({split: table.columns for split, table in hub.tables(name, None).items()}).encode()).hexdigest()


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        # What a silent hub switched off for the rest of a command is on again for the next one.
        os.environ.pop("HF_HUB_OFFLINE", None)
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = False
        try:
            answer = {"got": asked(*line.split())}
        except InputError as error:
            answer = {"refused": str(error)}
        except BaseException as error:
            answer = {"crashed": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
