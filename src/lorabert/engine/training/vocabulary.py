"""The rows of the word embeddings that a run can change: those of the words in its texts.

A word that no text of the run has gets a gradient of zero at every step, and AdamW leaves a weight alone whose gradients have all
been zero: its moments are zero, and so is its step. So a run that trains the word embeddings trains a matrix of its own words
alone, in which they have other numbers, and the rest is put back beside them at the end:

    all words     0 1 2 3 4 5 6 7 8 9       (V, hidden)
    of its texts  0   2 3     6   8         (v, hidden), numbered 0 1 2 3 4

What it saves is the gradient, the moments and the step of the other rows: on small data, most of all that is trained. With weight
decay every row moves, so all are trained.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from lorabert.config import TrainConfig
from lorabert.data.encoding import EncodedSplit


class Vocabulary:
    """The words of some texts, while a run trains on them.

    Args:
        words: the embeddings; their matrix is the small one until `put_back`.
        splits: all texts that the run reads.
        settings: the Trainer's words.
    """

    def __init__(self, words: nn.Embedding, splits: list[EncodedSplit], settings: TrainConfig) -> None:
        self.words, self.whole = words, words.weight
        self.kept: np.ndarray | None = None
        if not self.whole.requires_grad or settings.weight_decay:
            return
        # The numbers up to that of padding stay: it gets no gradient, and some families count positions by it.
        first = np.arange((words.padding_idx or 0) + 1)
        self.kept = np.unique(np.concatenate([first, *(split.ids for split in splits)]))
        rows = torch.from_numpy(self.kept).to(self.whole.device)
        words.weight = nn.Parameter(self.whole.detach()[rows])

    def renumber(self, split: EncodedSplit) -> EncodedSplit:
        """The split in the numbers of the small matrix."""
        if self.kept is None:
            return split
        return dataclasses.replace(split, ids=np.searchsorted(self.kept, split.ids).astype(split.ids.dtype))

    def put_back(self) -> None:
        """Write what was trained into the whole matrix, and give it back its place."""
        if self.kept is None:
            return
        rows = torch.from_numpy(self.kept).to(self.whole.device)
        with torch.no_grad():
            self.whole[rows] = self.words.weight.detach().to(self.whole.device)
        self.words.weight, self.kept = self.whole, None
