"""Texts to token ids: the same as the tokenizer gives one by one, and the same from the cache."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

import tiny
from lorabert.data import encoding
from lorabert.data.columns import Columns
from lorabert.data.encoding import Encoded, EncodedSplit, encode, encode_split, encode_whole
from lorabert.data.sources import SPLITS, Split, Splits
from lorabert.files import cache_folder

TEXTS, LABELS = tiny.reviews(50, 2, longest=40)
SECOND = tiny.reviews(50, 2, 1, longest=40)[0]


def split(*, pairs: bool = False, texts: list[str] = TEXTS) -> Split:
    return Split(texts, SECOND[: len(texts)] if pairs else None, np.array(LABELS[: len(texts)]))


def splits(*, pairs: bool = False) -> Splits:
    part = split(pairs=pairs)
    parts = [part.rows(list(range(start, start + 10))) for start in (0, 10, 20)]
    return Splits("here", *parts, ["a", "b"], Columns("text", None, "label", None))


def same(one: Encoded, two: Encoded) -> bool:
    fields = ("ids", "offsets", "segments", "labels", "truncated")
    return all(
        np.array_equal(getattr(getattr(one, name), field), getattr(getattr(two, name), field))
        for name in SPLITS
        for field in fields
    )


def cached() -> list[Path]:
    return sorted((cache_folder() / "encoded").glob("*"))


@pytest.mark.parametrize("batch", [1, 7, 50, 1000])
@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_the_ids_are_those_the_tokenizer_gives_one_by_one(tokenizer, pairs, batch, monkeypatch):
    monkeypatch.setattr(encoding, "_BATCH", batch)
    encoded = encode_split(split(pairs=pairs), tokenizer, 32)
    assert len(encoded) == 50
    for row, text in enumerate(TEXTS):
        alone = tokenizer(text, SECOND[row] if pairs else None, truncation=True, max_length=32)
        inside = slice(encoded.offsets[row], encoded.offsets[row + 1])
        assert encoded.ids[inside].tolist() == alone["input_ids"]
        if pairs:
            assert encoded.segments[inside].tolist() == alone["token_type_ids"]
    assert encoded.offsets[0] == 0
    assert encoded.offsets[-1] == len(encoded.ids) == encoded.lengths.sum()
    assert encoded.lengths.max() == 32
    assert encoded.labels.tolist() == LABELS
    assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.int32, np.int64)


def test_pairs_have_segments_and_single_texts_none(tokenizer):
    assert encode_split(split(), tokenizer, 32).segments is None
    segments = encode_split(split(pairs=True), tokenizer, 64).segments
    assert set(segments.tolist()) == {0, 1}


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_a_tokenizer_without_token_types_gives_pairs_without_segments(base_folder, family):
    tokenizer = AutoTokenizer.from_pretrained(base_folder(family))
    encoded = encode_split(split(pairs=True), tokenizer, 64)
    assert encoded.segments is None
    assert encoded.ids[: encoded.offsets[1]].tolist() == tokenizer(TEXTS[0], SECOND[0])["input_ids"]


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("max_length", [5, 16, 24, 64, 128])
def test_truncated_counts_exactly_the_texts_that_were_cut(tokenizer, max_length, pairs):
    whole = [len(tokenizer(text, SECOND[row] if pairs else None)["input_ids"]) for row, text in enumerate(TEXTS)]
    encoded = encode_split(split(pairs=pairs), tokenizer, max_length)
    assert encoded.truncated == sum(length > max_length for length in whole)
    assert encoded.lengths.tolist() == [min(length, max_length) for length in whole]


@pytest.mark.parametrize("pairs", [False, True])
def test_encoding_whole_is_encoding_what_is_not_cut(tokenizer, pairs, monkeypatch):
    monkeypatch.setattr(encoding, "_BATCH", 7)
    examples = split(pairs=pairs)
    encode_split(examples, tokenizer, 5)  # leaves its cut in the tokenizer's state
    whole, uncut = encode_whole(examples, tokenizer), encode_split(examples, tokenizer, 10_000)
    assert (whole.ids.tolist(), whole.offsets.tolist()) == (uncut.ids.tolist(), uncut.offsets.tolist())
    assert encode_whole(split(texts=[]), tokenizer).lengths.tolist() == []


def test_no_texts_and_strange_texts_are_encoded(tokenizer):
    empty = encode_split(Split([], None, np.zeros(0, np.int64)), tokenizer, 16)
    assert (len(empty), len(empty.ids), empty.offsets.tolist()) == (0, 0, [0])
    strange = encode_split(split(texts=["\0", "\u2028", "映画", "🎬 " * 50]), tokenizer, 16)
    assert strange.lengths.min() >= 2
    assert strange.truncated == 1


def test_rows_are_the_examples_asked_for_in_their_order(tokenizer):
    encoded = encode_split(split(pairs=True), tokenizer, 32)
    some = encoded.rows(np.array([7, 3, 3, 49]))
    assert some.labels.tolist() == [LABELS[7], LABELS[3], LABELS[3], LABELS[49]]
    for place, row in enumerate([7, 3, 3, 49]):
        here, there = (slice(part.offsets[at], part.offsets[at + 1]) for part, at in ((some, place), (encoded, row)))
        assert some.ids[here].tolist() == encoded.ids[there].tolist()
        assert some.segments[here].tolist() == encoded.segments[there].tolist()


# ---- the cache


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_a_cache_hit_equals_a_miss_and_does_not_tokenise(tiny_base, pairs, monkeypatch):
    missed = encode(splits(pairs=pairs), AutoTokenizer.from_pretrained(tiny_base), 16)
    assert missed.train.truncated > 0
    assert len(cached()) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("the tokenizer was called")

    monkeypatch.setattr(encoding, "encode_split", refuse)
    assert same(encode(splits(pairs=pairs), AutoTokenizer.from_pretrained(tiny_base), 16), missed)
    with pytest.raises(AssertionError, match="was called"):  # the negative control: another length is no hit
        encode(splits(pairs=pairs), AutoTokenizer.from_pretrained(tiny_base), 17)


def test_other_texts_labels_tokenizers_and_lengths_do_not_share_a_cache_entry(base_folder, tiny_base):
    part = splits()
    relabelled = Splits("here", part.train, part.validation, part.test, ["b", "a"], part.columns)
    for data, folder, length in ((part, tiny_base, 16), (part, tiny_base, 17), (splits(pairs=True), tiny_base, 16),
                                 (relabelled, tiny_base, 16), (part, base_folder("roberta"), 16)):  # fmt: skip
        encode(data, AutoTokenizer.from_pretrained(folder), length)
    assert len(cached()) == 5


def test_the_same_tokenizer_object_finds_what_it_cached(tokenizer):
    encode(splits(), tokenizer, 16)
    encode(splits(), tokenizer, 16)
    assert len(cached()) == 1


# bert-base-uncased and distilbert-base-uncased are such a pair.
def test_bases_that_share_a_tokenizer_json_but_not_token_types_do_not_share_a_cache_entry(base_folder, tiny_base):
    assert (base_folder("distilbert") / "tokenizer.json").read_bytes() == (tiny_base / "tokenizer.json").read_bytes()
    without = encode(splits(pairs=True), AutoTokenizer.from_pretrained(base_folder("distilbert")), 32)
    assert without.train.segments is None
    assert encode(splits(pairs=True), AutoTokenizer.from_pretrained(tiny_base), 32).train.segments is not None


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "gone"])
def test_a_damaged_cache_entry_is_made_anew(tiny_base, damage):
    missed = encode(splits(), AutoTokenizer.from_pretrained(tiny_base), 16)
    [file] = cached()
    whole = file.read_bytes()
    file.write_bytes({"empty": b"", "cut": whole[:-10], "garbage": b"\xff" * len(whole), "gone": b""}[damage])
    if damage == "gone":
        file.unlink()
    assert same(encode(splits(), AutoTokenizer.from_pretrained(tiny_base), 16), missed)
    assert cached()[0].read_bytes() == whole


def test_a_flipped_byte_in_a_cache_entry_is_noticed(tiny_base):
    missed = encode(splits(), AutoTokenizer.from_pretrained(tiny_base), 16)
    [file] = cached()
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    assert same(encode(splits(), AutoTokenizer.from_pretrained(tiny_base), 16), missed)


def test_a_cache_entry_that_lacks_an_array_is_made_anew(tiny_base):
    from safetensors.numpy import save

    missed = encode(splits(), AutoTokenizer.from_pretrained(tiny_base), 16)
    cached()[0].write_bytes(save({"train.ids": missed.train.ids}))
    assert same(encode(splits(), AutoTokenizer.from_pretrained(tiny_base), 16), missed)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tiny_base, tokenizer, monkeypatch):
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setenv("LORABERT_CACHE", "file")
    found = encode(splits(), tokenizer, 16)
    assert isinstance(found.train, EncodedSplit)
    assert found.train.ids.tolist() == encode_split(splits().train, AutoTokenizer.from_pretrained(tiny_base), 16).ids.tolist()
