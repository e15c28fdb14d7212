"""The padding-free forward of the BERT family on one stream of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorabert.data.batching import PackedBatch, by_length, pack
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.packed.attention import Rectangles, attend
from lorabert.engine.packed.functions import add_norm, dropout
from lorabert.engine.packed.masks import Masks
from lorabert.engine.packed.reading import Projection, classifier_of, part, rate
from lorabert.errors import Unsupported
from lorabert.models.families import FAMILIES, Parts

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": F.relu, "gelu": F.gelu}


class PackedClassifier:
    """A sequence classifier's logits on packed batches; reads the live model, so what trains there shows here.

    Frozen weights are cast and joined once, when this is made; trained ones are read at every call. The last layer computes
    keys and values of all tokens, but all that follows only for the first token of each text: nothing else is read.

    Args:
        model: a model from `models.methods.apply`, or a plain Transformers classifier, on the device to compute on.
        dtype: of the matrix products.
        merged: add the adapters into the weights, for prediction.

    Raises:
        Unsupported: an architecture or a kind of adapter that this forward does not know.
    """

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32, *, merged: bool = False) -> None:
        classifier = classifier_of(model)
        parts = parts_of(classifier)
        base = part(classifier, parts.base)
        self.dtype = dtype
        self.device = next(classifier.parameters()).device
        self.embeddings = _Embeddings(base, parts, dtype, merged)
        layers = list(part(base, parts.layers))
        self.layers = [_Layer(layer, parts, dtype, merged, layer is layers[-1]) for layer in layers]
        self.heads = int(base.config.num_attention_heads)
        self.head = _Head(classifier, parts, merged)

    def __call__(self, batch: PackedBatch, generator: torch.Generator | None = None) -> Tensor:
        """Logits of the batch's texts in the batch's order, (n, C) float32.

        Args:
            batch: from `data.batching.pack`.
            generator: all dropout follows it; None for no dropout.
        """
        rectangles = Rectangles(batch, self.heads, self.device, self.dtype)
        offsets = torch.from_numpy(batch.offsets).to(self.device)
        masks = Masks(generator, self.dtype) if generator else None
        x = self.embeddings(batch, offsets, masks)
        for layer in self.layers:
            x = layer(x, rectangles, offsets[:-1], masks)
        return self.head(x.float(), Masks(generator, torch.float32) if generator else None)


def parts_of(classifier: Any) -> Parts:
    """What the packed forward needs to know of an architecture.

    Raises:
        Unsupported: it does not know the architecture, or not with these settings.
    """
    config = classifier.config
    family = FAMILIES.get(config.model_type)
    if family is None or family.parts is None:
        raise Unsupported(f"The fast engine does not know the architecture {config.model_type}")
    if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        raise Unsupported(f"The fast engine does not know {config.position_embedding_type} positions")
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise Unsupported("The fast engine knows encoders only")
    return family.parts


class _Embeddings:
    """Words + positions (+ token types), normalised, with dropout; projected where the family does that."""

    def __init__(self, base: Any, parts: Parts, dtype: torch.dtype, merged: bool) -> None:
        embeddings = part(base, "embeddings")
        self.words, self.positions = part(embeddings, "word_embeddings"), part(embeddings, "position_embeddings")
        self.types = part(embeddings, "token_type_embeddings") if hasattr(embeddings, "token_type_embeddings") else None
        self.norm, self.p, self.dtype = part(embeddings, "LayerNorm"), rate(embeddings, "dropout"), dtype
        self.padding: int | None = int(base.config.pad_token_id) if parts.position_past_padding else None
        self.projected = None
        if parts.projected and hasattr(base, parts.projected):
            self.projected = Projection([part(base, parts.projected)], dtype, merged=merged)

    def __call__(self, batch: PackedBatch, offsets: Tensor, masks: Masks | None) -> Tensor:
        """(T, hidden)."""
        ids = torch.from_numpy(batch.ids).to(offsets.device)
        positions = torch.from_numpy(batch.positions).to(offsets.device)
        if self.padding is not None:
            positions = _positions_past_padding(ids, positions, self.padding)
        total = self.words(ids) + self.positions(positions)
        if self.types is not None:
            none = torch.zeros_like(ids)
            total = total + self.types(none if batch.segments is None else torch.from_numpy(batch.segments).to(ids.device))
        x = add_norm(total, None, None, self.norm).to(self.dtype)
        x = dropout(x, masks.draw(tuple(x.shape), self.p) if masks else None)
        return x if self.projected is None else self.projected(x, masks)


def _positions_past_padding(ids: Tensor, positions: Tensor, padding: int) -> Tensor:
    """RoBERTa's positions: padding + 1, 2, ... over a text's tokens; a padding token inside a text takes `padding`."""
    real = ids.ne(padding).long()
    counted = torch.cumsum(real, 0)
    before_text = (counted - real).gather(0, torch.arange(len(ids), device=ids.device) - positions)
    return (counted - before_text) * real + padding


class _Layer:
    """One encoder layer: attention, then the feed-forward part, each added to its input and normalised."""

    def __init__(self, layer: Any, parts: Parts, dtype: torch.dtype, merged: bool, last: bool) -> None:
        def projection(*names: str) -> Projection:
            return Projection([part(layer, name) for name in names], dtype, merged=merged)

        self.first = projection(parts.query) if last else None
        self.rows = projection(parts.key, parts.value) if last else projection(parts.query, parts.key, parts.value)
        self.mixed, self.widened, self.narrowed = (projection(name) for name in (parts.mixed, parts.widened, parts.narrowed))
        self.mixed_norm, self.narrowed_norm = part(layer, parts.mixed_norm), part(layer, parts.narrowed_norm)
        self.activation = part(layer, parts.activation)
        self.attention_p = rate(layer, parts.attention_dropout)
        self.mixed_p, self.narrowed_p = rate(layer, parts.mixed_dropout), rate(layer, parts.narrowed_dropout)

    def __call__(self, x: Tensor, rectangles: Rectangles, firsts: Tensor, masks: Masks | None) -> Tensor:
        """(T, hidden) to (T, hidden); the last layer to (n, hidden) of the texts' first tokens, which `firsts` counts."""
        asking = x if self.first is None else x.index_select(0, firsts)
        first = None if self.first is None else self.first(asking, masks)
        attended = attend(first, self.rows(x, masks), rectangles, self.attention_p, masks)
        y = self._add_norm(self.mixed(attended, masks), asking, self.mixed_p, self.mixed_norm, masks)
        wide = self.activation(self.widened(y, masks))
        return self._add_norm(self.narrowed(wide, masks), y, self.narrowed_p, self.narrowed_norm, masks)

    @staticmethod
    def _add_norm(u: Tensor, residual: Tensor, p: float, norm: nn.LayerNorm, masks: Masks | None) -> Tensor:
        return add_norm(u, residual, masks.draw(tuple(u.shape), p) if masks else None, norm)


class _Head:
    """The classification head on each text's first token, in fp32."""

    def __init__(self, classifier: Any, parts: Parts, merged: bool) -> None:
        self.steps: list[tuple[float, Projection, Callable[[Tensor], Tensor] | None]] = [
            (
                rate(classifier, step.dropout),
                Projection([part(classifier, step.linear)], torch.float32, merged=merged),
                _ACTIVATIONS[step.activation] if step.activation else None,
            )
            for step in parts.head
        ]

    def __call__(self, x: Tensor, masks: Masks | None) -> Tensor:
        """(n, hidden) to logits (n, C)."""
        for p, linear, activation in self.steps:
            x = linear(dropout(x, masks.draw(tuple(x.shape), p) if masks else None), masks)
            x = activation(x) if activation else x
        return x


@torch.inference_mode()
def logits(classifier: PackedClassifier, split: EncodedSplit, *, batch_size: int) -> np.ndarray:
    """Logits of every example, (n, C) float32, in the split's order; computed by length, longest first.

    Args:
        classifier: best made with `merged`.
        split: the examples.
        batch_size: texts in a batch; it changes the speed, not the answers.
    """
    batches = [pack(split, rows) for rows in by_length(split.lengths, batch_size)]
    answers = np.concatenate([classifier(batch).cpu().numpy() for batch in batches])
    return answers[np.argsort(np.concatenate([batch.rows for batch in batches]))]
