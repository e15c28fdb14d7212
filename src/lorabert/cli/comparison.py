"""What a comparison looks like on a screen: a few tables a task, and a sentence for each difference."""

from __future__ import annotations

from typing import Any

from lorabert.cli.output import Output
from lorabert.evidence.baselines import titled
from lorabert.studies.comparison.wording import remarks
from lorabert.studies.reporting import findings, percent

_NAMES = {"accuracy": "accuracy", "f1_macro": "macro-F1", "mcc": "MCC"}


def show(out: Output, document: dict[str, Any]) -> None:
    """All tasks, and what holds for all of them."""
    plan = document["plan"]
    for task in document["tasks"]:
        _systems(out, task, len(plan["seeds"]))
        _differences(out, task)
        _cost(out, task)
        _published(out, task)
    for curve in document["curves"]:
        _curve(out, curve)
    for line in remarks(document):
        out.say(line)
    out.say(f"Comparison: {document['comparison']}")


def _curve(out: Output, curve: dict[str, Any]) -> None:
    rows = [[name, *("-" if value is None else percent(value) for value in values)]
            for name, values in [*curve["systems"].items(), *curve["baselines"].items()]]  # fmt: skip
    out.table(f"{curve['name']}: {_NAMES[curve['metric']]} by labelled texts, points [95% interval]",
              ["", *(f"{size:,}" for size in curve["sizes"])], rows)  # fmt: skip
    for line in curve["says"]:
        out.say(line)


def _systems(out: Output, task: dict[str, Any], seeds: int) -> None:
    metric = task["metric"]
    rows = [[name, *_scores(system, metric)] for name, system in task["systems"].items()]
    rows += [[name, percent(scores[metric]), "", "", "", ""] for name, scores in titled(task["baselines"]).items()]
    over = "seeds and examples" if seeds > 1 else "examples; one seed"
    title = f"{task['task']}: {_NAMES[metric]} on {task['n_test']:,} test examples, points [95% interval over {over}]"
    out.table(title, ["", "mean", "sd", "median", "by seed", "failed"], rows)


def _scores(system: dict[str, Any], metric: str) -> list[str]:
    failed = f"{len(system['failures'])} of {len(system['runs'])}"
    if system["metrics"] is None:
        return ["-", "-", "-", "-", failed]
    found = system["metrics"][metric]
    sd = "-" if found["sd"] is None else f"{100 * found['sd']:.2f}"
    return [
        percent(found),
        sd,
        f"{100 * found['median']:.1f}",
        " ".join(f"{100 * value:.1f}" for value in found["values"]),
        failed,
    ]


def _differences(out: Output, task: dict[str, Any]) -> None:
    if not task["differences"]:
        return
    rows = [
        [found["system"], f"{100 * found['value']:+.2f} [{100 * found['low']:+.2f}, {100 * found['high']:+.2f}]",
         f"{found['test']['p']:.3g}", f"{found['test']['smallest_p']:.2g}", f"{found['test']['p_holm']:.3g}", found["verdict"]]
        for found in task["differences"]
    ]  # fmt: skip
    header = ["", "difference [95% interval]", "p", "least p", "Holm", "verdict"]
    out.table(
        f"Minus {task['differences'][0]['against']}, paired, points; test: {task['differences'][0]['test']['name']}", header, rows
    )
    for sentence in findings.of_task(task):
        out.say(sentence)


def _cost(out: Output, task: dict[str, Any]) -> None:
    rows = [
        [name, f"{cost['parameters']:,}", f"{cost['head_parameters']:,}", _seconds(cost["train_seconds"]),
         _megabytes(cost["peak_bytes"]), _megabytes(cost["adapter_bytes"]), _rate(system)]
        for name, system in task["systems"].items()
        if (cost := system["cost"])
    ]  # fmt: skip
    if rows:
        out.table("Cost of a run (median)", ["", "trained", "of it head", "seconds", "peak MB", "adapter MB", "rate"], rows)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.2g}" if count < 1e7 else f"{count / 1e6:.0f}"


def _rate(system: dict[str, Any]) -> str:
    return f"{system['learning_rate']:g} {system['learning_rate_from']}"


def _published(out: Output, task: dict[str, Any]) -> None:
    if not task["published"]:
        return
    rows = [
        [f"{row['method']}, {row['base']}", f"{100 * row['value']:.1f}", f"{row['source']}; {row['selection']}"]
        for row in task["published"]
    ]
    out.table(
        f"Published for these {task['n_test']:,} test examples; ours: {task['base']}", ["", "points", "source; selection"], rows
    )
