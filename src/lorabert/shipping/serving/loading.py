"""From an adapter's folder to what answers with it: files, base, labels and tokenizer checked, no model built."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from lorabert.data.reading import Vocabulary, trained_share
from lorabert.engine.multilora import Shared, read
from lorabert.engine.packed import Adapter
from lorabert.errors import InputError, MismatchError, Unsupported
from lorabert.models import bases
from lorabert.models.bases import Base
from lorabert.models.families import FAMILIES
from lorabert.shipping import claims, manifests

log = logging.getLogger(__name__)
_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, eq=False)
class Served:
    """One adapter in memory.

    Attributes:
        id: what it is called in answers.
        sha256: of its manifest, which fixes every byte of it.
        adapter: what the engine reads: A, B, scales and the head.
        labels: the classes in order.
        max_length: longest text in tokens.
        pairs: whether it labels pairs of texts.
        tokenizer: shared by the adapters that have the same one.
        bytes: of its weights.
        texts: a few fixed texts.
        logits: what it answered to them when it was saved, (texts, C) float32.
        vocabulary: which of the tokenizer's ids are unknown.
        unknown_share: of the tokens it was trained on.
    """

    id: str
    sha256: str
    adapter: Adapter
    labels: list[str]
    max_length: int
    pairs: bool
    tokenizer: Any
    bytes: int
    texts: list[str]
    logits: np.ndarray
    vocabulary: Vocabulary
    unknown_share: float


@contextmanager
def shareable(what: str) -> Iterator[None]:
    """Refuse what the engine does not know, or what has changed the base itself, with the way that is left."""
    try:
        yield
    except Unsupported as unknown:
        fix = "`lorabert export` makes a plain model of an adapter, which other servers take"
        raise InputError(f"{what} cannot be served", got=unknown.why, fix=fix) from None


class Loader:
    """Reads adapters of one base.

    Args:
        base: the base in memory.
        model: the classifier that it was loaded into, by which a tokenizer's fit is checked.
        shared: the engine's forward on that base.
    """

    def __init__(self, base: Base, model: Any, shared: Shared) -> None:
        self._base, self._model, self._shared = base, model, shared
        self._tokenizers: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def load(self, name: str, folder: Path) -> Served:
        """Read an adapter.

        Raises:
            InputError: it is none, or one that the engine does not know.
            MismatchError: a file was changed, or it belongs to another base.
        """
        try:
            return self._load(name, folder)
        except InputError:
            raise
        except Exception as error:
            log.warning("the adapter %s cannot be read: %r", ascii(name), error)
            raise InputError(f"The adapter {name!a} cannot be read", got=type(error).__name__) from error

    def _load(self, name: str, folder: Path) -> Served:
        manifest = manifests.manifest_of(folder)
        problems = manifests.differences(folder, manifest)
        problems += manifests.base_problems(manifest["base"], self._base)
        if problems:
            raise MismatchError(f"The adapter {name!a}", problems)
        logits = np.array(manifest["fingerprint"]["logits"], np.float32)
        labels = labels_of(manifest)
        texts = [str(text) for text in manifest["fingerprint"]["texts"]]
        if not texts:
            raise MismatchError(f"The adapter {name!a}", ["no answers were recorded with it to check it by"])
        claims.check(folder, len(labels))
        with shareable(f"The adapter {name!a}"):
            adapter = read(folder, self._shared)
        if wrong := misfits(adapter, self._model, len(labels)):
            raise MismatchError(f"The adapter {name!a}", wrong)
        tokenizer = self._tokenizer(folder, manifest)
        return Served(
            id=name,
            sha256=manifest["manifest_sha256"],
            adapter=self._shared.base.ready(adapter),
            labels=labels,
            max_length=int(manifest["max_length"]),
            pairs=labels_pairs(manifest),
            tokenizer=tokenizer,
            bytes=(folder / _WEIGHTS).stat().st_size,
            texts=texts,
            logits=logits,
            vocabulary=Vocabulary(tokenizer),
            unknown_share=trained_share(manifest.get("data")),
        )

    def _tokenizer(self, folder: Path, manifest: dict[str, Any]) -> Any:
        """The adapter's tokenizer; adapters of one base have the same files, and reading them takes far longer than weights."""
        files = {file.name: manifest["files"][file.name]["sha256"] for file in bases.tokenizer_files(folder)}
        key = json.dumps(files, sort_keys=True)
        tokenizer = self._tokenizers.get(key)
        if tokenizer is None:
            tokenizer = self._tokenizers[key] = bases.load_tokenizer(folder)
        bases.check_fit(tokenizer, self._model, manifest["max_length"], pairs=labels_pairs(manifest))
        if manifest["max_length"] <= tokenizer.num_special_tokens_to_add(labels_pairs(manifest)):
            raise InputError("An adapter whose texts have no room for a word", got=f"max_length {manifest['max_length']}")
        return tokenizer


def misfits(adapter: Adapter, model: Any, classes: int) -> list[str]:
    """What in an adapter's tensors does not fit the base and the labels, a sentence each; a forward must not find out."""
    parts = FAMILIES[model.config.model_type].parts
    last = parts.head[-1].linear if parts else ""
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = []
    for name, low in adapter.low_ranks.items():
        layer, rank = model.get_submodule(name), len(low.a)
        expected += [(f"A of {name}", low.a, (rank, layer.in_features)), (f"B of {name}", low.b, (layer.out_features, rank)),
                     (f"the magnitude of {name}", low.magnitude, (layer.out_features,))]  # fmt: skip
    for name, (weight, bias) in adapter.head.items():
        layer = model.get_submodule(name)
        out = classes if name == last else layer.out_features
        expected += [(f"the weight of {name}", weight, (out, layer.in_features)), (f"the bias of {name}", bias, (out,))]
    there = [(what, tensor, shape) for what, tensor, shape in expected if tensor is not None]
    misshapen = [f"{what} has the shape {tuple(tensor.shape)}, not {shape}" for what, tensor, shape in there
                 if tuple(tensor.shape) != shape]  # fmt: skip
    return misshapen + [f"{what} is not finite" for what, tensor, _ in there if not torch.isfinite(tensor).all()]


def labels_of(manifest: dict[str, Any]) -> list[str]:
    """The classes in order."""
    return [str(label) for label in manifest["labels"]]


def labels_pairs(manifest: dict[str, Any]) -> bool:
    """Whether an adapter was trained on pairs of texts."""
    data = manifest.get("data")
    columns = data.get("columns") if isinstance(data, dict) else None
    return isinstance(columns, dict) and bool(columns.get("text_pair"))
