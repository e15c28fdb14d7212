"""The tokenizer files of an adapter or an export: the base's, with the settings under which they give what was trained on.

A base's tokenizer may pad on the left, cut at another length, or be found only by the config.json beside it. Whoever takes it
by its defaults would ask the model something else than training did.
"""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

from lorabert.engine.prediction import Classifier
from lorabert.models import bases

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SETTINGS = "tokenizer_config.json"
_WHOLE = "tokenizer.json"
# What transformers 5 calls the class that transformers 4 and 5 both know by the other name.
_ANY = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def write(folder: Path, source: Path, classifier: Classifier, *, everywhere: bool = False) -> None:
    """Copy a tokenizer's files and set what its users leave to them: class, padding side, longest text, inputs.

    Args:
        folder: where to.
        source: the base's or the adapter's folder that the classifier's tokenizer is from.
        classifier: who is asked: its tokenizer, its longest text, and what its model reads.
        everywhere: set padding and truncation in tokenizer.json too, for programs that read that file alone.
    """
    for file in bases.tokenizer_files(source):
        shutil.copyfile(file, folder / file.name)
    _write_json(folder / _SETTINGS, _read_json(folder / _SETTINGS) | _settings(classifier))
    if everywhere and (folder / _WHOLE).exists():
        _write_json(folder / _WHOLE, _read_json(folder / _WHOLE) | _batching(classifier.tokenizer, classifier.max_length))


def inputs_of(classifier: Classifier) -> list[str]:
    """What the tokenizer makes and the model reads, so that the one's output fits the other."""
    model = classifier.model.get_base_model() if hasattr(classifier.model, "get_base_model") else classifier.model
    read = inspect.signature(model.forward).parameters
    made = [*classifier.tokenizer.model_input_names, "attention_mask"]
    return [name for name in _INPUTS if name in made and name in read]


def _settings(classifier: Classifier) -> dict[str, Any]:
    """What tokenizer_config.json has to say: the class that was loaded, and the batches that training saw."""
    name = type(classifier.tokenizer).__name__
    return {
        "tokenizer_class": _ANY.get(name, name),
        "model_max_length": classifier.max_length,
        "padding_side": "right",
        "truncation_side": classifier.tokenizer.truncation_side,
        "model_input_names": inputs_of(classifier),
    }


def _batching(tokenizer: Any, max_length: int) -> dict[str, Any]:
    """The same for tokenizer.json, in the words of the tokenizers library."""
    side = tokenizer.truncation_side.capitalize()
    return {
        "truncation": {"direction": side, "max_length": max_length, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": tokenizer.pad_token_id,
            "pad_type_id": 0, "pad_token": tokenizer.pad_token,
        },
    }  # fmt: skip


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes())) if path.exists() else {}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
