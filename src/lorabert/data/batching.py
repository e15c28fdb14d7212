"""The batch plan, a value: which rows meet in which step. Every engine consumes the same plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorabert.data.encoding import EncodedSplit


@dataclass(frozen=True)
class BatchPlan:
    """Row indices of every batch of every epoch.

    Attributes:
        epochs: one list an epoch, of one int64 array a batch; each epoch holds every row once.
    """

    epochs: list[list[np.ndarray]]

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return len(self.epochs[0])


def plan(lengths: np.ndarray, *, batch_size: int, num_epochs: int, seed: int, group_by_length: bool = False) -> BatchPlan:
    """Shuffle the rows anew each epoch and cut them into batches; the last batch of an epoch may be smaller.

    With `group_by_length` rows of like length meet: the shuffled rows are sorted by length within stretches of 50 batches,
    as the Trainer does, and the batches are shuffled again; less padding, but mini-batches that are less mixed.

    The order of an epoch depends on the seed and the epoch's number alone, so a resumed or a longer run sees the same.
    """
    epochs = []
    for epoch in range(num_epochs):
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(lengths))
        if group_by_length:
            stretches = np.split(order, range(50 * batch_size, len(order), 50 * batch_size))
            order = np.concatenate([rows[np.argsort(-lengths[rows], kind="stable")] for rows in stretches])
        batches = np.split(order, range(batch_size, len(order), batch_size))
        if group_by_length:
            batches = [batches[index] for index in generator.permutation(len(batches))]
        epochs.append(batches)
    return BatchPlan(epochs)


def share(rows: np.ndarray, lengths: np.ndarray, rank: int, size: int) -> np.ndarray:
    """The rows of a batch that process `rank` of `size` takes: every size-th by length, so that all have like many tokens."""
    return rows[np.argsort(-lengths[rows], kind="stable")][rank::size]


def by_length(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Batches of rows of like length, longest first: for prediction, where the order changes no answer."""
    order = np.argsort(-lengths, kind="stable")
    return np.split(order, range(batch_size, len(order), batch_size)) if len(order) else []


def padded_batch(split: EncodedSplit, rows: np.ndarray, pad_id: int) -> dict[str, np.ndarray]:
    """Gather rows into rectangles padded to the longest of them.

    Returns:
        input_ids, attention_mask and, for pairs, token_type_ids, each (batch, longest) int64; labels (batch,) int64.
    """
    lengths = split.lengths[rows]
    inside = np.arange(lengths.max())[None, :] < lengths[:, None]
    source = split.positions(rows)
    ids = np.full(inside.shape, pad_id, dtype=np.int64)
    ids[inside] = split.ids[source]
    batch = {"input_ids": ids, "attention_mask": inside.astype(np.int64), "labels": split.labels[rows]}
    if split.segments is not None:
        batch["token_type_ids"] = np.zeros(inside.shape, dtype=np.int64)
        batch["token_type_ids"][inside] = split.segments[source]
    return batch


def padding_share(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of the padded rectangles' cells that hold no token."""
    cells = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
    return 1 - float(sum(int(lengths[rows].sum()) for rows in batches)) / cells
