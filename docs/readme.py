"""Fill the README's generated blocks: python docs/readme.py. A test fails when they are out of date."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

from lorabert.cli import main
from lorabert.studies.reporting import percent

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RECORD = ROOT / "benchmarks" / "records" / "quickstart.json"


def filled(text: str) -> str:
    """The README's text with every generated block made anew."""
    for name, make in (("help", _help), ("quickstart", _quickstart)):
        pattern = rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda block, make=make: f"{block[1]}{make()}\n{block[2]}", text, flags=re.DOTALL)
    return text


def _help() -> str:
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        main(["--help"])
    return f"```text\n{screen.getvalue().rstrip()}\n```"


def _quickstart() -> str:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
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


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
