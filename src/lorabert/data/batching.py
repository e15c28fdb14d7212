"""The batch plan, a value: which rows meet in which step. Every engine consumes the same plan."""

from __future__ import annotations

from collections.abc import Iterator
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


@dataclass(frozen=True)
class Block:
    """Consecutive texts of a packed batch, of like length, that attend in one rectangle of cells.

    Attributes:
        first, last: the texts are numbers first to last - 1 of the packed batch.
        begin, end: their cells are begin to end - 1 of all rectangles' cells.
        longest: tokens of the longest of them, the width of the rectangle.
    """

    first: int
    last: int
    begin: int
    end: int
    longest: int


@dataclass(frozen=True)
class PackedBatch:
    """A batch as one stream of tokens, longest text first.

        ids        [101 2023 2003 102 | 101 2204 102 | 101 102]
        positions  [  0    1    2   3 |   0    1   2 |   0   1]
        segments   [  0    0    0   0 |   0    0   0 |   0   0]   pairs only
        offsets    [0                   4              7        9]

    Attributes:
        ids: (tokens,) int64.
        positions: (tokens,) int64, of each token in its text.
        segments: (tokens,) int64 token types, or None.
        offsets: text i is ids[offsets[i]:offsets[i + 1]], (n + 1,) int64.
        labels: (n,) int64.
        rows: (n,) the split's row that each text is.
        blocks: the rectangles in which attention is computed.
        cells: (tokens,) int64, the cell of each token; None when every cell holds one, in the stream's order.
    """

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray | None
    offsets: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    blocks: tuple[Block, ...]
    cells: np.ndarray | None


def pack(split: EncodedSplit, rows: np.ndarray, block_ratio: float = 0.75) -> PackedBatch:
    """Gather rows into one stream, longest first: the order inside a batch changes neither its loss nor its gradients.

    Args:
        split: where the rows are.
        rows: (n,) the batch.
        block_ratio: a text shorter than this share of its block's longest opens the next block.
    """
    rows = rows[np.argsort(-split.lengths[rows], kind="stable")]
    lengths = split.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    source = split.positions(rows)
    positions = source - np.repeat(split.offsets[rows], lengths)
    blocks = tuple(_blocks(lengths, block_ratio))
    starts = np.concatenate([np.arange(block.begin, block.end, block.longest) for block in blocks])
    return PackedBatch(
        ids=split.ids[source].astype(np.int64),
        positions=positions,
        segments=None if split.segments is None else split.segments[source].astype(np.int64),
        offsets=offsets,
        labels=split.labels[rows],
        rows=rows,
        blocks=blocks,
        cells=None if blocks[-1].end == len(source) else positions + np.repeat(starts, lengths),
    )


def _blocks(lengths: np.ndarray, ratio: float) -> Iterator[Block]:
    first = begin = 0
    while first < len(lengths):
        longest = int(lengths[first])
        last = first + int(np.sum(lengths[first:] >= ratio * longest))
        end = begin + (last - first) * longest
        yield Block(first, last, begin, end, longest)
        first, begin = last, end


def padding_share(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of the padded rectangles' cells that hold no token."""
    cells = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
    return 1 - float(sum(int(lengths[rows].sum()) for rows in batches)) / cells
