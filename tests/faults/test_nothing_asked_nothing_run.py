"""Folders of an attacker's met by commands as processes: no question, no code run, one document on stdout with --json."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiny
from adapted import saved, trained
from lorabert.shipping import manifests
from mutations import resealed

HIDDEN = "\x1b]0;owned\x07\x1b[2J\u202e"
EVIL = "open('ran', 'w').close()\nclass Evil: ...\n"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and links")


def done(*words: str) -> tuple[int, str, str]:
    """A command whose stdin says y to whatever it may be asked, as a process, so that what libraries print natively counts."""
    command = [sys.executable, "-m", "lorabert", *words]
    run = subprocess.run(command, input="y\n" * 20, capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout, run.stderr


def changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_bytes()) | values), encoding="utf-8")


def with_code(folder: Path) -> None:
    """A module beside a config.json and a tokenizer_config.json that name it."""
    (folder / "evil.py").write_text(EVIL, encoding="utf-8")
    named = {"AutoConfig": "evil.Evil", "AutoModelForSequenceClassification": "evil.Evil", "AutoTokenizer": ["evil.Evil"] * 2}
    for file in folder.glob("*config.json"):
        changed(file, auto_map=named)


def with_panic(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer.json").read_bytes())
    settings["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}  # Rust panics, and prints so natively
    (folder / "tokenizer.json").write_text(json.dumps(settings), encoding="utf-8")


def with_pipe(folder: Path) -> None:
    weights = next(folder.glob("*.safetensors"))
    weights.unlink()
    os.mkfifo(weights)


def with_words(folder: Path) -> None:
    """Escape sequences in labels, names and special tokens."""
    for file in folder.glob("tokenizer_config.json"):
        changed(file, unk_token=HIDDEN, pad_token=HIDDEN)
    for file in folder.glob("config.json"):
        changed(file, id2label={"0": HIDDEN, "1": HIDDEN}, model_type=HIDDEN)
    for file in folder.glob("lorabert.json"):
        manifest = json.loads(file.read_bytes())
        manifest["labels"] = [HIDDEN, "x" + HIDDEN]
        file.write_bytes(manifests.sealed(manifest))


@pytest.mark.slow
@pytest.mark.parametrize("attack", [with_code, with_panic, with_pipe, with_words])
def test_a_hostile_adapter_or_base_asks_nothing_and_runs_nothing(attack):
    base = tiny.build_base(Path("base"))
    adapter = saved(Path("adapter"), trained(base, labels=["no", "yes"]), data={"columns": {"text": "text", "label": "label"}})
    Path("data.csv").write_text("text,label\n" + "a good film,yes\na bad film,no\n" * 20, encoding="utf-8")
    attack(adapter)
    resealed(adapter)
    commands = [
        ("predict", "adapter", "a text", "--json"),
        ("store", "add", "adapter", "--name", "kept", "--store", "store", "--json"),
    ]
    for words in commands:
        check(words, *done(*words))
    attack(base)
    words = ("train", "--model.name", "base", "--data.train", "data.csv", "--train.num_train_epochs", "1", "--train.baselines",
             "false", "--json")  # fmt: skip
    check(words, *done(*words))


def check(words: tuple[str, ...], code: int, out: str, err: str) -> None:
    assert code in (0, 2), (words, err[-2000:])
    assert len(out.splitlines()) == 1, (words, out)
    document = json.loads(out)
    assert code == 0 or document["exit"] == 2
    assert "\x1b]" not in out + err
    assert "\u202e" not in out + err
    assert not Path("ran").exists()
