"""Every example once, in the original order; and a Classifier that takes texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lorabert.config import Device
from lorabert.data.batching import by_length, padded_batch
from lorabert.data.encoding import EncodedSplit, encode_split
from lorabert.data.sources import Split
from lorabert.data.texts import Texts, paired
from lorabert.engine.packed import DTYPES, PackedClassifier, logits
from lorabert.errors import Unsupported
from lorabert.evidence.metrics import softmax
from lorabert.hardware import Placement

FP32_CPU = Placement("cpu", "fp32", "answers that are the same bit for bit next year")


@dataclass(frozen=True)
class Prediction:
    """One text's answer: the most probable label, its probability, and the probability of each label."""

    label: str
    score: float
    scores: dict[str, float]


def packed_forward(model: Any, precision: str = "fp32") -> PackedClassifier | None:
    """The packed forward of a model as it is now, its adapter merged; None for an architecture that it does not know."""
    try:
        return PackedClassifier(model.cpu().eval(), DTYPES[precision], merged=True)
    except Unsupported:
        return None


def _packed(forward: PackedClassifier, model: Any, split: EncodedSplit, batch_size: int, desc: str) -> np.ndarray:
    if not len(split):
        return np.empty((0, model.config.num_labels), np.float32)
    with _bar(split, desc) as bar:
        return logits(forward, split, batch_size=batch_size, done=bar.update)


def predict_padded(model: Any, split: EncodedSplit, *, pad_id: int, batch_size: int, placement: Placement = FP32_CPU,
                   desc: str = "Predicting") -> np.ndarray:  # fmt: skip
    """Logits of every example, (n, C) float32, in the split's order, by the model's own forward, padded.

    That is Transformers and PEFT alone, which everybody else would use. The model is left on the CPU, in eval mode.
    """
    if not len(split):
        return np.empty((0, model.config.num_labels), np.float32)
    return forward_padded(model, split, lambda batch: model(**batch).logits, pad_id, batch_size, placement, desc)


def forward_padded(model: Any, split: EncodedSplit, compute: Callable[[dict[str, torch.Tensor]], torch.Tensor], pad_id: int,
                   batch_size: int, placement: Placement, desc: str) -> np.ndarray:  # fmt: skip
    """What is computed of each padded batch, (n, ...) float32, rows of like length together, results in the original order.

    The model is left on the CPU, in eval mode.
    """
    model.eval().to(placement.device)
    results: list[Any] = [None] * len(split)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(placement.precision)
    arithmetic = torch.autocast(placement.device, half) if half else nullcontext()
    with torch.inference_mode(), arithmetic, _bar(split, desc) as bar:
        for rows in by_length(split.lengths, batch_size):
            batch = padded_batch(split, rows, pad_id)
            del batch["labels"]
            outputs = compute({name: torch.from_numpy(values).to(placement.device) for name, values in batch.items()})
            for row, output in zip(rows, outputs.float().cpu().numpy(), strict=True):
                results[row] = output
            bar.update(len(rows))
    model.cpu()
    return np.stack(results)


def _bar(split: EncodedSplit, desc: str) -> Any:
    hidden: dict[str, Any] = {"disable": True} if len(split) < 500 else {}  # otherwise TQDM_DISABLE decides
    return tqdm(total=len(split), desc=desc, unit="text", **hidden)


class Classifier:
    """A model, its tokenizer and its labels: texts in, labels and probabilities out.

    Attributes:
        model: a sequence classifier.
        tokenizer: the base's tokenizer.
        label_names: the classes in order.
        max_length: longest text in tokens.
        device: where it can compute; auto is wherever PyTorch can.
    """

    device: Device = "auto"

    def __init__(self, model: Any, tokenizer: Any, label_names: Sequence[str], max_length: int) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.label_names, self.max_length = list(label_names), max_length
        self._forwards: dict[str, PackedClassifier | None] = {}

    def encode(self, split: Split) -> EncodedSplit:
        """Tokenise labelled or unlabelled texts as in training."""
        return encode_split(split, self.tokenizer, self.max_length)

    def logits(self, texts: Texts, pairs: Texts | None = None, batch_size: int = 32,
               placement: Placement = FP32_CPU) -> np.ndarray:  # fmt: skip
        """Logits of each text, (n, C) float32; one string is one text.

        Raises:
            TypeError: something is no string, see `data.texts.listed`.
            ValueError: there are not as many second texts as texts.
        """
        firsts, seconds = paired(texts, pairs)
        split = self.encode(Split(firsts, seconds, np.zeros(len(firsts), np.int64)))
        return self.logits_of(split, batch_size=batch_size, placement=placement)

    def logits_of(self, split: EncodedSplit, *, batch_size: int, placement: Placement = FP32_CPU) -> np.ndarray:
        """Logits of tokenised texts, (n, C) float32, in the split's order, whatever order they were computed in.

        On a CPU the packed forward answers, with the adapter merged, where it knows the architecture; elsewhere the model's own
        forward.
        """
        forward = self._forward(placement)
        if forward is None:
            return predict_padded(
                self.model, split, pad_id=self.tokenizer.pad_token_id, batch_size=batch_size, placement=placement
            )
        return _packed(forward, self.model, split, batch_size, "Predicting")

    def _forward(self, placement: Placement) -> PackedClassifier | None:
        """Made once for each precision: joining and merging weights takes longer than a text."""
        if placement.device != "cpu":
            return None
        if placement.precision not in self._forwards:
            self._forwards[placement.precision] = packed_forward(self.model, placement.precision)
        return self._forwards[placement.precision]

    def plain_logits(self, split: EncodedSplit, *, batch_size: int) -> np.ndarray:
        """Logits of tokenised texts by the model's own forward, (n, C) float32, on the CPU in fp32.

        They are what plain PEFT or Transformers gives, bit for bit on one machine.
        """
        return predict_padded(self.model, split, pad_id=self.tokenizer.pad_token_id, batch_size=batch_size)

    def predict(self, texts: Texts, pairs: Texts | None = None, placement: Placement = FP32_CPU) -> list[Prediction]:
        """The label of each text, with the probability of every label: a list, of one answer where one string was given.

        Raises:
            TypeError: something is no string, see `data.texts.listed`.
            ValueError: there are not as many second texts as texts.
        """
        return [
            Prediction(
                self.label_names[int(row.argmax())],
                float(row.max()),
                dict(zip(self.label_names, row.tolist(), strict=True)),
            )
            for row in softmax(self.logits(texts, pairs, placement=placement))
        ]
