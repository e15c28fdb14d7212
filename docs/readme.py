"""Fill the README's generated blocks: python docs/readme.py. A test fails when they are out of date."""

from __future__ import annotations

import contextlib
import io
import json
import re
import statistics
from pathlib import Path
from typing import Any

from lorabert.cli import main
from lorabert.studies.reporting import percent

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RECORDS = ROOT / "benchmarks" / "records"
WORKS = {
    "qv": "LoRA on query and value, MiniLM",
    "all-linear": "LoRA on all linear layers, MiniLM",
    "full": "full fine-tuning, MiniLM",
    "bert-base": "LoRA on query and value, BERT-base shapes",
    "as-written": "the course's script as written (padded to 128, fp32), MiniLM",
}


def filled(text: str) -> str:
    """The README's text with every generated block made anew."""
    for name, make in (("help", _help), ("quickstart", _quickstart), ("speed", _speed)):
        pattern = rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda block, make=make: f"{block[1]}{make()}\n{block[2]}", text, flags=re.DOTALL)
    return text


def _help() -> str:
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        main(["--help"])
    return f"```text\n{screen.getvalue().rstrip()}\n```"


def _record(name: str) -> Any:
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


def _quickstart() -> str:
    record = _record("quickstart")
    rows = [(record["method"], record["metrics"]), *record["baselines"].items()]
    table = "\n".join(
        f"| {name} | {percent(scores['accuracy'])} | {percent(scores['f1_macro'])} | {percent(scores['mcc'])} |"
        for name, scores in rows
    )
    minutes = sum(record["seconds"].values()) / 60
    machine = f"{record['hardware']['cores']} cores of {record['hardware']['processor']}, {record['precision']}"
    return (
        f"The quickstart, {record['data']['examples']['test']:,} test snippets of films that training never saw, in points "
        f"(one run, {minutes:.1f} minutes on {machine}):\n\n"
        f"| | accuracy | macro-F1 | MCC |\n|---|---|---|---|\n{table}"
    )


def _speed() -> str:
    rows = []
    for name, work in WORKS.items():
        found = _record(f"training_speed_{name}")
        theirs, ratio = _best_rival(found)
        ours, memory = _median(found, found["ours"]), found["peak_bytes"]["ours"] / found["peak_bytes"]["theirs"]
        rows.append(f"| {work} | {_median(found, theirs):.0f} | {ours:.0f} | {ratio} | {memory:.2f} |")
    return (
        f"Examples a second in training, batches of 16 quickstart texts, {_machine(found)}, medians:\n\n"
        "| | Transformers + PEFT | lorabert | times as fast | of its memory |\n|---|---|---|---|---|\n" + "\n".join(rows)
        + f"\n\n{_speed_without_bf16()}"
    )  # fmt: skip


def _speed_without_bf16() -> str:
    found = {name: _record(f"training_speed_{name}_fp32") for name in WORKS}
    machine = _machine(next(iter(found.values())))
    ratios = "; ".join(f"{WORKS[name]} {_best_rival(one)[1]}" for name, one in found.items())
    return f"Times as fast where the processor has no bf16, {machine}, both in fp32: {ratios}."


def _best_rival(found: Any) -> tuple[str, str]:
    """The faster of the rivals, and how many times as fast ours is."""
    theirs = max((who for who in found["examples_per_second"] if who != found["ours"]), key=lambda who: _median(found, who))
    return theirs, "{median:.1f} ({least:.1f} to {greatest:.1f})".format(**found["ratios"][theirs])


def _median(found: Any, who: str) -> float:
    return statistics.median(found["examples_per_second"][who])


def _machine(found: Any) -> str:
    return f"{found['hardware']['cores']} cores of {found['hardware']['processor']} ({found['precision']})"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
