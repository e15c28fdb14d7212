"""What a rival is given and what it gives: `python RIVAL.py TRAIN.csv TEST.csv ANSWERS.json`, texts in, probabilities out.

Nothing here or in the rivals is lorabert's: each is what its own documentation shows, in an environment of its own where it
must be.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# texts, the class of each, how many classes, texts to answer -> a probability for each class of each, (m, C).
Rival = Callable[[list[str], list[int], int, list[str]], Any]


def answer(rival: Rival) -> None:
    """Have a rival learn and answer as the command line asks."""
    csv.field_size_limit(1 << 30)
    train, test, answers = map(Path, sys.argv[1:4])
    texts, labels = _columns(train)
    names = sorted(set(labels))
    asked, _ = _columns(test)
    found = rival(texts, [names.index(label) for label in labels], len(names), asked)
    document = {"labels": names, "probabilities": [[float(value) for value in row] for row in found]}
    answers.write_text(json.dumps(document), encoding="utf-8")


def _columns(file: Path) -> tuple[list[str], list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["label"] for row in rows]
