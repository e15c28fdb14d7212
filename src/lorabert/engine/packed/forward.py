"""The padding-free forward of the BERT family on one stream of tokens, with one adapter or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorabert.data.batching import by_length
from lorabert.data.encoding import EncodedSplit
from lorabert.data.packing import ALIKE, CLOSE, PackedBatch, pack
from lorabert.engine.packed.attention import attend
from lorabert.engine.packed.inputs import Entering, Inputs
from lorabert.engine.packed.masks import Bits
from lorabert.engine.packed.pointwise import add_norm, dropout
from lorabert.engine.packed.projection import Projection
from lorabert.engine.packed.reading import Adapter, adapter_in, has, layers_of, parts_of, rate
from lorabert.engine.packed.rows import Rows
from lorabert.models.families import HeadStep, Parts
from lorabert.models.heads import ACTIVATIONS
from lorabert.models.wrapped import classifier_of, part

# Of the matrix products, by the name of a precision.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class PackedBase:
    """A base's forward on packed batches in which each part of the batch carries an adapter of its own.

    Frozen weights are cast and joined once, when this is made; trained ones are read at every call. The last layer computes
    keys and values of all tokens, but all that follows only for the first token of each text: nothing else is read.

    Args:
        classifier: a Transformers classifier, PEFT's wrappers inside it or not, on the device to compute on.
        dtype: of the matrix products.
        merged: an adapter to add into the weights, for prediction; the adapters of the calls then have nothing to add.

    Raises:
        Unsupported: an architecture that this forward does not know.
    """

    def __init__(self, classifier: Any, dtype: torch.dtype = torch.float32, *, merged: Adapter | None = None) -> None:
        parts = parts_of(classifier)
        base = part(classifier, parts.base)
        self.dtype = dtype
        self.device = next(classifier.parameters()).device
        self.embeddings = _Embeddings(classifier, parts, dtype, merged)
        *names, last = layers_of(classifier, parts)
        # A layer that is used several times is cast and joined once.
        made = {name: _Layer(classifier, name, parts, dtype, merged, last=False) for name in dict.fromkeys(names)}
        self.layers = [*(made[name] for name in names), _Layer(classifier, last, parts, dtype, merged, last=True)]
        self.heads = int(base.config.num_attention_heads)
        self.layout = CLOSE if self.device.type == "cpu" else ALIKE
        self.head = [_HeadLayer(classifier, step, merged) for step in parts.head]

    def inputs(self, batch: PackedBatch, entering: Entering | None = None) -> Inputs:
        """A batch from `data.packing.pack` for one adapter, `join` or `merge` for several, on the base's device."""
        return Inputs.of(batch, self.heads, self.device, self.dtype, entering)

    def __call__(self, inputs: Inputs, adapters: Sequence[Adapter], streams: Sequence[Bits] | None = None) -> list[Tensor]:
        """Logits of each adapter's texts in the batch's order, (n, C) float32.

        Args:
            inputs: of a batch.
            adapters: of each part.
            streams: of each part, all its dropout follows its own; None for no dropout.
        """
        batch = inputs.batch
        tokens = Rows(adapters, [part.tokens for part in batch.parts], streams, self.dtype, len(batch.ids))
        texts = Rows(adapters, [part.texts for part in batch.parts], streams, self.dtype, len(batch.rows))
        known = inputs.entering
        x = self.embeddings(inputs, tokens) if known is None else known.states
        for layer in self.layers[0 if known is None else known.layer :]:
            x = layer(x, inputs, tokens, texts)
        exact = Rows(adapters, texts.stretches, streams, torch.float32, texts.count)
        return [self._classify(x[stretch].float(), exact.alone(number)) for number, stretch in enumerate(texts.stretches)]

    @torch.no_grad()
    def below(self, inputs: Inputs, layer: int) -> Tensor:
        """What enters a layer, not the first, of a batch of one part: (T, hidden), with no adapter and no dropout below."""
        tokens = Rows([Adapter({}, {})], [inputs.batch.parts[0].tokens], None, self.dtype, len(inputs.batch.ids))
        x = self.embeddings(inputs, tokens)
        for each in self.layers[:layer]:
            x = each(x, inputs, tokens, tokens)
        return x

    def ready(self, adapter: Adapter) -> Adapter:
        """The same adapter for answering only, with as little as possible left to do at every forward."""
        places = [place for layer in self.layers for place in layer.projections] + [layer.linear for layer in self.head]
        places += [self.embeddings.projected] if self.embeddings.projected else []
        made = [place.ready(adapter) for place in places]
        low_ranks = {name: low for found in made for name, low in found.low_ranks.items()}
        prepared = {name: own for found in made for name, own in found.prepared.items()}
        return Adapter(low_ranks, adapter.head, prepared)

    def _classify(self, x: Tensor, rows: Rows) -> Tensor:
        """One adapter's head, in fp32."""
        for layer in self.head:
            x = layer(x, rows)
        return x


class PackedClassifier:
    """One model's logits on packed batches; reads the live model, so what trains there shows here.

    Args:
        model: a model from `models.methods.apply`, or a plain Transformers classifier, on the device to compute on.
        dtype: of the matrix products.
        merged: add the adapter into the weights, for prediction.

    Raises:
        Unsupported: an architecture or a kind of adapter that this forward does not know.
    """

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32, *, merged: bool = False) -> None:
        adapter = adapter_in(model)
        self.base = PackedBase(classifier_of(model), dtype, merged=adapter if merged else None)
        self.adapter = Adapter({}, adapter.head) if merged else adapter

    def __call__(self, batch: PackedBatch, stream: Bits | None = None) -> Tensor:
        """Logits of the batch's texts in the batch's order, (n, C) float32; all dropout follows the stream."""
        return self.base(self.base.inputs(batch), [self.adapter], [stream] if stream else None)[0]


class _Embeddings:
    """Words + positions (+ token types), normalised, with dropout; projected where the family does that."""

    def __init__(self, classifier: Any, parts: Parts, dtype: torch.dtype, merged: Adapter | None) -> None:
        base = part(classifier, parts.base)
        embeddings = part(base, "embeddings")
        self.words, self.positions = part(embeddings, "word_embeddings"), part(embeddings, "position_embeddings")
        self.types = part(embeddings, "token_type_embeddings") if hasattr(embeddings, "token_type_embeddings") else None
        self.norm, self.p, self.dtype = part(embeddings, "LayerNorm"), rate(embeddings, "dropout"), dtype
        self.padding: int | None = int(base.config.pad_token_id) if parts.position_past_padding else None
        self.projected = None
        if parts.projected and has(base, parts.projected):
            self.projected = Projection(classifier, [f"{parts.base}.{parts.projected}"], dtype, merged)

    def __call__(self, inputs: Inputs, rows: Rows) -> Tensor:
        """(T, hidden)."""
        ids, positions = inputs.ids, inputs.positions
        if self.padding is not None:
            positions = _positions_past_padding(ids, positions, self.padding)
        total = self.words(ids) + self.positions(positions)
        if self.types is not None:
            total = total + self.types(torch.zeros_like(ids) if inputs.segments is None else inputs.segments)
        x = add_norm(total, None, None, self.norm).to(self.dtype)
        x = dropout(x, rows.mask(x.shape[1], self.p))
        return x if self.projected is None else self.projected(x, rows)


def _positions_past_padding(ids: Tensor, positions: Tensor, padding: int) -> Tensor:
    """RoBERTa's positions: padding + 1, 2, ... over a text's tokens; a padding token inside a text takes `padding`."""
    real = ids.ne(padding).long()
    counted = torch.cumsum(real, 0)
    before_text = (counted - real).gather(0, torch.arange(len(ids), device=ids.device) - positions)
    return (counted - before_text) * real + padding


class _Layer:
    """One encoder layer: attention, then the feed-forward part, each added to its input and normalised."""

    def __init__(
        self, classifier: Any, name: str, parts: Parts, dtype: torch.dtype, merged: Adapter | None, *, last: bool
    ) -> None:
        def projection(*names: str) -> Projection:
            return Projection(classifier, [f"{name}.{part}" for part in names], dtype, merged)

        layer = part(classifier, name)
        self.first = projection(parts.query) if last else None
        self.states = projection(parts.key, parts.value) if last else projection(parts.query, parts.key, parts.value)
        self.mixed, self.widened, self.narrowed = (projection(part) for part in (parts.mixed, parts.widened, parts.narrowed))
        self.projections = [place for place in (self.first, self.states, self.mixed, self.widened, self.narrowed) if place]
        self.mixed_norm, self.narrowed_norm = part(layer, parts.mixed_norm), part(layer, parts.narrowed_norm)
        self.activation = part(layer, parts.activation)
        self.attention_p = rate(layer, parts.attention_dropout)
        self.mixed_p, self.narrowed_p = rate(layer, parts.mixed_dropout), rate(layer, parts.narrowed_dropout)

    def __call__(self, x: Tensor, inputs: Inputs, tokens: Rows, texts: Rows) -> Tensor:
        """(T, hidden) to (T, hidden); the last layer to (n, hidden) of the texts' first tokens."""
        asking, rows = (x, tokens) if self.first is None else (x.index_select(0, inputs.firsts), texts)
        first = None if self.first is None else self.first(asking, rows)
        attended = attend(first, self.states(x, tokens), inputs.places, self.attention_p, rows)
        y = self._add_norm(self.mixed(attended, rows), asking, self.mixed_p, self.mixed_norm, rows)
        wide = self.activation(self.widened(y, rows))
        return self._add_norm(self.narrowed(wide, rows), y, self.narrowed_p, self.narrowed_norm, rows)

    @staticmethod
    def _add_norm(u: Tensor, residual: Tensor, p: float, norm: nn.LayerNorm, rows: Rows) -> Tensor:
        return add_norm(u, residual, rows.mask(u.shape[1], p), norm)


class _HeadLayer:
    """One linear layer of the head on each text's first token: the adapter's own where it has one, else the base's."""

    def __init__(self, classifier: Any, step: HeadStep, merged: Adapter | None) -> None:
        self.name, self.p = step.linear, rate(classifier, step.dropout)
        self.linear = Projection(classifier, [step.linear], torch.float32, merged)
        self.activation = ACTIVATIONS[step.activation] if step.activation else None

    def __call__(self, x: Tensor, rows: Rows) -> Tensor:
        """(n, in) to (n, out) of one adapter's texts."""
        x = dropout(x, rows.mask(x.shape[1], self.p))
        own = rows.adapters[0].head.get(self.name)
        x = self.linear(x, rows) if own is None else F.linear(x, *own)
        return x if self.activation is None else self.activation(x)


@torch.inference_mode()
def logits(
    classifier: Callable[[PackedBatch], Tensor],
    split: EncodedSplit,
    *,
    batch_size: int,
    done: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Logits of every example, (n, C) float32, in the split's order; computed by length, longest first.

    Args:
        classifier: a PackedClassifier, best made with `merged`.
        split: the examples.
        batch_size: texts in a batch; it changes the speed, not the answers.
        done: called after each batch with its number of texts.
    """
    answers, rows = [], []
    for batch in (pack(split, some) for some in by_length(split.lengths, batch_size)):
        answers.append(classifier(batch).cpu().numpy())
        rows.append(batch.rows)
        if done:
            done(len(batch.rows))
    return np.concatenate(answers)[np.argsort(np.concatenate(rows))]
