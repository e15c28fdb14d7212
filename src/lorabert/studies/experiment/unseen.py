"""How long the course would take on this machine, measured on steps of its base's shapes: nothing of it needs to be there."""

from __future__ import annotations

from typing import Any

import numpy as np

from lorabert import hardware
from lorabert.config import RunConfig, decided
from lorabert.data import hub
from lorabert.data.encoding import EncodedSplit
from lorabert.data.sources import SPLITS
from lorabert.models import methods
from lorabert.models.bases import LoadedBase
from lorabert.studies.experiment.foreseeing import Foreseen, measured, work_of

# SST-2 as the hub has it: 67,349 phrases and sentences to train on, 872 to validate; its own test split has no labels. In the
# tokens of bert-base-uncased the phrases are 13 long and the sentences 25, the two special tokens included.
_EXAMPLES = {"train": 60_614, "validation": 6_735, "test": 872}
_TOKENS = {"train": 13.0, "validation": 13.0, "test": 25.0}
_SHORTEST, _TEXTS = 4, 128


def course(settings: RunConfig) -> Foreseen:
    """A few steps of the course's configuration on random weights and random ids.

    The base's shapes come from its config.json where that is in the cache, else they are those of bert-base-uncased, which
    Transformers' own defaults are.

    Args:
        settings: the course's, with what was asked for besides, resolved.
    """
    texts = _texts(settings)
    model = methods.apply(_base(settings), settings.train.method, settings.lora)
    limit = settings.data.limit or max(_EXAMPLES.values())
    examples = {name: min(_EXAMPLES[name], limit) for name in SPLITS}
    placement = hardware.place(settings.train)
    return measured(model, texts, settings, placement, work_of(settings, examples, _TOKENS), pad_id=0)


def _base(settings: RunConfig) -> LoadedBase:
    """A classifier of the base's shapes, whose weights are one draw of numbers again and again: to draw all takes seconds."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig

    known = hub.cached_file(settings.model.name, "config.json")
    shapes = AutoConfig.from_pretrained(known, trust_remote_code=False) if known else BertConfig()
    with torch.device("meta"):
        model: Any = AutoModelForSequenceClassification.from_config(shapes, trust_remote_code=False)
    model = model.to_empty(device="cpu")
    drawn = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)) * 0.02
    with torch.no_grad():
        for tensor in model.parameters():
            for piece in tensor.flatten().split(len(drawn)):
                piece.copy_(drawn[: len(piece)])
        for name, tensor in model.named_buffers():
            counts = name.endswith("position_ids")
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) if counts else torch.zeros(()))
    return LoadedBase(model.float().eval(), ["classifier.weight", "classifier.bias"])


def _texts(settings: RunConfig) -> EncodedSplit:
    """Random ids of texts of many lengths, most of them short, with the course's mean."""
    generator = np.random.default_rng(0)
    mean, longest = _TOKENS["train"], decided(settings.model.max_length)
    lengths = np.minimum(_SHORTEST + generator.exponential(mean - _SHORTEST, _TEXTS).round(), longest).astype(np.int64)
    ids = generator.integers(5, 25, int(lengths.sum())).astype(np.int32)
    return EncodedSplit(ids, np.concatenate([[0], np.cumsum(lengths)]), None, generator.integers(0, 2, _TEXTS), 0)
