"""How well a base's vocabulary reads texts: the share of their tokens that it does not know, and the script they are in.

Vocabularies of words and word pieces (BERT's) have one token for whatever they lack, so what is lost can be counted. Those of
bytes (RoBERTa's) lack nothing: they spell a foreign script byte by byte, which shows as more than one token a character.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from lorabert.data.encoding import EncodedSplit

WARN_FROM = 0.03
# Shares of a few tokens say nothing; and the share in training has to be left well behind.
_LEAST_UNKNOWN = 3
_FAR_ABOVE = 3.0
# Tokens a character: a vocabulary of bytes takes a quarter in its own language, and more than two in Chinese.
_SPELLED_OUT_FROM = 0.7
_LETTERS_LOOKED_AT = 100_000
_JAPANESE_FROM = 0.1  # of the letters; Chinese has no kana


@dataclass(frozen=True)
class Base:
    """A base that reads a script.

    Attributes:
        id: on the hub.
        size: parameters.
        licence: as its card has it.
    """

    id: str
    size: str
    licence: str


# All of them with weights in the safetensors format: pickled ones are never opened.
MULTILINGUAL = (
    Base("distilbert/distilbert-base-multilingual-cased", "135M", "Apache-2.0"),
    Base("google-bert/bert-base-multilingual-cased", "178M", "Apache-2.0"),
    Base("FacebookAI/xlm-roberta-base", "278M", "MIT"),
)
"""They read some hundred languages."""
READERS: dict[str, tuple[str, Base]] = {
    "CJK": ("Chinese", Base("google-bert/bert-base-chinese", "103M", "Apache-2.0")),
    "HIRAGANA": ("Japanese", Base("sbintuitions/modernbert-ja-130m", "130M", "MIT")),
    "HANGUL": ("Korean", Base("klue/roberta-base", "111M", "no licence stated")),
    "CYRILLIC": ("Russian", Base("deepvk/RuModernBERT-base", "150M", "Apache-2.0")),
    "HEBREW": ("Hebrew", Base("dicta-il/dictabert", "184M", "CC-BY-4.0")),
}
"""A language and a base of its own by script: the first word of its letters' names in Unicode."""


class Vocabulary:
    """Which of a tokenizer's ids stand for what it does not know, and which for no text at all.

    Attributes:
        unknown: the id of unknown tokens; None where nothing can be unknown.
    """

    def __init__(self, tokenizer: Any) -> None:
        marks = {getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep", "pad", "bos", "eos", "mask")}
        unknown = tokenizer.unk_token_id
        self.unknown: int | None = None if unknown in marks else unknown
        self._marks = np.array(sorted(marks - {None, self.unknown}), np.int32)
        self._tokenizer = tokenizer

    def counts(self, split: EncodedSplit) -> tuple[np.ndarray, np.ndarray]:
        """Unknown tokens and tokens of each example, the marks of its beginning and end not counted, (n,) int64 each."""
        unknown = np.zeros(len(split.ids), bool) if self.unknown is None else split.ids == self.unknown
        return _by_example(unknown, split.offsets), _by_example(~np.isin(split.ids, self._marks), split.offsets)

    def share(self, split: EncodedSplit) -> float:
        """Share of a split's tokens that are unknown."""
        unknown, tokens = self.counts(split)
        return round(float(unknown.sum() / max(1, tokens.sum())), 4)

    def spells_out(self, tokens_per_character: float) -> bool:
        """Whether these are bytes rather than words: it has a token for every byte, and needs many."""
        if not self._tokenizer.is_fast:  # one in Python only does not tell what it does
            return False
        state = json.loads(self._tokenizer.backend_tokenizer.to_str())
        return tokens_per_character > _SPELLED_OUT_FROM and "ByteLevel" in json.dumps(state["pre_tokenizer"])


def _by_example(of_interest: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.diff(np.concatenate([[0], np.cumsum(of_interest)])[offsets])


def far_above(unknown: np.ndarray, tokens: np.ndarray, trained: float) -> np.ndarray:
    """Whether texts are unlike those trained on: a few unknown tokens at least, and a share far above training's.

    Args:
        unknown: unknown tokens, (n,) or one number.
        tokens: tokens, alike.
        trained: share in the training texts.
    """
    share = unknown / np.maximum(1, tokens)
    return (unknown >= _LEAST_UNKNOWN) & (share >= WARN_FROM) & (share > _FAR_ABOVE * trained)


def trained_share(data: Any) -> float:
    """The unknown share of the training texts, as a record or a manifest has it in its entry `data`; 0 where it does not."""
    shares = data.get("unknown_share") if isinstance(data, Mapping) else None
    share = shares.get("train") if isinstance(shares, Mapping) else None
    return float(share) if isinstance(share, (int, float)) and 0 <= share <= 1 else 0.0


def notice(split: EncodedSplit, vocabulary: Vocabulary, trained: float) -> str:
    """What is to be said of texts to answer for that are unlike those trained on; empty where they are not.

    Args:
        split: the texts as they were read.
        vocabulary: that they were read with.
        trained: share in the training texts.
    """
    unknown, tokens = vocabulary.counts(split)
    if not far_above(unknown.sum(), tokens.sum(), trained):
        return ""
    share, unlike = unknown.sum() / tokens.sum(), int(far_above(unknown, tokens, trained).sum())
    return (
        f"Warning: {share:.1%} of the tokens of these texts are unknown to the base's vocabulary, in training {trained:.1%} were "
        f"({unlike:,} of {len(split):,} texts): the answers to them say little"
    )


def sentence(unknown: Mapping[str, float], tokens_per_character: float, vocabulary: Vocabulary, texts: Iterable[str]) -> str:
    """What is to be said of texts that a base cannot read well, and bases that can; empty for others.

    Args:
        unknown: the unknown share of each split, by its name.
        tokens_per_character: of all of them.
        vocabulary: that they were read with.
        texts: those to tell the script by.
    """
    if max(unknown.values()) >= WARN_FROM:
        shares = ", ".join(f"{share:.0%} of the tokens{f' of {name}' if name else ''}" for name, share in unknown.items())
        found = f"the base's vocabulary does not know {shares}, and reads nothing there"
    elif vocabulary.spells_out(tokens_per_character):
        found = f"the base's vocabulary spells these texts byte by byte, {tokens_per_character:.1f} tokens a character"
    else:
        return ""
    return f"{found}. {advice(script_of(texts))}"


def script_of(texts: Iterable[str]) -> str | None:
    """The script that most letters of the first texts are in, as `READERS` has it; None where they have no letters."""
    letters = islice((letter for text in texts for letter in text if letter.isalpha()), _LETTERS_LOOKED_AT)
    scripts = Counter(unicodedata.name(letter, "?").partition(" ")[0] for letter in letters)
    if not scripts:
        return None
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    return "HIRAGANA" if kana > _JAPANESE_FROM * sum(scripts.values()) else scripts.most_common(1)[0][0]


def advice(script: str | None) -> str:
    """Bases that read a script, for people."""
    language, own = READERS.get(script or "", (None, None))
    listed = "; ".join(f"{base.id} ({base.size}, {base.licence})" for base in (own, *MULTILINGUAL) if base)
    return f"Bases that read {language}: {listed}" if language else f"Bases that read many languages: {listed}"
