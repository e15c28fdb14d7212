"""What stands in a manifest: checked once, so that nothing behind it asks again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorabert.config import METHODS
from lorabert.kinds import (
    LONGEST_NAME,
    any_object,
    named,
    number,
    one_of,
    optional,
    positive,
    record,
    rows,
    text,
    whole,
)
from lorabert.received import is_plain

_FILES_OF = {
    "adapter": ("adapter_config.json", "adapter_model.safetensors"),
    "merged": ("config.json",),
    "onnx": ("config.json", "model.onnx"),
    "onnx-int8": ("config.json", "model.onnx"),
}
_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_MOST_LABELS, _MOST_FILES, _MOST_TEXTS = 100_000, 1000, 100
_LONGEST_LABEL, _LONGEST_TEXT = 10_000, 20_000
_MOST_TOKENS, _MOST_BYTES = 1 << 20, 1 << 50


def problems(manifest: Mapping[str, Any], kind: str) -> list[str]:
    """What in a manifest of a kind, adapter or export, is not what lorabert writes, a sentence each."""
    found = list(one_of("adapter", "export")(kind, "kind")) + list(_MANIFEST(manifest, ""))
    if kind == "export":
        found += _EXPORT(manifest, "")
    return found or [*_answers(manifest), *_weights(manifest, kind)]


def _weights(manifest: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Whether what will be loaded is among its files, and nothing that would have to be unpickled is."""
    files = manifest["files"]
    needed = _FILES_OF.get(kind if kind == "adapter" else manifest["format"], ())
    yield from (f"the files lack {name}" for name in needed if name not in files)
    yield from (f"{name} is a file of pickled objects, which are never opened" for name in files if name.endswith(_PICKLED))


def _answers(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Whether there is a row of logits for each text, and in it a number for each label."""
    texts, rows = manifest["fingerprint"]["texts"], manifest["fingerprint"]["logits"]
    if len(texts) != len(rows):
        yield f"it has {len(texts)} recorded texts and {len(rows)} recorded answers"
    if any(len(row) != len(manifest["labels"]) for row in rows):
        yield f"its recorded answers are not of {len(manifest['labels'])} logits each, one a label"


def _file_name(value: Any, where: str) -> Iterator[str]:
    if not is_plain(value):
        yield f"{where} is {value!a}, which is no file of its folder"


_SHA256 = text(64, "[0-9a-f]{64}", "a sha256 in hex")
_NAME = text(LONGEST_NAME, ".+", "a name")
_ESTIMATE = optional(record({"value": number}, {"low": optional(number), "high": optional(number)}))
_COLUMNS = record({}, {key: optional(text()) for key in ("text", "text_pair", "label")})
_FILE = record({"sha256": _SHA256, "bytes": whole(0, _MOST_BYTES)})
_MANIFEST = record(
    {
        "schema_version": whole(1, 1 << 20),
        "base": record(
            {"name": _NAME, "sha256": _SHA256},
            {"revision": optional(_NAME), "model_type": _NAME, "settings": named(_file_name, _SHA256, _MOST_FILES)},
        ),
        "labels": rows(text(_LONGEST_LABEL), 1, _MOST_LABELS, distinct=True),
        "max_length": whole(3, _MOST_TOKENS),
        "files": named(_file_name, _FILE, _MOST_FILES),
        "fingerprint": record(
            {
                "texts": rows(text(_LONGEST_TEXT), 0, _MOST_TEXTS),
                "logits": rows(rows(number, 1, _MOST_LABELS), 0, _MOST_TEXTS),
            }
        ),
    },
    {
        "temperature": one_of(1.0),
        "calibration": record(
            {"temperature": positive, "on": text(), "n": whole(0, _MOST_BYTES)}, {"ece": number, "ece_before": number}
        ),
        "problem_type": one_of("single_label_classification"),
        "method": one_of(*METHODS),
        "seed": whole(-(1 << 63), 1 << 64),
        "config": any_object,
        "data": record(
            {},
            {"columns": _COLUMNS, "origin": text(), "fingerprint": text(), "labels": rows(text(_LONGEST_LABEL), 1, _MOST_LABELS)},
        ),
        "metrics": optional(named(text(), _ESTIMATE, 100)),
        "new_tensors": named(text(), record({"file": _NAME, "key": text()}), _MOST_LABELS),
        "versions": named(text(), optional(text()), _MOST_FILES),
    },
)
_EXPORT = record(
    {"format": _NAME, "adapter": record({"manifest_sha256": _SHA256, "weights_sha256": _SHA256})},
    {"drift": one_of(True, False)},
)
