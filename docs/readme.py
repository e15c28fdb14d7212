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
    "qv": "LoRA on query and value",
    "as-written": "the same, against the course's padding to 128",
    "all-linear": "LoRA on all linear layers",
    "full": "full fine-tuning",
    "bert-base": "LoRA on query and value, BERT-base shapes",
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
    record = _record("training_speed")
    rows = []
    for work, what in WORKS.items():
        if found := record["work"].get(work):
            speeds = {name: statistics.median(values) for name, values in found["examples_per_second"].items()}
            rival = max((name for name in speeds if name.startswith("PEFT")), key=lambda name: speeds[name])
            ours, ratio = found["fastest_of_ours"], found["ratios"][rival]
            rows.append(f"| {what} | {speeds[rival]:.1f} | {speeds[ours]:.1f} | {ratio['median']:.2f} "
                        f"({ratio['least']:.2f} to {ratio['greatest']:.2f}) |")  # fmt: skip
    machine = f"{record['hardware']['cores']} cores of {record['hardware']['processor']}"
    return (
        f"Examples a second in training, quickstart texts in batches of 16, fp32, {machine}; the rival is Transformers + PEFT, "
        "padded to the longest of a batch, with batches of like length. Medians of rounds in turn; ratio with the least and the "
        "greatest:\n\n"
        "| | Transformers + PEFT | fast engine | ratio |\n|---|---|---|---|\n" + "\n".join(rows)
    )


def _record(name: str) -> dict[str, Any]:
    return dict(json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
