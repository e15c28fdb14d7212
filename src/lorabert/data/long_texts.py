"""Long texts to tokens in little memory: piece after piece, and no further than the cut.

A tokenizer keeps some hundred bytes for each character of a text, of which a model reads the first few hundred tokens. It
splits a text at its spaces before it looks anything up, so the tokens of two pieces that meet at a space are those of the
whole; they are joined, and get their special tokens and their cut, by the tokenizer itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

LONG = 20_000  # characters; what is shorter costs little as it is
LONG_PAIR = 4_000  # of both: what is cut from two texts is kept in every combination
_PIECE = 4_000
# What no space parts is kept whole up to here. Beyond, it is cut inside of a word, which may move a token near that place.
_LONGEST_WORD = 250_000
_BETWEEN_WORDS = re.compile(r"(?<=\S) (?=\w)")
_BETWEEN_HAN = re.compile(r"(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])")
_ANY_SPACE = re.compile(r"(?<=\S)\s(?=\S)")
_PROBE = ("a good film, 12 times", " better than bad", " ones")
_PROBE_OF_ANY_SPACE = ("a good film,", "\nbetter than", "\tbad", "\u3000ones")
_LETTERS = re.compile(r"[^\W_\u1100-\U0010ffff]*")  # that no tokenizer of BERT's kind parts


class LongTexts:
    """A fast tokenizer that reads long texts piece by piece.

    Args:
        tokenizer: of Transformers, backed by `tokenizers`.
    """

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers import Tokenizer

        described = tokenizer.backend_tokenizer.to_str()
        self.backend = Tokenizer.from_str(described)  # its own, as what follows is of no use to others meanwhile
        self.backend.encode_special_tokens = getattr(tokenizer, "split_special_tokens", False)
        self.backend.no_padding()
        self.backend.no_truncation()
        self.side = tokenizer.truncation_side
        state = json.loads(described)
        self.piece = _PIECE if _parts_words(state) and self._joins(_PROBE) else _LONGEST_WORD
        self.at_any_space = self._joins(_PROBE_OF_ANY_SPACE)
        like_bert = (state["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        # WordPiece takes a word of more than a hundred letters for one unknown token, however long it is.
        self.gives_up_on_words = like_bert and state["model"].get("max_input_chars_per_word", _LONGEST_WORD) <= 500
        normalizer = state["normalizer"] or {}
        self.parts_han = like_bert and normalizer.get("type") == "BertNormalizer" and normalizer["handle_chinese_chars"]

    def encoded(self, text: str, pair: str | None, max_length: int) -> Any:
        """The `Encoding` of a text, or of two, as the tokenizer gives it for the whole, cut at max_length tokens."""
        # How two texts share what is cut from their beginnings depends on how long each is, as a whole.
        most = sys.maxsize if self.side == "left" and pair is not None else max_length + 1
        heads = [_Head(self, one, most, self.side) for one in (text, pair) if one is not None]
        if len(heads) == 2:
            _keep_order(*heads)
        merged = [head.merged() for head in heads]
        self.backend.enable_truncation(max_length, direction=self.side)
        try:
            return self.backend.post_process(*merged)
        finally:
            self.backend.no_truncation()

    def ids(self, text: str, pair: str | None, most: int) -> np.ndarray:
        """Token ids of a text, or of two, with the special ones, (tokens,) int32; no more than about so many."""
        read = [self._ids(one, most) for one in (text, pair) if one is not None]
        probes: list[Any] = [self.backend.encode(_PROBE[0], add_special_tokens=False) for _ in read]
        frame = self.backend.post_process(*probes)
        parts: list[Any] = []
        left = iter(read)
        for is_special, run in groupby(zip(frame.special_tokens_mask, frame.ids, strict=True), key=itemgetter(0)):
            parts.append([number for _, number in run] if is_special else next(left))
        return np.concatenate(parts).astype(np.int32)[:most]

    def _ids(self, text: str, most: int) -> np.ndarray:
        found: list[np.ndarray] = []
        number = 0
        for encoding in self.encodings(text):
            found.append(np.array(encoding.ids, np.int32))
            number += len(encoding.ids)
            if number >= most:
                break
        return np.concatenate(found or [np.zeros(0, np.int32)])

    def count(self, text: str) -> int:
        """The number of tokens of a text without special ones."""
        return sum(len(encoding.ids) for encoding in self.encodings(text))

    def encodings(self, text: str) -> Iterator[Any]:
        """The `Encoding` of each piece of a text, without special tokens."""
        for piece in self._pieces(text):
            yield self.backend.encode(piece, add_special_tokens=False)

    def _pieces(self, text: str) -> Iterator[str]:
        """A text in pieces of at least so many characters; each but the first begins with the space that parts it."""
        patterns = [_BETWEEN_WORDS, *([_BETWEEN_HAN] if self.parts_han else []), *([_ANY_SPACE] if self.at_any_space else [])]
        start = 0
        while start < len(text):
            least, most = start + self.piece, start + max(self.piece, _LONGEST_WORD)
            place = next(filter(None, (pattern.search(text, least, most) for pattern in patterns)), None)
            end = place.start() if place else most
            yield text[start:end]
            start = end
            if not place and self.gives_up_on_words and _LETTERS.fullmatch(text, end - 1000, end):
                start = _LETTERS.match(text, end).end()  # type: ignore[union-attr]

    def _joins(self, probe: tuple[str, ...]) -> bool:
        """Whether pieces that meet at a space give the tokens of the whole: not where the start of a text is special."""
        whole = self.backend.encode("".join(probe), add_special_tokens=False).ids
        return whole == [number for piece in probe for number in self.backend.encode(piece, add_special_tokens=False).ids]


class _Head:
    """The tokens of a text as far as they were read: the first ones, or the last ones where the beginning is cut."""

    def __init__(self, reader: LongTexts, text: str, most: int, direction: str) -> None:
        self.reader, self.text = reader, text
        self.kept: deque[Any] = deque()
        self.length = 0
        self._more = reader.encodings(text)
        self.complete = False
        if direction == "left":
            self._read_end(most)
        else:
            self.extend(most)

    def extend(self, least: int) -> None:
        """Read on until there are so many tokens, or no more."""
        while self.length < least and not self.complete:
            encoding = next(self._more, None)
            if encoding is None:
                self.complete = True
            else:
                self.kept.append(encoding)
                self.length += len(encoding.ids)

    def _read_end(self, most: int) -> None:
        for encoding in self._more:
            self.kept.append(encoding)
            self.length += len(encoding.ids)
            while self.length - len(self.kept[0].ids) >= most:
                self.length -= len(self.kept.popleft().ids)
        self.complete = True

    def merged(self) -> Any:
        """All that was read as one `Encoding`."""
        from tokenizers import Encoding

        return Encoding.merge(list(self.kept), growing_offsets=True) if len(self.kept) != 1 else self.kept[0]


def _keep_order(first: _Head, second: _Head) -> None:
    """Of two texts that are cut the longer one gets the token that is left over, so the longer one has to stay it."""
    if first.complete and second.complete:
        return
    if first.complete or second.complete:
        first_is_longer = not first.complete
    else:
        first_is_longer = first.reader.count(first.text) > second.reader.count(second.text)
    if first_is_longer:
        first.extend(second.length + 1)
    else:
        second.extend(first.length)


def _parts_words(state: dict[str, Any]) -> bool:
    """Whether a tokenizer, by its description, never looks up what reaches over a space."""
    if any(re.search(r"\s", token["content"]) for token in state["added_tokens"]):
        return False
    steps = state["pre_tokenizer"] or {}
    return any(_parts(step) for step in steps.get("pretokenizers", [steps]))


def _parts(step: dict[str, Any]) -> bool:
    kind = step.get("type")
    if kind == "ByteLevel":
        return step.get("use_regex", True)
    if kind == "Metaspace":
        return step.get("split", True)
    return kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit") or (
        kind == "Split" and "\\s" in str(step["pattern"].get("Regex", ""))
    )
