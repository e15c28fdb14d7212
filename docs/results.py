"""Make docs/results.md from the committed comparisons in docs/records/: python docs/results.py. A test keeps them together.

A record is a comparison.json under the name of its study; a Markdown file of that name beside it says how it came about. One that
is not whole yet (a task without usable runs, no baselines, no
published figures) gives the rows that it has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorabert.studies.comparison.wording import remarks
from lorabert.studies.reporting import findings, percent

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "records"
PAGE = ROOT / "docs" / "results.md"
METRICS = {"accuracy": "accuracy", "f1_macro": "macro-F1", "mcc": "MCC"}
Document = dict[str, Any]


def page(records: dict[str, Document], folder: Path = RECORDS) -> str:
    """The whole page, from comparisons by their names and what lies beside them."""
    head = (
        "# Results\n\nMade by `python docs/results.py` from the records in `docs/records/`; [comparing.md](comparing.md) "
        "explains every column. Points, with 95% intervals: of a mean over seeds and examples, of a baseline over examples.\n"
    )
    return "\n".join([head, *(_study(name, record, folder / f"{name}.md") for name, record in sorted(records.items()))])


def read(folder: Path = RECORDS) -> dict[str, Document]:
    """The records in a folder, by their names."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def _study(name: str, record: Document, note: Path) -> str:
    machine = "; ".join(dict.fromkeys(_machine(one) for one in record.get("environment", {}).get("hardware", [])))
    seeds = record["plan"]["seeds"]
    told = f"Seeds {', '.join(map(str, seeds))}" + (f"; {machine}." if machine else ".")
    noted = note.read_text(encoding="utf-8").strip() if note.exists() else ""
    parts = [f"## {name}", noted, told, *(_task(task) for task in record["tasks"]), _what_it_says(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(hardware: Document) -> str:
    return str(hardware.get("gpu") or f"{hardware.get('cores')} cores of {hardware.get('processor')}")


def _task(task: Document) -> str:
    title = f"### {task['task']}: {METRICS[task['metric']]} on {task['n_test']:,} test examples, {task['base']}"
    parts = [_table(task), _rates(task), _published(task)]
    return "\n\n".join([title, *(part for part in parts if part)])


def _table(task: Document) -> str:
    differences = {found["system"]: found for found in task["differences"]}
    against = next((found["against"] for found in task["differences"]), None)
    header = ["", "mean", "sd", "seeds", "failed", f"minus {against}" if against else "difference", "p (least; Holm)", "verdict",
              "trained (head)", "seconds", "rate"]  # fmt: skip
    rows = [_system(name, system, differences.get(name), task["metric"]) for name, system in task["systems"].items()]
    rows += [[name, percent(scores[task["metric"]])] for name, scores in task["baselines"].items()]
    return _markdown(header, rows)


def _system(name: str, system: Document, found: Document | None, metric: str) -> list[str]:
    failed = f"{len(system['failures'])} of {len(system['runs'])}"
    if not system["metrics"]:
        return [name, "-", "-", "0", failed]
    value, cost = system["metrics"][metric], system["cost"]
    row = [name, percent(value), "-" if value["sd"] is None else f"{100 * value['sd']:.2f}", str(system["n_seeds"]), failed]
    if found:
        test = found["test"]
        row += [f"{100 * found['value']:+.2f} [{100 * found['low']:+.2f}, {100 * found['high']:+.2f}]",
                f"{test['p']:.3g} ({test['smallest_p']:.2g}; {test['p_holm']:.3g})", found["verdict"]]  # fmt: skip
    else:
        row += ["", "", ""]
    rate = f"{system['learning_rate']:g} {system['learning_rate_from']}"
    return [*row, f"{cost['parameters']:,} ({cost['head_parameters']:,})", f"{cost['train_seconds']:,.0f}", rate]


def _rates(task: Document) -> str:
    """What each rate reached on validation: where a method fails, and whether the best one may lie beyond the grid."""
    if not task["tuning"]:
        return ""
    lines = []
    for name, found in task["tuning"].items():
        tried = ", ".join(
            f"{trial['learning_rate']:g}: " + ("failed" if trial["validation"] is None else f"{100 * trial['validation']:.1f}")
            for trial in found["trials"]
        )
        edge = f" (the {found['edge']} of the grid)" if found["edge"] else ""
        chosen = "none" if found["chosen"] is None else f"{found['chosen']:g}"
        lines.append(f"- {name}: {tried}; chosen {chosen}{edge}")
    return "\n".join([f"Rates on validation, {METRICS[task['metric']]}, one run each:\n", *lines])


def _published(task: Document) -> str:
    if not task["published"]:
        return ""
    rows = [
        [
            f"{row['method']}, {row['base']}",
            _figure(row),
            "; ".join(row["differs"]),
            row["source"] + (" (a copy)" if row["read"] == "copy" else ""),
        ]
        for row in task["published"]
    ]
    return f"Published for the same {task['n_test']:,} test examples:\n\n" + _markdown(
        ["", "points", "what differs", "source"], rows
    )


def _figure(row: Document) -> str:
    return f"{100 * row['value']:.1f}" + ("" if row["spread"] is None else f" ± {100 * row['spread']:.1f}")


def _what_it_says(record: Document) -> str:
    lines = [f"- {task['task']}: {sentence}" for task in record["tasks"] for sentence in findings.of_task(task)]
    return "\n".join(["### What it says\n", *lines, *(f"- {line}" for line in remarks(record))])


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([*row, *[""] * (len(header) - len(row))] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(read()), encoding="utf-8")
