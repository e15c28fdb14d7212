"""docs/serving.md and the examples name what is there."""

import dataclasses
import re
from pathlib import Path

from lorabert.shipping.serving.metrics import Metrics
from lorabert.shipping.serving.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
ELSEWHERE = {"base", "help", "json", "name", "train.method"}


def test_every_option_named_is_one_and_every_link_leads_somewhere():
    known = {field.name for field in dataclasses.fields(Settings)} | ELSEWHERE
    named = set(re.findall(r"--([a-z][\w.]*)", TEXT))
    assert named
    assert named <= known
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target


def test_every_metric_is_named_and_every_one_named_is_there():
    page = Metrics().page().decode()
    there = {name for name in re.findall(r"^# TYPE lorabert_(\w+) ", page, re.MULTILINE) if not name.endswith("_created")}
    section = TEXT.split("## Observe")[1].split("## How it works")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)", row)}
    assert named == there
