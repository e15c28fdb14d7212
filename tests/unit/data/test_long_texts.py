"""Long texts: the tokens that the tokenizer gives for the whole, in memory that follows the cut and not the text."""

import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import tiny
from lorabert.data import encoding, long_texts
from lorabert.data.encoding import encode_split, encode_whole
from lorabert.data.sources import Split
from lorabert.evidence import baselines

CORPUS = [" ".join(random.Random(row).choices(tiny.WORDS, k=20)).capitalize() + ". größe 映画 123-4" for row in range(300)]
WORDS = [*tiny.WORDS, "Größe", "映画", "😀", "e\u0301", "\u200b", "don't", "<s>", "12.5%"]


def wrapped(tokenizer: Tokenizer, **options: Any) -> PreTrainedTokenizerFast:
    for token in ("<s>", "</s>", "<pad>", "<unk>"):
        tokenizer.add_special_tokens([token])
    special = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>:1", special_tokens=special
    )
    names = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names, **options)


def wordpiece(**options: Any) -> PreTrainedTokenizerFast:
    return wrapped(tiny.build_tokenizer("bert"), **options)


def byte_level(*, prefix: bool = False, **options: Any) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return wrapped(tokenizer, **options)


def unigram(*, scheme: str = "always", split: bool = True, strip: bool = False, **options: Any) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    steps = [normalizers.NFKC(), normalizers.Replace(" {2,}", " "), *([normalizers.Strip()] if strip else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    trainer = trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return wrapped(tokenizer, **options)


def word_level(**options: Any) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(["<unk>", *tiny.WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return wrapped(tokenizer, **options)


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "wordpiece": wordpiece,
    "wordpiece from the end": lambda: wordpiece(truncation_side="left"),
    "byte level": byte_level,
    "byte level with a space before": lambda: byte_level(prefix=True),
    "byte level from the end": lambda: byte_level(truncation_side="left"),
    "unigram": unigram,
    "unigram that marks the first word": lambda: unigram(scheme="first"),
    "unigram that strips": lambda: unigram(scheme="first", strip=True),
    "unigram over spaces": lambda: unigram(split=False),
    "whole words": word_level,
}


def prose(characters: int, seed: int) -> str:
    rng = random.Random(seed)
    parts: list[str] = []
    while sum(map(len, parts)) < characters:
        parts.append(
            " ".join(rng.choices(WORDS, k=rng.randint(1, 30))) + rng.choice([". ", "\n", "\n\n", "  ", "\t", "。", ", "])
        )
    return "".join(parts)[:characters]


TEXTS = {
    "prose": prose(2500, 1),
    "just over": prose(401, 2),
    "just under": prose(399, 2),
    "lines": "\n".join(tiny.WORDS * 2),
    "one word": "x" * 1500,
    "chinese": "这部电影很好看。" * 60,
    "two endless words": "a" * 1500 + " good " + "b" * 1500,
    "spaces": "good" + " " * 1000 + "film bad",
    "nothing but control": "\0" * 1000 + "good film",
    "signs": "😀!?" * 300,
}


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch) -> PreTrainedTokenizerFast:
    """A tokenizer, with lengths at which texts are long that a test can afford."""
    monkeypatch.setattr(encoding, "LONG", 400)
    monkeypatch.setattr(encoding, "LONG_PAIR", 400)
    monkeypatch.setattr(long_texts, "_PIECE", 200)
    monkeypatch.setattr(long_texts, "_LONGEST_WORD", 20_000)
    return KINDS[request.param]()


def one(text: str, pair: str | None) -> Split:
    return Split([text], None if pair is None else [pair], np.zeros(1, np.int64))


@pytest.mark.parametrize("max_length", [64, 127, 400])
def test_the_tokens_are_those_of_the_whole_text_cut_by_the_tokenizer(kind, max_length):
    for pair in (None, "good film", TEXTS["prose"]):
        for name, text in TEXTS.items():
            encoded = encode_split(one(text, pair), kind, max_length)
            plain = kind(text, pair, truncation=True, max_length=max_length)
            assert encoded.ids.tolist() == plain["input_ids"], (name, pair and pair[:10])
            assert encoded.truncated == bool(plain.encodings[0].overflowing), name
            if pair is not None:
                assert encoded.segments.tolist() == plain["token_type_ids"]


def test_whole_texts_are_read_in_pieces(kind):
    for pair in (None, "good film"):
        for text in TEXTS.values():
            assert encode_whole(one(text, pair), kind).ids.tolist() == kind(text, pair, verbose=False)["input_ids"]


def test_no_more_is_counted_than_helps(kind, monkeypatch):
    monkeypatch.setattr(encoding, "MOST_COUNTED", 100)
    assert encode_whole(one("good film " * 200, None), kind).lengths.tolist() == [100]


@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram])
def test_pieces_are_small_where_words_are_parted_and_whole_where_they_are_not(make):
    pieces = [len(piece) for piece in long_texts.LongTexts(make())._pieces("good film " * 20_000)]
    assert max(pieces) < 1.01 * long_texts._PIECE
    over_spaces = long_texts.LongTexts(unigram(split=False))
    assert len(list(over_spaces._pieces("good film " * 20_000))) == 1


def test_texts_of_one_call_are_few_where_they_are_long(tokenizer, monkeypatch):
    sizes = [10] * 30 + [5000, 10, 20, 300, 300, 10]
    monkeypatch.setattr(encoding, "_CHARACTERS", 500)
    calls = list(encoding._stretches(sizes, 1000))
    assert calls == [(0, 30), (30, 31), (31, 34), (34, 36)]
    assert list(encoding._stretches([], 1000)) == []


def test_a_baseline_reads_no_more_of_a_text_than_it_can_hold(monkeypatch):
    texts = ["good " * 50, "bad " * 50, "good " * 50, "bad " * 50]
    whole = baselines.tfidf_linear(texts, [1, 0, 1, 0], texts).tolist()
    monkeypatch.setattr(baselines, "_LONGEST_TEXT", 50)
    late = [*texts, "dull " * 10 + "good " * 1000]
    assert baselines.tfidf_linear(texts, [1, 0, 1, 0], late).tolist()[:4] == whole == [1, 0, 1, 0]


PEAK = """
import sys
from pathlib import Path
import numpy as np
from transformers import AutoTokenizer
from lorabert.data import tables
from lorabert.data.encoding import encode_split, encode_whole
from lorabert.data.sources import Split
from lorabert.evidence import baselines

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
labels = np.array([0, 1, 0, 1])

def use(text):
    split = Split([text, "good film"] * 2, None, labels)
    encode_split(split, tokenizer, 128)
    encode_whole(split, tokenizer)
    baselines.tfidf_linear(split.texts, split.labels, split.texts)
    Path("long.csv").write_text(f"text,label\\n{text},x\\nshort,y\\n")
    return tables.read(Path("long.csv"))

def peak():  # in KiB, of this program alone: ru_maxrss begins with what the process had that started it
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

use("good film")
before = peak()
long = sys.argv[2] * (4_000_000 // len(sys.argv[2]))
use(long) if sys.argv[3] == "used" else tokenizer(long, verbose=False)
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells the peak")
@pytest.mark.parametrize("unit", ["good film and plot ", "a"])
def test_a_long_line_takes_little_more_memory_than_it_holds(tiny_base, unit):
    def peak(how: str) -> int:
        command = [sys.executable, "-c", PEAK, str(tiny_base), unit, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert peak("used") < 130  # MiB for four of text
    if unit != "a":  # the negative control; an endless word is no more than its letters
        assert peak("tokenised whole") > 200
