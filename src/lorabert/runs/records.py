"""What stands in run.json: checked once, when a run is opened, so that nothing behind it asks again.

A record may come from somebody else, with the run. What a run has not come to yet is not in its record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorabert.kinds import (
    Check,
    any_object,
    anything,
    named,
    number,
    one_of,
    optional,
    positive,
    record,
    rows,
    text,
    whole,
    wrong,
)

FACTS = (
    "config", "config_sha256", "base", "data", "method", "seed", "device", "precision", "precision_reason", "trainable",
    "versions", "hardware", "baselines", "fit", "engine", "engine_reason", "attention", "metrics", "per_class",
    "confusion", "seconds",
)  # fmt: skip
_MOST, _MOST_BASELINES = 1_000_000, 1000
_LONGEST = 1 << 20


def problems(found: Mapping[str, Any]) -> list[str]:
    """What in a record is not what lorabert writes, a sentence each."""
    told = list(_RECORD(found, ""))
    if not told:
        told += _chosen(found)
    return told


def lacking(found: Mapping[str, Any]) -> list[str]:
    """What the record of a finished run lacks, by name."""
    return [name for name in FACTS if name not in found]


def _chosen(found: Mapping[str, Any]) -> Iterator[str]:
    """Whether what a recipe chose are options of the configuration."""
    for key in found.get("recipe", {}).get("chosen", {}):
        section, _, name = key.partition(".")
        if name not in found["config"].get(section, {}):
            yield f"recipe.chosen names {key[:60]!a}, which is no option in config"


def _plain(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        yield wrong(value, where, "a text, a number or nothing")


def _counts(value: Any, where: str) -> Iterator[str]:
    """A square matrix of whole numbers: of a thousand classes it has a million, so it is looked at without a check for each."""
    if not isinstance(value, list) or any(not isinstance(row, list) or len(row) != len(value) for row in value):
        yield wrong(value, where, "a square matrix")
    elif any(type(count) is not int or not 0 <= count <= _LARGEST for row in value for count in row):
        yield f"{where} holds what is no count"


def _words(inner: Check) -> Check:
    return named(_TEXT, inner, _MOST)


_LARGEST = 1 << 60
_TEXT, _COUNT = text(_LONGEST), whole(0, _LARGEST)
_TEXTS = rows(_TEXT, 0, _MOST)
_SECTIONS = _words(_words(anything))
_ESTIMATE = record({"value": number, "low": number, "high": number, "n": _COUNT})
_SCORES = record(dict.fromkeys(("accuracy", "f1_macro", "mcc"), _ESTIMATE))
_STANDING = record({"baseline": _TEXT, "accuracy": number, "baseline_accuracy": number, "difference": _ESTIMATE})
_HASHES = record({"n": _COUNT, "texts_sha256": _TEXT, "labels_sha256": _TEXT})
_DATA = record(
    {"fingerprint": _TEXT, "labels": rows(_TEXT, 1, _MOST, distinct=True)},
    {
        "origin": _TEXT, "examples": _words(_COUNT), "splits": _words(_HASHES), "notes": _TEXTS, "truncated": _words(_COUNT),
        "skipped": _words(_COUNT), "unknown_share": _words(number), "columns": _words(optional(_TEXT)),
    },
)  # fmt: skip
_BASE = record(
    {"name": _TEXT, "sha256": _TEXT},
    {"revision": optional(_TEXT), "model_type": _TEXT, "settings": _words(_TEXT), "new_tensors": _TEXTS},
)
_FIT = record(
    {"train_seconds": number, "steps": _COUNT, "epochs": number, "tokens": _COUNT, "padding_share": number,
     "peak_bytes": _COUNT},
    {"attention": _TEXT, "together": _COUNT, "kernels": one_of(True, False)},
)  # fmt: skip
_PER_CLASS = record({"label": _TEXT, "precision": number, "recall": number, "f1": number, "support": _COUNT})
_RECORD = record(
    {"schema_version": whole(1, 1 << 20), "status": _TEXT, "config": _SECTIONS, "config_sha256": _TEXT},
    {
        "started": _TEXT, "finished": _TEXT, "made_in": _words(_TEXT), "error": _TEXT,
        "recipe": record({"chosen": _words(anything)}, {"name": _TEXT, "because": _TEXTS}),
        "git": optional(record({"commit": _TEXT, "dirty": one_of(True, False)})),
        "estimate": record({"seconds": number}, {"refined": any_object, "shorter": _TEXTS}),
        "base": _BASE, "data": _DATA, "method": _TEXT, "seed": whole(-_LARGEST, 1 << 64), "world_size": _COUNT,
        "device": _TEXT, "precision": _TEXT, "precision_reason": _TEXT, "attention": _TEXT, "drift": _TEXTS,
        "engine": _TEXT, "engine_reason": _TEXT, "versions": _words(optional(_TEXT)), "hardware": _words(_plain),
        "trainable": record({"parameters": _COUNT, "head_parameters": _COUNT, "all_parameters": whole(1, _LARGEST)}),
        "baselines": named(_TEXT, _SCORES, _MOST_BASELINES), "metrics": _SCORES, "validation_metrics": _SCORES,
        "validation_baselines": named(_TEXT, _SCORES, _MOST_BASELINES),
        "standing": _STANDING, "test_standing": _STANDING,
        "folds": record({"k": _COUNT, "metrics": record({"accuracy": _ESTIMATE})}),
        "calibration": record({"temperature": positive, "on": _TEXT, "n": _COUNT}, {"ece": number, "ece_before": number}),
        "seconds": _words(number),
        "per_class": rows(_PER_CLASS, 0, _MOST), "confusion": _counts, "fit": _FIT,
    },
)  # fmt: skip
