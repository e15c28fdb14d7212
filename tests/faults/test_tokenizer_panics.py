"""A tokenizer.json that panics in Rust on some text of a user's, and on none of ours: exit 2 from every verb that reads it.

Its panic is no Exception in Python, so that what catches those alone lets it through to the end of the process.
"""

import base64
import json
import struct
from pathlib import Path

import pytest

import tiny
from lorabert.cli import main

TEXT = "a good film \U0001f600"
QUICK = ["--model.name", "base", "--model.max_length", "32", "--train.num_train_epochs", "1", "--train.recipe", "course",
         "--train.precision", "fp32", "--train.baselines", "false"]  # fmt: skip


def table() -> str:
    """A table of characters to be replaced, in which the way to those of four bytes leads out of it."""
    units = [0] * 256
    units[0xF0] = 0xF0 | 1 << 30
    return base64.b64encode(struct.pack("<I256I", 4 * len(units), *units) + b"\0").decode()


@pytest.fixture
def base() -> Path:
    folder = tiny.build_base(Path("base"))
    settings = json.loads((folder / "tokenizer.json").read_bytes())
    settings["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": table()}
    (folder / "tokenizer.json").write_text(json.dumps(settings), encoding="utf-8")
    texts, labels = tiny.reviews(60, classes=2, seed=2)
    names = [tiny.CLASS_NAMES[label] for label in labels]
    tiny.write_csv(Path("plain.csv"), texts, names)
    tiny.write_csv(Path("hard.csv"), [*texts, TEXT], [*names, names[0]])
    return folder


def test_every_verb_that_reads_the_text_says_that_the_tokenizer_fails(base, capsys):
    assert main(["train", *QUICK, "--data.train", "plain.csv", "--out", "run"]) == 0
    Path("texts.txt").write_text(TEXT + " " + "word " * 10_000, encoding="utf-8")  # long, which goes another way
    capsys.readouterr()
    for words in (
        ["train", *QUICK, "--data.train", "hard.csv", "--out", "other"],
        ["predict", "run", TEXT, "--json"],
        ["predict", "run", "--file", "texts.txt"],
        ["evaluate", "run", "--data", "hard.csv"],
        ["data", "check", "hard.csv", "--model", "base"],
    ):
        assert main(words) == 2, words
        said = capsys.readouterr()
        (line,) = [line for line in said.err.splitlines() if line.startswith("lorabert: ")]
        assert "tokenizer fails on a text" in line, line
        assert "This is a bug" not in said.err
    assert not Path("other").exists()
