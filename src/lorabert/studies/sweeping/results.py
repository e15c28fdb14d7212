"""What a sweep leaves: sweep.json, the best configuration, and how far its value can be believed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabert.studies.reporting import percent
from lorabert.studies.sweeping.asking import Study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SCHEMA_VERSION = 1
BEST, PLOT = "best.yaml", "sweep.svg"
# A random forest on fewer trials would describe their noise.
_TRIALS_FOR_IMPORTANCES = 8
_WORTH_NAMING = 0.05


def document(plan: dict[str, Any], study: Study, folder: Path, asked: int, status: str) -> dict[str, Any]:
    """The content of sweep.json."""
    known = study.trials()
    rows = [_row(trial, study) for trial in known]
    best = best_of(known, plan["direction"])
    chosen = next((row for row in rows if best is not None and row["number"] == best.number), None)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": status,
        "selected_on": "validation",
        **{key: plan[key] for key in ("metric", "direction", "sampler", "pruner", "seed")},
        "asked": asked,
        "space": plan["space"],
        "config": plan["config"],
        "study": {"storage": study.url, "name": study.name},
        "trials": rows,
        "best": chosen and {**chosen, "config": str(folder / BEST)},
        "selection": chosen and selection(rows, chosen, plan["direction"]),
        "importances": _importances(study, rows),
    }


def _row(trial: FrozenTrial, study: Study) -> dict[str, Any]:
    from optuna.trial import TrialState

    names = {TrialState.COMPLETE: "done", TrialState.FAIL: "failed", TrialState.PRUNED: "pruned"}
    result = study.result(trial)
    return {
        "number": trial.number,
        "status": names.get(trial.state, "running"),
        "parameters": study.values(trial),
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        **{key: result[key] for key in ("low", "high", "n", "error") if key in result},
        "run": result.get("run"),
        "here": study.mine(trial),
        "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
    }


def best_of(trials: Sequence[FrozenTrial], direction: str) -> FrozenTrial | None:
    """The finished trial with the best value, the earliest of equals; None if none has finished."""
    from optuna.trial import TrialState

    done = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    sign = 1 if direction == "minimize" else -1
    return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def selection(rows: Sequence[dict[str, Any]], best: dict[str, Any], direction: str) -> dict[str, Any]:
    """How much choice there was: different configurations that finished, and those the best cannot be told from.

    A value is within the best's interval when the validation split is too small to say which of the two is better. The best
    of several is also an optimist: it was chosen for a value that owes something to luck.
    """
    done = {json.dumps(row["parameters"]): row for row in rows if row["status"] == "done"}
    bound = best["high"] if direction == "minimize" else best["low"]
    within = [row for row in done.values() if (row["value"] <= bound if direction == "minimize" else row["value"] >= bound)]
    return {"configurations": len(done), "within_interval": len(within), "n": best["n"]}


def _importances(study: Study, rows: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """The share of the values' variance that each option explains; None with too few trials, or values all the same."""
    values = [row["value"] for row in rows if row["status"] == "done"]
    if len(values) < _TRIALS_FOR_IMPORTANCES or len(set(values)) < 2:
        return None
    return study.importances()


def best_yaml(document: dict[str, Any], configuration: str, folder: Path) -> str:
    """The best configuration as YAML, opening with where it comes from and the command that trains it."""
    best = document["best"]
    return (
        f"# Trial {best['number'] + 1} of {len(document['trials'])} in {folder}: the best validation {document['metric']}, "
        f"{estimate(best, document['metric'])}.\n"
        f"# lorabert train --config {folder / BEST}\n{configuration}"
    )


def shown(value: Any) -> str:
    """An option's value for people."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def sentences(document: dict[str, Any]) -> list[str]:
    """What mattered and how far the best value can be believed, for people."""
    failed = sum(row["status"] == "failed" for row in document["trials"])
    lines = [_what_mattered(document), _belief(document)]
    pruned = sum(row["status"] == "pruned" for row in document["trials"])
    if pruned:
        lines.append(f"{pruned} of {len(document['trials'])} trials were pruned: their validation loss promised too little.")
    return [*lines, f"{failed} of {len(document['trials'])} trials failed; sweep.json says why."] if failed else lines


def _what_mattered(document: dict[str, Any]) -> str:
    if document["importances"] is None:
        values = [row["value"] for row in document["trials"] if row["status"] == "done"]
        if len(values) >= _TRIALS_FOR_IMPORTANCES:
            return f"Nothing mattered: every trial gave the same {document['metric']}. Search over a wider range."
        return f"What mattered cannot be said from fewer than {_TRIALS_FOR_IMPORTANCES} finished trials."
    shares = [f"{key} ({share:.0%})" for key, share in document["importances"].items() if share >= _WORTH_NAMING]
    return f"What mattered, by the share of the differences between trials that it explains: {', '.join(shares)}."


def _belief(document: dict[str, Any]) -> str:
    chosen = document["selection"]
    others = chosen["within_interval"] - 1
    rivals = (
        f"Its interval also holds the value of {others} other{'s, which' if others > 1 else ', which'} may be as good."
        if others
        else "No other value lies in its interval."
    )
    return (
        f"The best of {chosen['configurations']} configurations on {chosen['n']:,} validation examples is optimistic, since it "
        f"was chosen for this value. {rivals} The test split had no part in this: use it once, on the one you keep."
    )


def estimate(row: dict[str, Any], metric: str) -> str:
    """A trial's value with its interval: in points, or as it is where it is a loss."""
    if metric == "loss":
        return f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
    return percent(row)
