"""Packed batches: every text once, where the batch says, with fillers after it; few forms where steps are recorded."""

import dataclasses
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from lorabert.data.encoding import EncodedSplit
from lorabert.data.packing import ALIKE, CLOSE, join, merge, pack


def packed_split(lengths: list[int]) -> EncodedSplit:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return EncodedSplit(np.arange(1, offsets[-1] + 1, dtype=np.int32), offsets, None, np.arange(len(lengths)), 0)


def test_a_packed_batch_by_hand():
    batch = pack(packed_split([2, 4, 1]), np.array([0, 1, 2]), dataclasses.replace(CLOSE, block_ratio=0.5))
    assert batch.ids[:7].tolist() == [3, 4, 5, 6, 1, 2, 7]  # the longest text first
    assert batch.positions[:7].tolist() == [0, 1, 2, 3, 0, 1, 0]
    assert batch.rows.tolist() == batch.labels.tolist() == [1, 0, 2]
    assert (batch.starts.tolist(), batch.lengths.tolist()) == ([0, 4, 6], [4, 2, 1])
    assert batch.cells[:7].tolist() == [0, 1, 2, 3, 4, 5, 8]
    assert batch.tokens.tolist() == [0, 1, 2, 3, 4, 5, CLOSE.grain - 1, CLOSE.grain - 1, 6, CLOSE.grain - 1]
    assert len(batch.ids) == CLOSE.grain
    assert set(batch.ids[7:]) == {0}
    assert set(batch.cells[7:]) == {9}


@pytest.mark.parametrize("total", [1, CLOSE.grain - 1, CLOSE.grain, CLOSE.grain + 1, 3 * CLOSE.grain])
def test_a_packed_batch_ends_with_a_filler_at_a_multiple_of_the_grain(total):
    batch = pack(packed_split([total]), np.array([0]))
    assert len(batch.ids) % CLOSE.grain == 0
    assert 1 <= len(batch.ids) - total <= CLOSE.grain


def forms(layout):
    """How often each form comes among a thousand random batches of 16 texts of up to 128 tokens."""
    split = packed_split(np.random.default_rng(0).integers(3, 129, 5000).tolist())
    batches = [np.random.default_rng(seed).choice(5000, 16, replace=False) for seed in range(1000)]
    return Counter(pack(split, rows, layout).form for rows in batches)


def test_batches_for_a_gpu_have_few_forms():
    found = forms(ALIKE)
    assert len(found) < 12
    assert sum(count for _, count in found.most_common(4)) > 800
    assert len(forms(CLOSE)) > 900  # negative control


def test_batches_of_one_form_have_the_same_shapes_and_blocks():
    split = packed_split([4, 4, 3, 4, 4, 4])
    one, other, full = (pack(split, np.array(rows), CLOSE) for rows in ([0, 2], [3, 2], [4, 5]))
    assert one.form == other.form
    assert one.form != full.form  # where every cell holds a token, none is kept from attending
    assert [block.full for batch in (one, full) for block in batch.blocks] == [False, True]
    assert one.form != pack(split, np.array([0]), CLOSE).form
    assert one.form != pack(split, np.array([0, 2]), ALIKE).form


def test_rectangles_for_a_gpu_hold_all_texts_and_come_in_widths_of_32():
    batch = pack(packed_split([33, 7, 40]), np.arange(3), ALIKE)
    (block,) = batch.blocks
    assert (block.last, block.longest, block.end, block.full, len(batch.ids)) == (3, 64, 3 * 64, False, 256)


def test_long_joined_streams_have_few_sizes_and_little_filler():
    random, sizes = np.random.default_rng(0), set()
    for _ in range(40):
        split = packed_split(random.integers(20, 128, 16 * 8).tolist())
        batch = join([pack(split, rows) for rows in np.split(np.arange(len(split)), 8)])
        sizes.add(len(batch.ids))
        assert len(batch.ids) - batch.parts[-1].tokens.stop < len(batch.ids) / 16
    assert len(sizes) < 6


@pytest.mark.parametrize("together", [join, merge])
def test_texts_of_several_parts_stand_where_the_batch_says(together):
    split = packed_split([2, 4, 1, 9, 33, 3])
    batch = together([pack(split, np.array([0, 1])), pack(split, np.array([4, 2])), pack(split, np.array([5, 3]))])
    for row, start, length in zip(batch.rows, batch.starts, batch.lengths, strict=True):
        own = slice(start, start + length)
        assert batch.ids[own].tolist() == split.ids[split.offsets[row] : split.offsets[row + 1]].tolist()
        assert batch.tokens[batch.cells[own]].tolist() == list(range(start, start + length))
        assert np.ptp(batch.cells[own]) == length - 1
    ends = [0, 32, 96, 128] if together is join else [0, 6, 40, 52]  # where they only answer, fillers stand at the end alone
    assert [part.tokens for part in batch.parts] == [slice(*pair) for pair in pairwise(ends)]
    assert len(batch.ids) == (128 if together is join else 64)
    assert [part.texts for part in batch.parts] == [slice(0, 2), slice(2, 4), slice(4, 6)]
