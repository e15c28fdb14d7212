"""Adapters, exports and bases that an attacker has changed, with every hash made anew to match.

Each mutation is loaded as `predict` loads it. It is refused with a reason (InputError, exit 2), or it gives the answers that
are recorded in it; nothing crashes, hangs, grows, or reads or writes outside of its folder. Three hundred in every run, ten
thousand with -m slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import reliability
import serving
import tiny
from adapted import saved, trained
from lorabert.cli import main
from lorabert.errors import InputError
from lorabert.shipping import exporting, loading, manifests
from mutations import REPEATED, VALUES, in_bytes, places, resealed, working_in

COMMAND = "pytest -n 0 -m slow tests/faults/test_hostile.py"
KEYS = (
    *(
        "auto_map",
        "auto_mapping",
        "quantization_config",
        "transformers_weights",
        "layer_replication",
        "rank_pattern",
        "alpha_pattern",
    ),
    *("exclude_modules", "megatron_config", "attn_implementation", "_attn_implementation", "tokenizer_class", "tokenizer_file"),
    *("vocab_file", "chat_template", "custom_pipelines", "model_type", "architectures", "dtype", "torch_dtype", "pad_token"),
    *("id2label", "problem_type", "added_tokens_decoder", "extra_special_tokens", "normalizer", "truncation", "padding"),
)
MOST_SECONDS, MOST_GROWTH_KB = 30, 1_500_000


def in_json(file: Path, draw: random.Random) -> str:
    """Put a strange value in one place of a JSON file, or take one away, or add one."""
    try:
        document = json.loads(file.read_bytes())
    except ValueError:  # an earlier mutation's
        return in_bytes(file, draw)
    if not isinstance(document, dict):
        return in_bytes(file, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        place = draw.choice(places(document) or [()])
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        value = copy.deepcopy(draw.choice(VALUES))
        how = draw.random()
        if how < 0.2 or not place:
            document[draw.choice(KEYS)] = value
        elif how < 0.4:
            del inner[place[-1]]
            document = document or {"x": value}
        else:
            inner[place[-1]] = value
    file.write_text(json.dumps(document), encoding="utf-8")
    return f"{file.name} {place} {str(value)[:40]!a}"


def in_header(file: Path, draw: random.Random) -> str:
    """Change what a safetensors header says of its tensors."""
    content = file.read_bytes()
    if len(content) < 100:  # an earlier mutation's
        return in_bytes(file, draw)
    length = struct.unpack("<Q", content[:8])[0]
    try:
        header = json.loads(content[8 : 8 + length])
    except ValueError:
        return in_bytes(file, draw)
    name = draw.choice(list(header))
    if draw.random() < 0.3:
        header[draw.choice(("x", name + ".y", "base_model.model.bert.lora_A.weight", REPEATED))] = header.pop(name)
    else:
        header[name] = dict(header[name]) | {
            draw.choice(("shape", "dtype", "data_offsets")): draw.choice(
                ([2_000_000, 8], [0], [-1, 3], "F64", "BF16", [0, 10**12], None)
            )
        }
    new = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", draw.choice((len(new), len(new), len(new), 2**62))) + new + content[8 + length :])
    return f"{file.name} header {name}"


def no_file(file: Path, draw: random.Random) -> str:
    """A link, a pipe or a folder where a file was."""
    kind = draw.choice(("pipe", "/dev/zero", "/etc/passwd", "folder", file.name, "../secret"))
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(kind)
    return f"{file.name} {kind}"


def code(file: Path, draw: random.Random) -> str:
    """A module beside it, and settings that name it."""
    (file.parent / "evil.py").write_text("open('ran', 'w')\nclass Evil: ...\n", encoding="utf-8")
    targets = sorted(path for path in file.parent.glob("*config.json") if path.is_file() and not path.is_symlink())
    if not targets:
        return in_bytes(file, draw)
    target = draw.choice(targets)
    named = {"AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil"] * 2, "AutoModelForSequenceClassification": "evil.Evil"}
    try:
        document = json.loads(target.read_bytes()) | {"auto_map": named}
    except (ValueError, TypeError, OSError):
        return in_bytes(file, draw)
    document["auto_mapping"] = {"parent_library": "evil", "base_model_class": "Evil"}
    if draw.random() < 0.5:
        document |= {"model_type": "evil", "tokenizer_class": "Evil"}
    target.write_text(json.dumps(document), encoding="utf-8")
    return f"{target.name} code"


def mutated(folder: Path, draw: random.Random) -> str:
    file = draw.choice(
        sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink() and path.name != "README.md")
    )
    ways: list[Callable[[Path, random.Random], str]] = [in_bytes, no_file, code]
    if file.suffix == ".json":
        ways += [in_json] * 12
    if file.suffix == ".safetensors":
        ways += [in_header] * 6
    return draw.choice(ways)(file, draw)


def base_recorded(adapter: Path, base: Path) -> None:
    """The base's hashes made anew in an adapter's manifest."""
    manifest = json.loads((adapter / "lorabert.json").read_bytes())
    weights = base / "model.safetensors"
    manifest["base"] |= {"settings": {}, "sha256": manifests.sha256_of(weights) if weights.is_file() else "0" * 64}
    if weights.is_symlink():
        manifest["base"]["sha256"] = "0" * 64
    (adapter / "lorabert.json").write_bytes(manifests.sealed(manifest))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A base, an adapter of it and two exports; read, never changed."""
    folder = tmp_path_factory.mktemp("whole")
    base = tiny.build_base(folder / "base")
    columns = {"text": "text", "text_pair": None, "label": "label"}
    made = saved(folder / "adapter", trained(base, labels=["no", "yes"]), data={"columns": columns})
    for name in ("merged", "onnx"):
        exporting.export(made, folder / name, name, say=lambda _: None)
    return folder


def here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def too_long(*_: object) -> None:
    raise TimeoutError(f"not done in {MOST_SECONDS} s")


def attack(whole: Path, cases: int, seed: int, monkeypatch: pytest.MonkeyPatch, tally: reliability.Tally) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    Path("secret").write_text("secret", encoding="utf-8")
    loading.load(whole / "adapter")
    was = signal.signal(signal.SIGALRM, too_long)
    before, outside = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, here()
    for case in range(cases):
        draw = random.Random(f"{seed}-{case}")
        kind = draw.choice(("adapter", "adapter", "adapter", "base", "base", "merged", "onnx"))
        folder = Path(shutil.copytree(whole / kind, "attacked"))
        changes = [mutated(folder, draw) for _ in range(draw.choice((1, 1, 2)))]
        what = f"case {seed}-{case}: {kind}, {'; '.join(changes)}"
        begun = time.monotonic()
        signal.alarm(MOST_SECONDS)
        try:
            if kind == "base":
                adapter = Path(shutil.copytree(whole / "adapter", "adapter"))
                base_recorded(adapter, folder)
                loading.load(adapter, str(folder))
            else:
                resealed(folder)
                loading.load(folder)
            tally.outcomes["answered as recorded"] += 1
        except InputError as refused:
            reason = str(refused)
            tally.outcomes["refused"] += 1
            if not reason.strip():
                tally.failures.append(f"{what}: refused without a reason")
        except BaseException as error:
            tally.failures.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
        finally:
            signal.alarm(0)
        if (seconds := time.monotonic() - begun) > MOST_SECONDS:
            tally.failures.append(f"{what}: {seconds:.0f} s")
        for name in ("attacked", "adapter"):
            shutil.rmtree(name, ignore_errors=True)
        if here() != outside:
            tally.failures.append(f"{what}: left {set(here()) - set(outside)}")
            outside = here()
    signal.signal(signal.SIGALRM, was)
    if (growth := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) > MOST_GROWTH_KB:
        tally.failures.append(f"memory grew by {growth / 1e6:.1f} GB")


@pytest.mark.skipif(os.name == "nt", reason="pipes and links")
def test_mutated_artefacts_are_refused_or_answer_as_recorded(whole, monkeypatch):
    tally = reliability.Tally("hostile", "adapters, exports and bases")
    with monkeypatch.context() as patched:
        attack(whole, 300, 1, patched, tally)
    assert tally.failures == []
    assert tally.outcomes["refused"] > 100  # the mutations do reach what is checked
    assert tally.outcomes["answered as recorded"] > 5


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_ten_thousand_mutated_artefacts(whole, monkeypatch):
    tally = reliability.Tally("hostile", "adapters, exports and bases")
    with monkeypatch.context() as patched:  # what records the machine asks git
        attack(whole, 10_000, 2, patched, tally)
    tally.save(COMMAND)
    assert tally.failures == []


# What else opens an artefact: every verb that takes one, and the server.
COMMANDS = {
    "adapter": (
        ("predict", "attacked", "a good film", "--json"),
        ("evaluate", "attacked", "--data", "data.csv", "--json"),
        ("export", "attacked", "--format", "merged", "--out", "made"),
        ("export", "attacked", "--format", "onnx", "--out", "made"),
        ("store", "add", "attacked", "--name", "kept", "--store", "made"),
        ("serve", "attacked"),
    ),
    "base": (
        ("predict", "adapter", "a good film", "--base", "attacked", "--json"),
        ("evaluate", "adapter", "--data", "data.csv", "--base", "attacked"),
        ("serve", "adapter", "--base", "attacked"),
        ("train", "--model.name", "attacked", "--data.train", "data.csv", "--train.num_train_epochs", "1", "--out", "made"),
        ("data", "check", "data.csv", "--model", "attacked"),
    ),
    "merged": (("predict", "attacked", "a good film", "--json"), ("evaluate", "attacked", "--data", "data.csv")),
    "onnx": (("predict", "attacked", "a good film", "--json"), ("evaluate", "attacked", "--data", "data.csv")),
}


def commanded(words: tuple[str, ...]) -> tuple[int, str, str]:
    """A command in this process: exit code, stdout, stderr; a server is loaded, asked once and closed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        if words[0] != "serve":
            return main(list(words)), out.getvalue(), err.getvalue()
        try:
            asyncio.run(_served(words[1], words[3] if len(words) > 2 else None))
        except InputError as refused:
            return 2, "", f"lorabert: {refused}"
    return 0, "", ""


async def _served(target: str, base: str | None) -> None:
    async with serving.serve(target, base=base) as client:
        answer = await client.post("/classify", json={"input": "a good film"})
        assert answer.status_code in (200, 400, 404, 409, 422, 503), answer.text


def command_attack(whole: Path, cases: int, seed: int, monkeypatch: pytest.MonkeyPatch, tally: reliability.Tally) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    texts, labels = tiny.reviews(40, classes=2, seed=2)
    for case in range(cases):
        draw = random.Random(f"{seed}-{case}")
        place = Path(f"case-{case}")
        place.mkdir()
        with working_in(place):
            Path("secret").write_text("secret", encoding="utf-8")
            tiny.write_csv(Path("data.csv"), texts, [("no", "yes")[label] for label in labels])
            kind = draw.choice(tuple(COMMANDS))
            folder = Path(shutil.copytree(whole / kind, "attacked"))
            changes = [mutated(folder, draw) for _ in range(draw.choice((1, 1, 2)))]
            if kind == "base":
                base_recorded(Path(shutil.copytree(whole / "adapter", "adapter")), folder)
            else:
                resealed(folder)
            words = draw.choice(COMMANDS[kind])
            what = f"case {seed}-{case}: {' '.join(words)[:50]}, {'; '.join(changes)}"
            begun = time.monotonic()
            try:
                code, out, err = commanded(words)
                tally.outcomes["refused" if code else "done"] += 1
                lines = [line for line in err.splitlines() if line.startswith("lorabert: ")]
                if code not in (0, 2) or "Traceback" in err or (code == 2 and len(lines) != 1):
                    tally.failures.append(f"{what}: exit {code}: {err[-500:]}")
                if "--json" in words and code == 0:
                    json.loads(out)
            except BaseException as error:
                tally.failures.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
            if (seconds := time.monotonic() - begun) > 2 * MOST_SECONDS:
                tally.failures.append(f"{what}: {seconds:.0f} s")
            if Path("ran").exists() or Path("secret").read_text(encoding="utf-8") != "secret":
                tally.failures.append(f"{what}: code ran, or a file was changed")
        shutil.rmtree(place)


@pytest.mark.skipif(os.name == "nt", reason="pipes and links")
def test_commands_meet_mutated_artefacts(whole, monkeypatch, tmp_path):
    tally = reliability.Tally("hostile", "commands on adapters, exports and bases")
    with monkeypatch.context() as patched:
        patched.chdir(tmp_path)
        command_attack(whole, 25, 1, patched, tally)
    assert tally.failures == []
    assert tally.outcomes["refused"] > 5


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_two_thousand_commands_meet_mutated_artefacts(whole, monkeypatch, tmp_path):
    tally = reliability.Tally("hostile", "commands on adapters, exports and bases")
    with monkeypatch.context() as patched:
        patched.chdir(tmp_path)
        command_attack(whole, 2_000, 2, patched, tally)
    tally.save(COMMAND)
    assert tally.failures == []
