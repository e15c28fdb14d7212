"""Packed batches: the texts of a batch as one stream of tokens, of one adapter or of several, without padding between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorabert.data.encoding import EncodedSplit


@dataclass(frozen=True)
class Layout:
    """How a batch is laid out.

    Attributes:
        block_ratio: a text shorter than this share of its block's longest opens the next block.
        width: the rectangle of a block is a multiple of this wide.
        grain: tokens of an adapter's part come in multiples of this.
    """

    block_ratio: float
    width: int
    grain: int

    def fillers(self, tokens: int) -> int:
        """How many fillers follow so many tokens of a part, at least one."""
        return self.grain - tokens % self.grain


# Each new number of rows costs a CPU's matrix library a kernel of its own, a millisecond for every product, while a few rows
# more cost nothing.
CLOSE = Layout(block_ratio=0.75, width=1, grain=32)
# A GPU has more rows than it needs, and repeats without being told what it has done before: batches of few forms.
ALIKE = Layout(block_ratio=0.0, width=32, grain=256)


@dataclass(frozen=True)
class Block:
    """Consecutive texts of a packed batch, of like length, that attend in one rectangle of cells.

    Attributes:
        first, last: the texts are numbers first to last - 1 of the packed batch.
        begin, end: their cells are begin to end - 1 of all rectangles' cells.
        longest: tokens of the longest of them, and with some layouts a few more: the width of the rectangle.
        full: whether every cell holds a token.
    """

    first: int
    last: int
    begin: int
    end: int
    longest: int
    full: bool


@dataclass(frozen=True)
class Part:
    """One adapter's part of a packed batch: its tokens, its texts and its blocks each stand together."""

    tokens: slice
    texts: slice
    blocks: slice


@dataclass(frozen=True)
class Stream:
    """Texts as one stream of tokens, longest first, then fillers; of several adapters, one part after the other.

        ids        [101 2023 2003 102 | 101 2204 102 | 101 102 | 0 0 0]
        positions  [  0    1    2   3 |   0    1   2 |   0   1 | 0 0 0]
        segments   [  0    0    0   0 |   0    0   0 |   0   0 | 0 0 0]   pairs only
        starts     [0                   4              7        ]
        lengths    [4                   3              2        ]

    The last part ends with at least one filler, a token of no text that nothing reads; so do the others of a training batch.

    Attributes:
        ids: (tokens,) int64.
        positions: (tokens,) int64, of each token in its text.
        segments: (tokens,) int64 token types, or None.
        starts, lengths: text i is ids[starts[i]:starts[i] + lengths[i]], each (n,) int64.
        labels: (n,) int64.
        rows: (n,) the split's row that each text is.
        parts: of each adapter.
    """

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray | None
    starts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class PackedBatch(Stream):
    """A stream whose texts stand in the cells of rectangles, in which attention is computed.

    Attributes:
        blocks: the rectangles.
        cells: (tokens,) int64, the cell of each token; all fillers share one cell, past the rectangles.
        tokens: (cells,) int64, the token in each cell; a filler where there is none.
        order: (n,) the texts as the blocks take them; None when that is the batch's own order.
    """

    blocks: tuple[Block, ...]
    cells: np.ndarray
    tokens: np.ndarray
    order: np.ndarray | None

    @property
    def form(self) -> Hashable:
        """Equal for batches that differ in their numbers alone: every step on one of them has the shapes it has on the other."""
        parts = tuple((part.tokens.stop, part.texts.stop, part.blocks.stop) for part in self.parts)
        return len(self.ids), self.segments is None, self.order is None, parts, self.blocks


def pack(split: EncodedSplit, rows: np.ndarray, layout: Layout = CLOSE) -> PackedBatch:
    """Gather rows into one stream, longest first: the order inside a batch changes neither its loss nor its gradients.

    Args:
        split: where the rows are.
        rows: (n,) the batch.
        layout: how its texts share blocks, and how many fillers follow them.
    """
    rows = rows[np.argsort(-split.lengths[rows], kind="stable")]
    lengths = split.lengths[rows]
    source = split.positions(rows)
    blocks = tuple(_blocks(lengths, layout))
    end = len(source) + layout.fillers(len(source))
    stream = Stream(
        ids=split.ids[source].astype(np.int64),
        positions=source - np.repeat(split.offsets[rows], lengths),
        segments=None if split.segments is None else split.segments[source].astype(np.int64),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        labels=split.labels[rows],
        rows=rows,
        parts=(Part(slice(0, end), slice(0, len(rows)), slice(0, len(blocks))),),
    )
    return _placed(_filled(stream, end - len(source)), blocks)


def _grain(tokens: int) -> int:
    """What the tokens of several parts come in multiples of: the power of two that is at most a sixteenth of them."""
    return int(max(CLOSE.grain, 2 ** (int(tokens / 16).bit_length() - 1)))


def join(batches: Sequence[PackedBatch]) -> PackedBatch:
    """Lay the batches of several adapters one after the other; each keeps the blocks, and so the dropout, that it has alone.

    Sums of many parts take many values, and kernels for all of them would fill the memory, so more fillers follow, of no part.
    """
    if len(batches) == 1:
        return batches[0]
    joined = _laid_out(batches, np.cumsum([0, *(len(batch.blocks) for batch in batches)]))
    joined = _filled(joined, -len(joined.ids) % _grain(len(joined.ids)))
    cells = np.cumsum([0, *(batch.blocks[-1].end for batch in batches)]).tolist()
    moved = tuple(
        _moved(block, part.texts.start, cell)
        for batch, part, cell in zip(batches, joined.parts, cells, strict=False)
        for block in batch.blocks
    )
    return _placed(joined, moved)


def merge(batches: Sequence[PackedBatch]) -> PackedBatch:
    """Lay the batches of several adapters one after the other, in blocks that texts of all of them share.

    Fewer blocks than `join` makes, and fillers at the end alone: for prediction, where no dropout has to be drawn as it would be
    for an adapter alone.
    """
    if len(batches) == 1:
        return batches[0]
    joined = _laid_out([_without_fillers(batch) for batch in batches], np.zeros(len(batches) + 1, np.int64))
    joined = _filled(joined, CLOSE.fillers(len(joined.ids)))
    order = np.argsort(-joined.lengths, kind="stable")
    return _placed(joined, tuple(_blocks(joined.lengths[order], CLOSE)), order)


def _filled(stream: Stream, count: int) -> Stream:
    """The stream with so many fillers at its end."""
    empty = np.zeros(count, np.int64)
    return dataclasses.replace(
        stream,
        ids=np.concatenate([stream.ids, empty]),
        positions=np.concatenate([stream.positions, empty]),
        segments=None if stream.segments is None else np.concatenate([stream.segments, empty]),
    )


def _without_fillers(batch: Stream) -> Stream:
    """The stream of one adapter, up to the end of its last text."""
    end = int(batch.lengths.sum())
    segments = None if batch.segments is None else batch.segments[:end]
    return dataclasses.replace(batch, ids=batch.ids[:end], positions=batch.positions[:end], segments=segments)


def _laid_out(batches: Sequence[Stream], blocks: np.ndarray) -> Stream:
    """The batches' texts one after the other."""
    tokens = np.cumsum([0, *(len(batch.ids) for batch in batches)])
    texts = np.cumsum([0, *(len(batch.rows) for batch in batches)])
    paired = any(batch.segments is not None for batch in batches)
    return Stream(
        ids=np.concatenate([batch.ids for batch in batches]),
        positions=np.concatenate([batch.positions for batch in batches]),
        segments=np.concatenate([_or_zeros(batch.segments, batch.ids) for batch in batches]) if paired else None,
        starts=np.concatenate([batch.starts + start for batch, start in zip(batches, tokens, strict=False)]),
        lengths=np.concatenate([batch.lengths for batch in batches]),
        labels=np.concatenate([batch.labels for batch in batches]),
        rows=np.concatenate([batch.rows for batch in batches]),
        parts=tuple(Part(*(slice(int(at[k]), int(at[k + 1])) for at in (tokens, texts, blocks))) for k in range(len(batches))),
    )


def _placed(stream: Stream, blocks: tuple[Block, ...], order: np.ndarray | None = None) -> PackedBatch:
    """Say which token stands in which cell."""
    lengths = stream.lengths
    begins = np.empty(len(lengths), np.int64)
    begins[slice(None) if order is None else order] = _begins(blocks)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    texts = within + np.repeat(stream.starts, lengths)
    cells = np.full(len(stream.ids), blocks[-1].end)
    cells[texts] = within + np.repeat(begins, lengths)
    tokens = np.full(blocks[-1].end + 1, len(stream.ids) - 1)
    tokens[cells[texts]] = texts
    fields = {field.name: getattr(stream, field.name) for field in dataclasses.fields(Stream)}
    return PackedBatch(**fields, blocks=blocks, cells=cells, tokens=tokens, order=order)


def _begins(blocks: Sequence[Block]) -> np.ndarray:
    """The first cell of each text, (n,)."""
    return np.concatenate([np.arange(block.begin, block.end, block.longest) for block in blocks])


def _or_zeros(segments: np.ndarray | None, ids: np.ndarray) -> np.ndarray:
    return np.zeros_like(ids) if segments is None else segments


def _moved(block: Block, texts: int, cells: int) -> Block:
    return Block(block.first + texts, block.last + texts, block.begin + cells, block.end + cells, block.longest, block.full)


def _blocks(lengths: np.ndarray, layout: Layout) -> Iterator[Block]:
    first = begin = 0
    while first < len(lengths):
        longest = int(lengths[first])
        last = first + int(np.sum(lengths[first:] >= layout.block_ratio * longest))
        longest += -longest % layout.width
        end = begin + (last - first) * longest
        yield Block(first, last, begin, end, longest, full=bool(lengths[last - 1] == longest))
        first, begin = last, end
