"""Records and stores that an attacker has changed, with every seal made anew: what a run, a comparison, a sweep and a store hold.

Each mutation is met by a verb that reads it. The verb does what it would have done, or refuses with a reason (exit 2, one
paragraph); nothing crashes, hangs, grows, asks, or reads or writes outside of its folder. A few in every run, a thousand with
-m slow.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import os
import random
import resource
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

import reliability
import tiny
from lorabert import config
from lorabert.cli import main
from lorabert.shipping import manifests
from lorabert.studies import experiment
from mutations import VALUES, in_bytes, places, resealed, working_in

COMMAND = "pytest -n 0 -m slow tests/faults/test_hostile_records.py"
MOST_SECONDS, MOST_GROWTH_KB = 60, 1_500_000
HIDDEN = "\x1b]0;owned\x07\x1b[2J</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
DEEP = functools.reduce(lambda inner, _: [inner], range(60), 0)
STRANGE = (*VALUES, HIDDEN, DEEP, {HIDDEN: HIDDEN}, -1e30, 10**39, [[1] * 3] * 3, "\ud800", "2026-01-01T00:00:00+0000", "done")
WRAPS = (
    *('{"a": %s, "a": %s}', " " * 5_000_000 + "%s%s", "[" * 100_000 + "%s%s"),
    *('{"schema_version": 1, %.0s' + "%.30s", "\ufeff%s%s"),
)
LINES = (
    *("{}", "[]", "3", "null", '{"event": "train"}', "[" * 50_000 + "}", "\ufffe}"),
    json.dumps({"event": "train", "step": 10**30, "epoch": 1, "loss": 1}),
    json.dumps({"event": HIDDEN, "step": "x"}),
    '{"event": "validation", "step": 1, "epoch": 1e300, "loss": Infinity}',
    '{"event": "train", "step": 3, "epoch": 1, "loss": NaN, "learning_rate": 0.1}',
    '{"event": "train", "step": 3, "epoch": 0, "loss": -1e300, "learning_rate": 1}',
)
QUICK = ("--model.name", "base", "--model.max_length", "32", "--train.num_train_epochs", "2", "--train.recipe", "course",
         "--train.precision", "fp32")  # fmt: skip
PLAIN = (*QUICK, "--train.baselines", "false", "--data.train", "data.csv")
CUT = (*PLAIN, "--train.early_stopping_patience", "5")
FOLDED = (*PLAIN, "--train.recipe", "auto", "--train.baselines", "true", "--folds", "3")
COMPARED = (*QUICK, "--tasks", "data.csv", "--methods", "lora,head", "--seeds", "1", "--out", "study")
SWEPT = (*PLAIN, "--grid", "lora.r=4,8", "--metric", "loss", "--out", "swept")
VERBS: dict[str, tuple[tuple[str, ...], ...]] = {
    "runs/good": (
        ("report", "runs/good", "-o", "new.html"),
        ("report", "runs/good", "-o", "new.html", "--json"),
        ("evaluate", "runs/good", "--json"),
        ("predict", "runs/good", "a good film", "--json"),
        ("export", "runs/good", "--format", "merged", "--out", "new"),
        ("train", *PLAIN, "--resume", "--out", "runs/good"),
        ("train", *PLAIN, "--resume", "--json"),
        ("train", "--config", "runs/good/config.yaml", "--out", "new"),
        ("store", "add", "runs/good", "--name", "other", "--store", "store", "--json"),
        ("evaluate",),
        ("train", *CUT, "--resume"),  # finds its own among these neighbours
    ),
    "runs/cut": (
        ("train", *CUT, "--resume", "--out", "runs/cut"),
        ("train", *CUT, "--resume"),
        ("report", "runs/cut", "-o", "new.html"),
    ),
    "runs/folded": (
        ("report", "runs/folded", "-o", "new.html"),
        ("evaluate", "runs/folded", "--json"),
        ("train", *FOLDED, "--resume", "--out", "runs/folded"),
    ),
    "study": (("compare", *COMPARED, "--json"), ("compare", *COMPARED), ("report", "study", "-o", "new.html")),
    "swept": (("sweep", *SWEPT, "--json"),),
    "store": (
        ("store", "list", "--store", "store"),
        ("store", "list", "--store", "store", "--json"),
        ("store", "show", "kept", "--store", "store"),
        ("store", "verify", "--store", "store"),
        ("store", "add", "runs/good", "--name", "kept", "--store", "store"),
        ("store", "remove", "kept", "--store", "store", "--yes"),
        ("predict", "kept@1", "a good film", "--json"),
        ("evaluate", "kept@1", "--data", "data.csv"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run, one cut short, a comparison, a sweep and a store; read, never changed."""
    folder = tmp_path_factory.mktemp("whole")
    with working_in(folder):
        tiny.build_base(Path("base"))
        texts, labels = tiny.reviews(80, classes=2, seed=2)
        tiny.write_csv(Path("data.csv"), texts, [tiny.CLASS_NAMES[label] for label in labels])
        Path("outside").mkdir()
        Path("outside/thesis.doc").write_text("years of work", encoding="utf-8")
        assert main(["train", *PLAIN, "--out", "runs/good"]) == 0
        assert main(["store", "add", "runs/good", "--name", "kept", "--store", "store"]) == 0
        assert main(["train", *FOLDED, "--out", "runs/folded"]) == 0
        assert main(["compare", *COMPARED]) == 0
        assert main(["sweep", *SWEPT]) == 0
        parser = config.options_parser("lorabert train", "", with_config=True)
        settings = config.run_config(config.parse(parser, list(CUT)))
        with contextlib.suppress(experiment.Stopped):
            experiment.train(settings, out=Path("runs/cut"), say=lambda _: None, watch=_stopping)
        assert list(Path("runs/cut/checkpoints").iterdir())
    return folder


def _stopping(event: dict[str, Any]) -> None:
    if event["epoch"] >= 2:
        raise experiment.Stopped("a kill")


def in_record(file: Path, draw: random.Random) -> str:
    """Put a strange value in places of a JSON file, take some away, or say a key twice, or bury all, or leave it unfinished."""
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return in_bytes(file, draw)
    how, value = draw.random(), draw.choice(STRANGE)
    if how < 0.1:
        content = file.read_text(encoding="utf-8", errors="replace")
        file.write_text(draw.choice(WRAPS) % (content, content), encoding="utf-8")
        return f"{file.name} wrapped"
    if how < 0.15:
        content = file.read_text(encoding="utf-8", errors="replace").replace(": 1", ": 1e999", 1).replace("0.", "NaN, 0.", 1)
        file.write_text(content, encoding="utf-8")
        return f"{file.name} not finite"
    told = []
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        place = draw.choice(places(document) or [()])
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        if not place or not isinstance(document, dict):
            document = copy.deepcopy(value)
        elif draw.random() < 0.3:
            del inner[place[-1]]
        else:
            inner[place[-1]] = copy.deepcopy(value)
        told.append(".".join(map(str, place)))
    file.write_text(json.dumps(document), encoding="utf-8")
    return f"{file.name} {told} {str(value)[:40]!a}"


def in_lines(file: Path, draw: random.Random) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    lines.insert(draw.randrange(len(lines) + 1), line := draw.choice(LINES))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{file.name} {line[:60]!a}"


def _with(name: str, values: Callable[[int, random.Random], pa.Array]) -> Callable[[pa.Table, random.Random], pa.Table]:
    def changed(table: pa.Table, draw: random.Random) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, values(len(table), draw))

    return changed


LOGITS = pa.list_(pa.float32())
TABLES: dict[str, Callable[[pa.Table, random.Random], pa.Table]] = {
    "drop": lambda table, draw: table.drop_columns([draw.choice(table.column_names)]),
    "twice": lambda table, _: pa.concat_tables([table, table]),
    "empty": lambda table, _: table.slice(0, 0),
    "many": lambda _, __: pa.table({"index": pa.array([0] * 3_000_000), "split": pa.array(["test"] * 3_000_000)}),
    "label": _with("label", lambda n, draw: pa.array([draw.choice((-1, 2**62, 7))] * n)),
    "split": _with("split", lambda n, draw: pa.array([draw.choice(("", HIDDEN, "test"))] * n)),
    "text": _with("logits", lambda n, _: pa.array(["x"] * n)),
    "none": _with("logits", lambda n, _: pa.nulls(n)),
    "no label": _with("label", lambda n, _: pa.nulls(n, pa.int64())),
    "ragged": _with("logits", lambda n, _: pa.array([[0.0] * (row % 3) for row in range(n)], LOGITS)),
    "nan": _with("logits", lambda n, _: pa.array([[float("nan"), 1e38]] * n, LOGITS)),
    "huge": _with("logits", lambda n, draw: pa.array([[3e38, draw.choice((-3e38, 3e38))]] * n, LOGITS)),
}


def in_table(file: Path, draw: random.Random) -> str:
    """Another table of answers: other columns, types, lengths, or values that no labels have."""
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError):
        return in_bytes(file, draw)
    how = draw.choice(tuple(TABLES))
    pq.write_table(TABLES[how](table, draw), file)
    return f"{file.name} {how}"


def in_checkpoint(file: Path, draw: random.Random) -> str:
    """Other tensors than were trained."""
    try:
        tensors = load_file(file)
    except Exception:
        return in_bytes(file, draw)
    name = draw.choice(sorted(tensors))
    how = draw.choice(("drop", "shape", "type", "name"))
    tensor = tensors.pop(name)
    if how == "shape":
        tensors[name] = tensor.reshape(-1)[:1].repeat(3).contiguous()
    elif how == "type":
        tensors[name] = tensor.double() if tensor.is_floating_point() else tensor.float()
    elif how == "name":
        tensors["x." + name] = tensor
    save_file(tensors, file)
    return f"{file.name} {how} {name}"


def no_file(path: Path, draw: random.Random) -> str:
    """A link, a pipe, a folder or nothing where a file or a folder was."""
    kind = draw.choice(("pipe", "/dev/zero", "/etc/passwd", "folder", "nothing", path.name, "outside", "outside/thesis.doc"))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "nothing":
        path.symlink_to(Path(kind).absolute() if kind.startswith("outside") else kind)
    return f"{path} {kind}"


def mutated(folder: Path, draw: random.Random) -> str:
    there = sorted(path for path in folder.rglob("*") if not path.is_symlink() and "/adapter/" not in str(path))
    files = [
        path
        for path in there
        if path.is_file() and path.suffix in (".json", ".jsonl", ".parquet", ".yaml", ".db", ".safetensors")
    ]
    weight = {".json": 8, ".jsonl": 3, ".parquet": 3, ".safetensors": 1, ".yaml": 2, ".db": 1}
    files = [path for path in there if path.is_file() and path.suffix in weight]
    if not files or draw.random() < 0.2:
        return no_file(draw.choice(there), draw)
    file = draw.choices(files, [weight[file.suffix] for file in files])[0]
    ways: list[Callable[[Path, random.Random], str]] = [in_bytes]
    own = {".json": in_record, ".jsonl": in_lines, ".parquet": in_table, ".safetensors": in_checkpoint}
    ways += [own.get(file.suffix, in_bytes)] * 6
    told = draw.choice(ways)(file, draw)
    _sealed_anew(file)
    return told


def _sealed_anew(file: Path) -> None:
    """What stands under a seal is sealed again, as far as it is still a document."""
    if file.name == "entry.json":
        with contextlib.suppress(ValueError, TypeError, RecursionError, AttributeError):
            file.write_bytes(manifests.sealed(json.loads(file.read_bytes()), "entry_sha256"))
    elif file.parent.parent.name == "objects":
        resealed(file.parent)


def told(words: list[str]) -> tuple[int, str, str]:
    """What a command leaves: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


def wrong(words: tuple[str, ...], code: int, out: str, err: str) -> str:
    """What is not as promised in what a command left; nothing where all is."""
    lines = [line for line in err.splitlines() if line.startswith("lorabert: ")]
    if code not in (0, 2):
        return f"exit {code}: {err[-600:]}"
    if code == 2 and (len(lines) != 1 or len(lines[0]) > 12_000 or "Traceback" in err):
        return f"no paragraph: {err[-300:]!a}"
    if "--json" in words:
        try:
            json.loads(out)
        except ValueError:
            return f"no document: {out[-300:]!a}"
    if "\x1b]" in out + err or "\u202e" in out + err:
        return "an escape sequence is printed"
    page = Path("new.html").read_text(encoding="utf-8") if Path("new.html").exists() else ""
    return "a script stands in the page" if "<script" in page or "<img" in page else ""


def attack(whole: Path, cases: int, seed: int, monkeypatch: pytest.MonkeyPatch, tally: reliability.Tally) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    monkeypatch.setenv("LORABERT_STORE", "store")
    before = 0
    for case in range(cases):
        draw = random.Random(f"{seed}-{case}")
        place = Path(shutil.copytree(whole, f"case-{case}"))
        with working_in(place):
            kind = draw.choice(tuple(VERBS))
            changes = [mutated(Path(kind), draw) for _ in range(draw.choice((1, 1, 2)))]
            words = draw.choice(VERBS[kind])
            what = f"case {seed}-{case}: {' '.join(words)[:60]}, {'; '.join(changes)}"
            begun = time.monotonic()
            try:
                code, out, err = told(list(words))
                tally.outcomes["refused" if code else "done"] += 1
                if problem := wrong(words, code, out, err):
                    tally.failures.append(f"{what}: {problem}")
            except BaseException as error:
                tally.failures.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
            if (seconds := time.monotonic() - begun) > MOST_SECONDS:
                tally.failures.append(f"{what}: {seconds:.0f} s")
            if [(path.name, path.read_bytes()) for path in Path("outside").iterdir()] != [("thesis.doc", b"years of work")]:
                tally.failures.append(f"{what}: the outside was changed")
        shutil.rmtree(place)
        before = before or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if (growth := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) > MOST_GROWTH_KB:
        tally.failures.append(f"memory grew by {growth / 1e6:.1f} GB")


pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and links")


def test_mutated_records_and_stores_are_refused_or_change_nothing(whole, monkeypatch):
    tally = reliability.Tally("hostile", "records and stores")
    attack(whole, 12, 1, monkeypatch, tally)
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.outcomes["refused"] > 1  # the mutations do reach what is read


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_mutated_records_and_stores(whole, monkeypatch):
    tally = reliability.Tally("hostile", "records and stores")
    attack(whole, 1000, 2, monkeypatch, tally)
    tally.save(COMMAND)
    assert not tally.failures, "\n".join(tally.failures)
