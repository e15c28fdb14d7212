"""What the page on a comparison shows: comparison.json, put into words, plots and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorabert.errors import InputError
from lorabert.evidence.baselines import titled
from lorabert.naming import shortened
from lorabert.received import record_of
from lorabert.studies.reporting import findings
from lorabert.studies.reporting.plots import comparison as plots
from lorabert.studies.reporting.plots.learning import learning

SCHEMA_VERSION = 1
_METRICS = ("accuracy", "f1_macro", "mcc")
_LONGEST_NAME = 32


def view(file: Path) -> dict[str, Any]:
    """The values of the template `comparison.html.j2` for a comparison.json.

    Raises:
        InputError: it is missing, damaged or of another version.
    """
    document = record_of(file)
    if document.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{file} has a schema that this version does not read",
            got=f"schema_version {document.get('schema_version')}",
            expected=str(SCHEMA_VERSION),
            fix="Use the lorabert that made it, or a newer one",
        )
    plan, tasks, environment = document["plan"], document["tasks"], document["environment"]
    short = shortened([task["task"] for task in tasks], _LONGEST_NAME)
    return {
        "title": f"{', '.join(system['name'] for system in plan['systems'])} compared",
        "summary": findings.summary(document),
        "cautions": findings.cautions(document),
        "against": plan["against"],
        "margin": f"{100 * plan['margin']:g}",
        "overview": _overview(tasks),
        "curves": [
            {**curve, "plot": learning(f"curve-{number}", curve)} for number, curve in enumerate(document.get("curves", []), 1)
        ],
        "task_names": [f"{name}, {plots.METRICS[task['metric']]}" for name, task in zip(short, tasks, strict=True)],
        "tasks": [_task(f"task-{number}", task) for number, task in enumerate(tasks, 1)],
        "study": _study(plan),
        "environment": [(key, _several(values)) for key, values in environment.items() if key not in ("versions", "base")],
        "bases": [(base["name"], base["revision"] or "", base["sha256"]) for base in environment["base"]],
        "versions": [pair for found in environment["versions"] for pair in found.items()],
    }


def _overview(tasks: list[dict[str, Any]]) -> list[list[object]]:
    """Systems and baselines by tasks, each cell the mean with its interval."""
    systems = list(dict.fromkeys(name for task in tasks for name in task["systems"]))
    baselines = list(dict.fromkeys(name for task in tasks for name in titled(task["baselines"])))

    def cell(metrics: dict[str, Any] | None, metric: str) -> object:
        return metrics[metric] if metrics else "–"

    return [
        *([name, *(cell(task["systems"][name]["metrics"], task["metric"]) for task in tasks)] for name in systems),
        *([name, *(cell(titled(task["baselines"]).get(name), task["metric"]) for task in tasks)] for name in baselines),
    ]


def _task(key: str, task: dict[str, Any]) -> dict[str, Any]:
    metric, labels = task["metric"], task["labels"]
    classes = ", ".join(shortened(labels[:8], _LONGEST_NAME)) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")
    sizes = f"{task['n_train']:,} training, {task['n_validation']:,} validation and {task['n_test']:,} test texts"
    return {
        "key": key,
        "name": task["task"],
        "metric": plots.METRICS[metric],
        "about": f"{task['origin']}: {sizes} in {len(labels)} classes ({classes}); base {task['base']}.",
        "notes": task["notes"],
        "fingerprint": task["fingerprint"],
        "says": findings.of_task(task),
        "plots": plots.plots(key, task),
        "means": [_means(name, system, metric) for name, system in task["systems"].items()],
        "costs": [_costs(name, system) for name, system in task["systems"].items()],
        "differences": [_difference(found) for found in task["differences"]],
        "baselines": [[name, *(scores[one] for one in _METRICS)] for name, scores in titled(task["baselines"]).items()],
        "published": [_published(row) for row in task["published"]],
    }


def _means(name: str, system: dict[str, Any], metric: str) -> list[object]:
    failed = len(system["failures"])
    if not system["metrics"]:
        return [name, *["–"] * 5, 0, failed, "–"]
    own, rate = system["metrics"][metric], system["learning_rate"]
    sd = "–" if own["sd"] is None else f"{100 * own['sd']:.2f}"
    rate_told = "–" if rate is None else f"{rate:g} ({system['learning_rate_from']})"
    median = f"{100 * own['median']:.2f}"
    return [name, *(system["metrics"][one] for one in _METRICS), sd, median, own["n_seeds"], failed, rate_told]


def _costs(name: str, system: dict[str, Any]) -> list[object]:
    cost = system["cost"]
    if not cost:
        return [name, *["–"] * 7]
    adapter = "–" if cost["adapter_bytes"] is None else f"{cost['adapter_bytes'] / 1000:,.0f}"
    return [
        name,
        f"{cost['parameters']:,}",
        f"{cost['head_parameters']:,}",
        f"{100 * cost['parameters'] / cost['all_parameters']:.2f}",
        f"{cost['train_seconds']:,.1f}",
        f"{cost['peak_bytes'] / 2**20:,.0f}",
        adapter,
        ", ".join(cost["engines"]),
    ]


def _difference(found: dict[str, Any]) -> list[object]:
    test = found["test"]
    value, interval = (f"{100 * found['value']:+.2f}", f"[{100 * found['low']:+.2f}, {100 * found['high']:+.2f}]")
    return [found["system"], value, interval, found["n_seeds"], f"{test['p']:.3g}", f"{test['smallest_p']:.3g}",
            f"{test.get('p_holm', test['p']):.3g}", found["verdict"], test["name"]]  # fmt: skip


def _published(row: dict[str, Any]) -> list[object]:
    spread = f" ± {100 * row['spread']:.1f}" if row["spread"] else ""
    return [f"{row['method']} on {row['base']}", f"{100 * row['value']:.1f}{spread}", row["n"], row["source"],
            "; ".join(row["differs"])]  # fmt: skip


def _study(plan: dict[str, Any]) -> str:
    """The study file that plans the same comparison: what `lorabert compare --config` takes."""
    import yaml

    settings = {section: dict(knobs) for section, knobs in plan["settings"].items()}
    settings["train"]["learning_rate"] = plan["learning_rate"]
    wanted = {
        "methods": {system["name"]: system["overrides"] for system in plan["systems"]},
        "tasks": {task["name"]: {**task["overrides"], "metric": task["metric"]} for task in plan["tasks"]},
        "seeds": len(plan["seeds"]),
        "against": plan["against"],
        "margin": plan["margin"],
        "tune_rates": plan["tuning"]["rates"] if plan["tuning"] else None,
        "more_rates": plan["tuning"].get("more_rates") if plan["tuning"] else None,
        "metric": plan["tasks"][0]["metric"],
        **settings,
    }
    if not any(task["overrides"] for task in plan["tasks"]):  # the one task is the data of the settings
        del wanted["tasks"]
    told = {key: value for key, value in wanted.items() if value is not None}
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True))


def _several(values: list[Any]) -> str:
    return "; ".join(", ".join(f"{key} {_shown(one)}" for key, one in value.items()) if isinstance(value, dict) else _shown(value)
                     for value in values)  # fmt: skip


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
