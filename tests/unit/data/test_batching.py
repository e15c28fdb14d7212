"""The batch plan: every row once an epoch, decided by the seed and the epoch alone."""

import random

import numpy as np
import pytest

import tiny
from lorabert.data.batching import by_length, padded_batch, padding_share, plan
from lorabert.data.encoding import EncodedSplit, encode_split
from lorabert.data.sources import Split

# Lengths as texts have them: most short, a few very long.
SKEWED = np.minimum(512, np.random.default_rng(0).lognormal(3, 1, 5000).astype(np.int64) + 3)


def flat(batches: list[np.ndarray]) -> list[int]:
    return np.concatenate(batches).tolist()


def as_lists(epochs: list[list[np.ndarray]]) -> list[list[list[int]]]:
    return [[batch.tolist() for batch in epoch] for epoch in epochs]


@pytest.mark.parametrize("grouped", [False, True], ids=["random", "grouped"])
@pytest.mark.parametrize(("n", "size"), [(1, 1), (1, 16), (16, 16), (17, 16), (100, 7), (1613, 16)])
def test_every_row_once_an_epoch_in_batches_of_the_size(n, size, grouped):
    made = plan(SKEWED[:n], batch_size=size, num_epochs=3, seed=0, group_by_length=grouped)
    assert len(made.epochs) == 3
    assert made.steps_per_epoch == -(-n // size)
    for epoch in made.epochs:
        assert sorted(flat(epoch)) == list(range(n))
        assert sorted(map(len, epoch), reverse=True) == [size] * (n // size) + ([n % size] if n % size else [])
    if not grouped:
        assert all(len(batch) == size for batch in made.epochs[0][:-1])  # only the last one is smaller


@pytest.mark.parametrize("grouped", [False, True], ids=["random", "grouped"])
def test_the_plan_follows_its_seed_and_no_other_random_state(grouped):
    def made(seed: int) -> list:
        return as_lists(plan(SKEWED[:100], batch_size=8, num_epochs=2, seed=seed, group_by_length=grouped).epochs)

    first = made(0)
    random.random()
    np.random.random(9)
    assert made(0) == first
    assert made(1) != first
    assert first[0] != first[1]  # another order each epoch


def test_neighbouring_seeds_and_epochs_do_not_share_an_order():
    orders = {
        tuple(flat(epoch)) for seed in range(5) for epoch in plan(SKEWED[:50], batch_size=8, num_epochs=5, seed=seed).epochs
    }
    assert len(orders) == 25


@pytest.mark.parametrize("grouped", [False, True], ids=["random", "grouped"])
def test_a_longer_plan_begins_with_the_shorter_one(grouped):
    two, three = (plan(SKEWED[:100], batch_size=8, num_epochs=epochs, seed=0, group_by_length=grouped) for epochs in (2, 3))
    assert as_lists(three.epochs[:2]) == as_lists(two.epochs)


def test_grouping_by_length_cuts_padding_to_less_than_half_of_random():
    shares = {}
    for grouped in (False, True):
        made = plan(SKEWED, batch_size=16, num_epochs=2, seed=0, group_by_length=grouped)
        shares[grouped] = padding_share(SKEWED, [batch for epoch in made.epochs for batch in epoch])
    assert shares[False] > 0.5
    assert shares[True] < 0.15 < shares[False] / 2


def test_grouped_batches_come_in_no_order_of_length():
    made = plan(SKEWED, batch_size=16, num_epochs=1, seed=0, group_by_length=True).epochs[0]
    means = np.array([SKEWED[batch].mean() for batch in made])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_lengths_do_not_change_a_random_plan():
    one, two = (plan(lengths, batch_size=8, num_epochs=1, seed=0) for lengths in (SKEWED[:40], SKEWED[40:80]))
    assert as_lists(one.epochs) == as_lists(two.epochs)


@pytest.mark.parametrize(("n", "size"), [(0, 4), (1, 4), (4, 4), (50, 7)])
def test_by_length_covers_all_rows_longest_first(n, size):
    batches = by_length(SKEWED[:n], size)
    rows = flat(batches) if n else []
    assert sorted(rows) == list(range(n))
    assert (np.diff(SKEWED[rows]) <= 0).all()
    assert all(0 < len(batch) <= size for batch in batches)


def test_padding_share_by_hand():
    lengths = np.array([4, 1, 3, 3])
    assert padding_share(lengths, [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(3 / 14)
    assert padding_share(lengths, [np.array([2, 3])]) == 0


@pytest.mark.parametrize("family", ["bert", "roberta", "electra"])
@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_a_padded_batch_is_what_the_tokenizer_pads(base_folder, family, pairs):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_folder(family))
    texts, labels = tiny.reviews(30, 3)
    second = tiny.reviews(30, 3, 1)[0] if pairs else None
    split = encode_split(Split(texts, second, np.array(labels)), tokenizer, 32)
    rows = np.array([29, 4, 4, 11])
    wanted = tokenizer(
        [texts[row] for row in rows], [second[row] for row in rows] if pairs else None,
        truncation=True, max_length=32, padding=True, return_tensors="np",
    )  # fmt: skip
    batch = padded_batch(split, rows, tokenizer.pad_token_id)
    assert (batch["attention_mask"] == 0).any()  # there is padding to get wrong
    for name in ("input_ids", "attention_mask"):
        assert batch[name].dtype == np.int64
        assert np.array_equal(batch[name], wanted[name])
    assert batch["labels"].tolist() == [labels[row] for row in rows]
    assert ("token_type_ids" in batch) == (pairs and "token_type_ids" in wanted)
    if "token_type_ids" in batch:
        assert np.array_equal(batch["token_type_ids"], wanted["token_type_ids"])


def test_a_batch_by_hand():
    split = EncodedSplit(np.array([1, 2, 3, 4], np.int32), np.array([0, 3, 4]), None, np.array([5, 6]), 0)
    batch = padded_batch(split, np.array([1, 0]), pad_id=9)
    assert batch["input_ids"].tolist() == [[4, 9, 9], [1, 2, 3]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["labels"].tolist() == [6, 5]
