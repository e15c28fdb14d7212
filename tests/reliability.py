"""Records of the long suites, from which docs/reliability.md is made: written where LORABERT_RELIABILITY names a folder.

LORABERT_RELIABILITY=docs/records/reliability pytest -n 0 -m slow tests/faults/test_kill.py && python docs/reliability.py
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lorabert import hardware

ROOT = Path(__file__).parents[1]
SWITCH = "LORABERT_RELIABILITY"


class Tally:
    """What became of the cases of one suite, or of one part of it.

    Args:
        suite: its name in docs/reliability.py, and its record's.
        part: of a suite that has several, each counted for itself.

    Attributes:
        outcomes: how many cases ended in each way that is right: passed, refused, completed, resumed.
        failures: a line for each case that did not.
    """

    def __init__(self, suite: str, part: str = "") -> None:
        self.suite, self.part, self.started = suite, part, time.monotonic()
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []

    def save(self, command: str, figures: Mapping[str, str] | None = None) -> None:
        """Add this part to the suite's record, in place of what stood there of it.

        Args:
            command: what makes the numbers, from the repository's root.
            figures: what else was measured, by what it is, in words with units.
        """
        seconds = round(time.monotonic() - self.started, 1)
        if folder := os.environ.get(SWITCH):
            save(ROOT / folder, self.suite, self.part, self.outcomes, self.failures, seconds, command, figures)


def save(folder: Path, suite: str, part: str, outcomes: Mapping[str, int], failures: Sequence[str], seconds: float,
         command: str, figures: Mapping[str, str] | None = None) -> None:  # fmt: skip
    """Write one part of a suite's record; `cases` and the like of the whole are the sums over its parts."""
    file = folder / f"{suite}.json"
    parts = json.loads(file.read_text(encoding="utf-8"))["parts"] if file.exists() else {}
    parts[part] = {
        "cases": sum(outcomes.values()) + len(failures), "outcomes": dict(sorted(outcomes.items())), "failures": list(failures),
        "seconds": seconds, "figures": dict(figures or {}), "command": command, **_state(),
    }  # fmt: skip
    counts = sum((Counter(each["outcomes"]) for each in parts.values()), Counter())
    record = {
        "suite": suite,
        "cases": sum(each["cases"] for each in parts.values()),
        "outcomes": dict(sorted(counts.items())),
        "failures": [line for each in parts.values() for line in each["failures"]],
        "seconds": round(sum(each["seconds"] for each in parts.values()), 1),
        "command": command,
        **_state(),
        "parts": dict(sorted(parts.items())),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _state() -> dict[str, object]:
    machine = hardware.describe()
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "src")),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{machine['cores']} cores of {machine['processor']}, {platform.system()}, Python {platform.python_version()}",
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
