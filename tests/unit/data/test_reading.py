"""How well a vocabulary reads texts: oracles are the tokenizer's own tokens."""

import numpy as np
import pytest

import tiny
from lorabert.data.encoding import encode_split, encode_whole
from lorabert.data.reading import MULTILINGUAL, READERS, Vocabulary, advice, far_above, notice, script_of, sentence, trained_share
from lorabert.data.sources import Split

SCRIPTS = {
    "CJK": "这部电影很好看",
    "HIRAGANA": "この映画はとても良い",
    "HANGUL": "이 영화는 정말 좋다",
    "CYRILLIC": "этот фильм очень хороший",
    "HEBREW": "הסרט הזה טוב מאוד",
    "ARABIC": "هذا الفيلم جيد جدا",
    "LATIN": "this film is good 这",
}


def split(texts, pairs=None):
    return Split(texts, pairs, np.zeros(len(texts), np.int64))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_script_of_most_letters_is_told(script):
    assert script_of([SCRIPTS[script], "1 2 3 !"]) == script
    assert script_of(["12 !"]) is None


@pytest.mark.parametrize("script", [*SCRIPTS, None])
def test_bases_are_named_for_every_script_and_the_language_s_own_first(script):
    named = advice(script)
    assert all(base.id in named and base.licence in named for base in MULTILINGUAL)
    if script in READERS:
        assert named.index(READERS[script][1].id) < named.index(MULTILINGUAL[0].id)


def test_unknown_tokens_are_those_that_the_tokenizer_gives_for_words_it_lacks(tokenizer):
    texts = [*tiny.reviews(5)[0], *SCRIPTS.values(), "good 电 good"]
    encoded, vocabulary = encode_split(split(texts), tokenizer, 64), Vocabulary(tokenizer)
    unknown, tokens = vocabulary.counts(encoded)
    expected = [tokenizer.tokenize(text) for text in texts]
    assert tokens.tolist() == [len(each) for each in expected]
    assert unknown.tolist() == [each.count(tokenizer.unk_token) for each in expected]
    assert unknown[:5].sum() == 0 < unknown[5:].min()
    assert vocabulary.share(encoded) == pytest.approx(unknown.sum() / tokens.sum(), abs=1e-4)
    nothing = vocabulary.counts(encode_whole(split([]), tokenizer))
    assert [counts.tolist() for counts in nothing] == [[], []]


def test_a_few_percent_are_warned_of_and_less_is_not(tokenizer):
    vocabulary = Vocabulary(tokenizer)
    assert sentence({"train": 0.02, "test": 0.01}, 0.3, vocabulary, ["a"]) == ""
    said = sentence({"train": 0.62, "test": 0.01}, 0.3, vocabulary, [SCRIPTS["CJK"]])
    assert "62% of the tokens of train" in said
    assert "google-bert/bert-base-chinese" in said


def test_texts_are_unlike_training_where_a_few_tokens_at_least_and_far_more_are_unknown():
    unknown, tokens = np.array([0, 2, 3, 30, 30]), np.array([10, 2, 100, 100, 10_000])
    assert far_above(unknown, tokens, 0.0).tolist() == [False, False, True, True, False]
    assert far_above(unknown, tokens, 0.05).tolist() == [False, False, False, True, False]


def test_it_is_noticed_and_the_recorded_share_decides(tokenizer):
    vocabulary = Vocabulary(tokenizer)
    strange = encode_split(split([SCRIPTS["CJK"], "good"]), tokenizer, 64)
    assert "(1 of 2 texts)" in notice(strange, vocabulary, 0.0)
    assert notice(strange, vocabulary, 0.9) == ""
    assert notice(encode_split(split(tiny.reviews(5)[0]), tokenizer, 64), vocabulary, 0.0) == ""


@pytest.mark.parametrize("data", [None, {}, {"unknown_share": None}, {"unknown_share": {"train": "x"}}, {"unknown_share": {}}])
def test_a_record_that_says_no_share_means_none(data):
    assert trained_share(data) == 0.0
    assert trained_share({"unknown_share": {"train": 0.25}}) == 0.25
