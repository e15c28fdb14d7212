"""A comparison.json made up of drawn numbers: what `lorabert compare` leaves, without the hours."""

from __future__ import annotations

import random
import statistics
from typing import Any

from lorabert.config import RunConfig

METRICS = ("accuracy", "f1_macro", "mcc")
PARAMETERS = {"lora": 74_498, "full": 22_713_986, "bitfit": 51_458, "head": 770}


def document(
    tasks: tuple[str, ...] = ("r8", "rotten-tomatoes"),
    systems: tuple[str, ...] = ("lora", "full", "bitfit", "head"),
    *,
    seeds: int = 5,
    tuned: bool = True,
    failing: str | None = None,
) -> dict[str, Any]:
    """A whole document of schema version 1.

    Args:
        tasks: their names.
        systems: their names; the first word of each is its method, the second system is the one compared with.
        seeds: how many.
        tuned: with learning rates that were tried.
        failing: a system none of whose runs is usable.
    """
    against = systems[min(1, len(systems) - 1)]
    listed = [{"name": name, "overrides": {"train.method": _method(name)}} for name in systems]
    plan = {
        "settings": RunConfig().resolved().to_dict(),
        "learning_rate": None,
        "systems": listed,
        "tasks": [{"name": name, "overrides": {"data.name": name}, "metric": "accuracy"} for name in tasks],
        "seeds": list(range(42, 42 + seeds)),
        "tuning": {"rates": {_method(name): [1e-4, 5e-4, 2e-3] for name in systems}, "seed": 1042} if tuned else None,
        "against": against,
        "margin": 0.005,
    }
    rng = random.Random(0)
    return {
        "schema_version": 1,
        "finished": "2026-01-01T00:00:00+0000",
        "plan": plan,
        "tasks": [_task(rng, name, systems, against, seeds, tuned, failing) for name in tasks],
        "environment": {
            "versions": [{"python": "3.12.1", "torch": "2.9.0"}],
            "hardware": [{"system": "Linux", "processor": "one", "cores": 2, "threads": 1, "memory_bytes": None, "gpu": None}],
            "device": ["cpu"], "precision": ["fp32"], "engine": ["fast"], "attention": ["packed"],
            "git": [{"commit": "0" * 40, "dirty": False}],
            "base": [{"name": "minilm-l6", "revision": None, "sha256": "1" * 64, "model_type": "bert", "new_tensors": []}],
        },
    }  # fmt: skip


def _method(system: str) -> str:
    return system.split()[0] if system.split()[0] in PARAMETERS else "lora"


def _task(rng: random.Random, name: str, systems: tuple[str, ...], against: str, seeds: int, tuned: bool,
          failing: str | None) -> dict[str, Any]:  # fmt: skip
    level = rng.uniform(0.8, 0.95)
    made = {
        system: _system(rng, level - 0.012 * place + 0.006, system, seeds, usable=system != failing)
        for place, system in enumerate(systems)
    }
    pairs = [] if failing == against else [system for system in systems if system not in (against, failing)]
    return {
        "task": name, "metric": "accuracy", "origin": name, "fingerprint": "2" * 64, "labels": ["one", "two", "three"],
        "n_train": 5000, "n_validation": 500, "n_test": 2189, "notes": ["no validation split: 10% of train set aside"],
        "base": "minilm-l6", "systems": made,
        "differences": [_difference(made[system], made[against], system, against) for system in pairs],
        "baselines": {
            "majority class": _metrics(0.495), "TF-IDF + logistic regression": _metrics(level - 0.03),
            "frozen base + linear head": _metrics(level - 0.05),
        },
        "tuning": {system: _search(rng, level) for system in systems} if tuned else None,
        "published": [{"source": "Somebody 2021, table 2", "read": "source", "selection": "not stated there",
                       "metric": "accuracy", "base": "bert-base-uncased", "method": "full", "value": 0.978,
                       "spread": 0.002, "n": 2189,
                       "differs": ["base bert-base-uncased, ours minilm-l6", "selection: not stated there"]}],
    }  # fmt: skip


def _estimate(value: float, reach: float) -> dict[str, Any]:
    return {"value": value, "low": value - reach, "high": value + 0.9 * reach, "n": 2189}


def _metrics(value: float) -> dict[str, Any]:
    return {name: _estimate(value - 0.02 * place, 0.008) for place, name in enumerate(METRICS)}


def _system(rng: random.Random, level: float, name: str, seeds: int, *, usable: bool) -> dict[str, Any]:
    values = {metric: [level - 0.02 * place + rng.gauss(0, 0.003) for _ in range(seeds)] for place, metric in enumerate(METRICS)}
    method = _method(name)
    runs = [
        {"seed": 42 + n, "run": f"runs/task/{method}/seed-{42 + n}", "status": "done" if usable else "failed",
         "failure": None if usable else "its logits are not numbers: the training diverged",
         "metrics": {metric: values[metric][n] for metric in METRICS} if usable else None}
        for n in range(seeds)
    ]  # fmt: skip
    over_seeds = {
        metric: {**_estimate(statistics.fmean(found), 0.009), "n_seeds": seeds,
                 "sd": statistics.stdev(found) if seeds > 1 else None, "median": statistics.median(found), "values": found}
        for metric, found in values.items()
    }  # fmt: skip
    cost = {"parameters": PARAMETERS[method], "head_parameters": 770, "all_parameters": 22_787_714,
            "train_seconds": 120.0 + 80 * rng.random(), "peak_bytes": 10**9, "adapter_bytes": 300_000,
            "engines": ["fast"]}  # fmt: skip
    return {
        "method": method, "overrides": {"train.method": method}, "learning_rate": 5e-4, "learning_rate_from": "tuned",
        "runs": runs, "n_seeds": seeds if usable else 0, "metrics": over_seeds if usable else None,
        "cost": cost if usable else None,
        "failures": [] if usable else [{"seed": run["seed"], "why": run["failure"]} for run in runs],
    }  # fmt: skip


def _difference(first: dict[str, Any], second: dict[str, Any], name: str, against: str) -> dict[str, Any]:
    pairs = zip(first["metrics"]["accuracy"]["values"], second["metrics"]["accuracy"]["values"], strict=True)
    by_seed = [one - other for one, other in pairs]
    estimate = _estimate(statistics.fmean(by_seed), 0.004)
    inside = max(-estimate["low"], estimate["high"]) < 0.005
    verdict = "equivalent" if inside else "undecided" if estimate["low"] <= 0 <= estimate["high"] else "different"
    seeds = len(by_seed)
    test = {
        "name": "sign flips of seeds",
        "p": 0.125,
        "smallest_p": 2.0 ** (1 - seeds),
        "statistic": estimate["value"],
        "n": seeds,
    }
    return {
        "system": name, "against": against, "metric": "accuracy", **estimate, "n_seeds": seeds,
        "seeds": list(range(42, 42 + seeds)), "by_seed": by_seed, "test": {**test, "p_holm": 0.25, "n_tasks": 2}, "margin": 0.005,
        "verdict": verdict,
    }  # fmt: skip


def _search(rng: random.Random, level: float) -> dict[str, Any]:
    tried = [(rate, level + rng.gauss(0, 0.02)) for rate in (1e-4, 5e-4, 2e-3)]
    chosen = max(tried, key=lambda pair: pair[1])[0]
    return {
        "grid": [rate for rate, _ in tried], "budget_runs": 3, "seed": 1042, "metric": "accuracy", "split": "validation",
        "trials": [{"learning_rate": rate, "validation": value, "error": None, "train_seconds": 30.0} for rate, value in tried],
        "chosen": chosen, "edge": {1e-4: "lowest", 2e-3: "highest"}.get(chosen),
    }  # fmt: skip
