"""A share set aside: sizes, strata, groups, seeds."""

import random
from collections import Counter

import numpy as np
import pytest

from lorabert.data.splitting import holdout, sample, together

LABELS = [0] * 600 + [1] * 300 + [2] * 100
ALONE = list(range(1000))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_label_gives_its_share(share, seed):
    kept, aside = holdout(LABELS, ALONE, share, seed)
    assert sorted(kept + aside) == ALONE
    assert kept == sorted(kept)
    assert aside == sorted(aside)
    counts = Counter(LABELS[row] for row in aside)
    assert counts == {label: pytest.approx(share * total, abs=1) for label, total in Counter(LABELS).items()}


def test_the_rows_set_aside_are_drawn_from_everywhere():
    _, aside = holdout(LABELS, ALONE, 0.1, 0)
    assert 200 < np.mean([row for row in aside if row < 600]) < 400


def test_groups_stay_together():
    groups = [f"author {row % 97}" for row in ALONE]
    kept, aside = holdout(LABELS, groups, 0.2, 0)
    assert not {groups[row] for row in kept} & {groups[row] for row in aside}
    assert len(aside) == pytest.approx(200, abs=30)
    alone_kept, alone_aside = holdout(LABELS, ALONE, 0.2, 0)
    assert {groups[row] for row in alone_kept} & {groups[row] for row in alone_aside}  # without groups they would be torn


def test_one_large_group_does_not_keep_the_small_ones_from_being_set_aside():
    groups = ["large"] * 50 + [f"small {row}" for row in range(50)]
    shares = [len(holdout([0] * 100, groups, 0.1, seed)[1]) for seed in range(40)]
    assert min(shares) >= 8


def test_the_same_seed_gives_the_same_split_whatever_else_is_drawn():
    first = holdout(LABELS, ALONE, 0.1, 3)
    random.random()
    np.random.random(100)
    assert holdout(LABELS, ALONE, 0.1, 3) == first
    assert holdout(LABELS, ALONE, 0.1, 4) != first


def test_a_label_with_a_single_row_or_group_stays_in_train():
    labels = [0] * 20 + [1] + [2] * 10
    groups = [*range(21), *["one film"] * 10]
    for seed in range(20):
        for share in (0.1, 0.9):
            _, aside = holdout(labels, groups, share, seed)
            assert {labels[row] for row in aside} == {0}


@pytest.mark.parametrize("size", [1, 7, 999])
def test_sample_is_seeded_sorted_and_without_replacement(size):
    rows = sample(1000, size, 0)
    assert rows == sorted(set(rows))
    assert len(rows) == size
    assert set(rows) <= set(range(1000))
    np.random.random(5)
    assert sample(1000, size, 0) == rows
    assert sample(1000, size, 1) != rows


@pytest.mark.parametrize("size", [5, 6])
def test_a_sample_of_all_is_all(size):
    assert sample(5, size, 0) == [0, 1, 2, 3, 4]


def test_groups_that_are_kept_together_by_either_of_two():
    assert together("aabbcd", [1, 2, 3, 4, 4, 5]) == [0, 0, 2, 2, 2, 5]
