"""What the page on one run shows: its evidence, put into words, plots and tables."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

from lorabert import config
from lorabert.config import RunConfig
from lorabert.errors import InputError
from lorabert.evidence import calibration
from lorabert.evidence.baselines import titled
from lorabert.evidence.metrics import softmax
from lorabert.naming import shortened
from lorabert.studies.reporting import evidence, mistakes, verdicts
from lorabert.studies.reporting.lines import percent
from lorabert.studies.reporting.plots import run as plots

# A matrix of more classes is not read cell by cell any more, and its table would fill the file.
_MOST_CLASSES = 100
_MOST_CONFUSIONS = 30
# Columns of a table that a label may take; numbers stand beside it, and must stay on the screen.
_LONGEST_LABEL = 32
# Where answers are cut off, and how often those that are left should be right.
_BELOWS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_WANTED = 0.95


def view(path: Path) -> dict[str, Any]:
    """The values of the template `run.html.j2` for a run folder.

    Raises:
        InputError: the run is not finished, or a file of it is missing or damaged.
    """
    found = evidence.read(path)
    record = found.record
    results = [(record["method"], record["metrics"]), *titled(record["baselines"]).items()]
    bins = calibration.reliability(softmax(found.logits), found.labels)
    error = calibration.expected_calibration_error(bins)
    return {
        "title": f"{verdicts.data_name(record)}: {record['method']} on {record['base']['name']}",
        "summary": verdicts.summary(record),
        "figures": _figures(record, error),
        "meaning": verdicts.meaning(record),
        "results": [[name, *(scores[metric] for metric in ("accuracy", "f1_macro", "mcc"))] for name, scores in results],
        "beside": plots.beside_baselines(results) if record["baselines"] else None,
        "curves": plots.curves(found.events),
        "learning": verdicts.learning(found.events, record["config"]["train"]["logging_steps"]),
        "per_class": _per_class(record),
        "reliability": plots.reliability(bins, error, len(record["data"]["labels"])),
        "calibrated": verdicts.calibrated(bins, error),
        "temperature": verdicts.temperature(record.get("calibration")),
        **_abstaining(found),
        "confusion": _confusion(record),
        "mistakes": mistakes.surest(found.labels, found.logits, record["data"]["labels"], found.texts),
        "wrong": int((found.logits.argmax(1) != found.labels).sum()),
        "no_texts": found.no_texts,
        "configuration": _configuration(record),
        "commands": _commands(record),
        "environment": _environment(record),
        "versions": list(record["versions"].items()),
        "seconds": [[phase, f"{seconds:,.1f}"] for phase, seconds in record["seconds"].items()],
        "labels": record["data"]["labels"],
        "notes": record["data"]["notes"],
        "n": record["data"]["examples"]["test"],
    }


def _abstaining(found: evidence.Evidence) -> dict[str, Any]:
    """What is left unanswered below each probability, and how well the rest is answered."""
    chosen_by = softmax(found.held_out[1]), found.held_out[0]
    suggestion = calibration.suggested(*chosen_by, _WANTED)
    belows = sorted({*_BELOWS, *([suggestion] if suggestion else [])})
    cuts = calibration.coverage(softmax(found.logits), found.labels, belows)
    rows = [[f"{cut.below:.15g}", f"{cut.coverage:.0%}", percent(cut.accuracy.to_dict()) if cut.accuracy else ""] for cut in cuts]
    return {"abstaining": verdicts.abstaining(cuts, suggestion, _WANTED), "cuts": rows, "coverage": plots.coverage(cuts)}


def _figures(record: dict[str, Any], error: float) -> list[tuple[str, ...]]:
    """The numbers at the top: name, value, what stands below it."""
    metrics, trainable, fit = record["metrics"], record["trainable"], record["fit"]
    named = (("Accuracy", "accuracy"), ("Macro-F1", "f1_macro"), ("MCC", "mcc"))
    shown = [(name, *percent(metrics[key]).split(" ", 1)) for name, key in named]
    return [
        *shown,
        ("Calibration error", f"{100 * error:.1f}", "points, 0 is perfect"),
        ("Trained", f"{trainable['parameters']:,}", f"of {trainable['all_parameters']:,} parameters"),
        ("Training took", f"{fit['train_seconds']:,.0f} s", f"{fit['steps']:,} steps, {fit['epochs']:g} epochs"),
    ]


def _per_class(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of each class, its name short, with the whole of it for whoever points at it."""
    rows = record["per_class"]
    short = shortened([row["label"] for row in rows], _LONGEST_LABEL)
    return [{**row, "label": name, "whole": row["label"]} for name, row in zip(short, rows, strict=True)]


def _confusion(record: dict[str, Any]) -> dict[str, Any]:
    """The matrix without classes that neither occur nor are predicted, and the pairs that are confused most."""
    counts, whole = record["confusion"], record["data"]["labels"]
    names = shortened(whole, _LONGEST_LABEL)
    seen = [k for k in range(len(names)) if sum(counts[k]) or sum(row[k] for row in counts)]
    wrong = [(i, j) for i in seen for j in seen if i != j and counts[i][j]]
    pairs = [(counts[i][j], counts[i][j] / sum(counts[i]), names[i], names[j]) for i, j in wrong]
    pairs.sort(key=lambda pair: (-pair[0], -pair[1], pair[2], pair[3]))
    rows = [
        ((names[i], whole[i]), total := sum(counts[i]), [(counts[i][j], counts[i][j] / max(1, total), i == j) for j in seen])
        for i in seen
    ]
    return {
        "labels": [(names[k], whole[k]) for k in seen],
        "rows": rows if len(seen) <= _MOST_CLASSES else [],
        "absent": len(names) - len(seen),
        "pairs": [[true, predicted, count, f"{share:.0%}"] for count, share, true, predicted in pairs[:_MOST_CONFUSIONS]],
        "more": max(0, len(pairs) - _MOST_CONFUSIONS),
    }


def _configuration(record: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Every option, its value, and whether it differs from the default."""
    defaults = _defaults(record).to_dict()
    return [
        (f"{section}.{key}", _shown(value), value != defaults.get(section, {}).get(key))
        for section, knobs in record["config"].items()
        for key, value in knobs.items()
    ]


def _defaults(record: dict[str, Any]) -> RunConfig:
    """What the run would have been with no option but its method and seed."""
    plain, own = RunConfig(), {key: record["config"]["train"][key] for key in ("method", "seed")}
    return dataclasses.replace(plain, train=dataclasses.replace(plain.train, **own)).resolved()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _commands(record: dict[str, Any]) -> dict[str, str]:
    """The commands that make the run again: with its config.yaml, and with nothing at hand."""
    with_file = "lorabert train --config config.yaml --out NEW_FOLDER"
    try:
        wanted, plain = config.from_dict(record["config"]), RunConfig()
    except InputError:  # of a version whose options this one does not know
        return {"with_file": with_file, "plain": ""}
    resolved = _defaults(record).to_dict()
    options = [
        f"--{section}.{key} {shlex.quote(_shown(value))}"
        for section, knobs in wanted.to_dict().items()
        for key, value in knobs.items()
        if value != resolved[section][key] or (key in ("method", "seed") and value != plain.to_dict()[section][key])
    ]
    return {"with_file": with_file, "plain": " \\\n  ".join(["lorabert train", *options])}


def _environment(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Where and how it ran, and which base and data it had."""
    machine, git, base, fit, data = record["hardware"], record.get("git"), record["base"], record["fit"], record["data"]
    memory = machine.get("memory_bytes")
    sizes = ", ".join(f"{count:,} {name}" for name, count in data["examples"].items())
    cut = ", ".join(f"{count:,} {name}" for name, count in data["truncated"].items() if count)
    compiled = ", compiled steps" if fit.get("kernels") else ""
    rows = [
        ("base", f"{base['name']}, revision {base['revision']}"),
        ("base weights, sha256", base["sha256"]),
        ("newly initialised", ", ".join(base["new_tensors"]) or "nothing"),
        ("data", f"{data['origin']}: {sizes}"),
        ("data fingerprint", data["fingerprint"]),
        ("texts cut at max_length", cut or "none"),
        ("device and precision", f"{record['device']}, {record['precision']}: {record['precision_reason']}"),
        ("engine", f"{record['engine']}: {record['engine_reason']}; attention {record['attention']}{compiled}"),
        ("system", str(machine["system"])),
        ("processor", f"{machine['processor']}, {machine['cores']} cores, threads used: {machine['threads']}"),
        ("GPU", str(machine["gpu"] or "none")),
        ("memory", f"{memory / 2**30:,.1f} GiB" if memory else "not told"),
        ("peak memory", f"{fit['peak_bytes'] / 2**20:,.0f} MiB" if fit["peak_bytes"] else "not told"),
        ("tokens read", f"{fit['tokens']:,}; {fit['padding_share']:.1%} of the computed cells were padding"),
        ("configuration, sha256", record["config_sha256"]),
        ("started, finished", f"{record.get('started', '')}, {record.get('finished', '')}"),
    ]
    return [*rows, ("git commit", f"{git['commit']}{', with local changes' if git['dirty'] else ''}")] if git else rows
