"""Texts to token ids: tokenised once, in batches, kept flat, cached by fingerprint.

An encoded split is one stream of tokens and the places where each example begins, with no padding anywhere:

    ids       [101 2023 2003 102 | 101 2204 102 | 101 ...]      int32, (tokens,)
    segments  [  0    0    0   0 |   0    0   0 |   0 ...]      uint8, (tokens,), pairs only
    offsets   [0                   4              7   ...]      int64, (examples + 1,)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lorabert import locks
from lorabert.data.long_texts import LONG, LONG_PAIR, LongTexts
from lorabert.data.sources import SPLITS, Split, Splits
from lorabert.errors import InputError
from lorabert.files import cache_folder, write_atomically
from lorabert.folders import clear_partial

_BATCH = 1000
_PATIENCE = 60.0
_CHARACTERS = 2**18  # of the texts of one call: a tokenizer takes some hundred bytes for each
MOST_COUNTED = 1_000_000
_FORMAT = 2
_DIGEST = hashlib.sha256().digest_size  # leads a cached file, so that a damaged one is made anew


@dataclass(frozen=True)
class EncodedSplit:
    """One split as token ids.

    Attributes:
        ids: token ids of all examples one after the other, (tokens,) int32.
        offsets: example i is ids[offsets[i]:offsets[i + 1]], (n + 1,) int64.
        segments: token types, (tokens,) uint8, or None where the tokenizer has none.
        labels: (n,) int64.
        truncated: number of examples that were longer than max_length.
    """

    ids: np.ndarray
    offsets: np.ndarray
    segments: np.ndarray | None
    labels: np.ndarray
    truncated: int

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, (n,)."""
        return np.diff(self.offsets)

    def rows(self, indices: np.ndarray) -> EncodedSplit:
        """Some of the examples, in the order of the indices."""
        source = self.positions(indices)
        segments = None if self.segments is None else self.segments[source]
        offsets = np.concatenate([[0], np.cumsum(self.lengths[indices])])
        return EncodedSplit(self.ids[source], offsets, segments, self.labels[indices], 0)

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """Where the tokens of some examples stand in the stream, example after example."""
        return np.concatenate([np.arange(0), *(np.arange(self.offsets[row], self.offsets[row + 1]) for row in indices)])


@dataclass(frozen=True)
class Encoded:
    """Train, validation and test as token ids."""

    train: EncodedSplit
    validation: EncodedSplit
    test: EncodedSplit


def encode(splits: Splits, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise all splits, or take them from the cache when the same texts met the same tokenizer before."""

    def encoded() -> Encoded:
        return Encoded(*(encode_split(getattr(splits, name), tokenizer, max_length, name) for name in SPLITS))

    if not tokenizer.is_fast:  # one in Python only does not tell what it does
        return encoded()
    key = hashlib.sha256(json.dumps([_FORMAT, splits.fingerprint(), _identity(tokenizer), max_length]).encode()).hexdigest()
    file = cache_folder() / "encoded" / key
    if (cached := _read(file)) is not None:
        return cached
    made = encoded()
    _write(file, made)
    return made


def encode_split(split: Split, tokenizer: Any, max_length: int, name: str = "", *, quiet: bool = False) -> EncodedSplit:
    """Tokenise one split in batches, cutting each example at max_length tokens, with a progress bar on stderr."""
    ids: list[list[int]] = []
    segments: list[list[int]] = []
    truncated = 0
    reader = cache(partial(LongTexts, tokenizer))
    for texts, pairs in _batches(split, name, quiet=quiet):
        with _naming_the_tokenizer():
            if tokenizer.is_fast and _is_long(texts, pairs):
                encoding = reader().encoded(texts[0], pairs[0] if pairs else None, max_length)
                made, encodings = {"input_ids": [encoding.ids], "token_type_ids": [encoding.type_ids]}, [encoding]
            else:
                made = tokenizer(texts, pairs, truncation=True, max_length=max_length)
                encodings = made.encodings or []
        ids += made["input_ids"]
        segments += made.get("token_type_ids", []) if "token_type_ids" in tokenizer.model_input_names else []
        truncated += sum(bool(encoding.overflowing) for encoding in encodings)
    if not tokenizer.is_fast:  # one in Python only does not tell what it cut
        full = [row for row, each in enumerate(ids) if len(each) == max_length]
        truncated = int((encode_whole(split.rows(full), tokenizer).lengths > max_length).sum())
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    types = np.concatenate(segments).astype(np.uint8) if segments and split.pairs else None
    flat = np.concatenate(ids).astype(np.int32) if ids else np.zeros(0, np.int32)
    return EncodedSplit(flat, offsets, types, split.labels, truncated)


def encode_whole(split: Split, tokenizer: Any) -> EncodedSplit:
    """Tokenise one split without segments and without a cut, unless at MOST_COUNTED tokens, with a progress bar on stderr."""
    ids: list[np.ndarray] = []
    reader = cache(partial(LongTexts, tokenizer))
    for texts, pairs in _batches(split):
        with _naming_the_tokenizer():
            if tokenizer.is_fast and _is_long(texts, pairs):
                ids.append(reader().ids(texts[0], pairs[0] if pairs else None, MOST_COUNTED))
            else:
                # Not verbose: it would warn that the model cannot take the longest, which nobody asks it to.
                lean = tokenizer(texts, pairs, verbose=False, return_attention_mask=False, return_token_type_ids=False)
                ids += [np.array(each, np.int32) for each in lean["input_ids"]]
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    return EncodedSplit(np.concatenate(ids) if ids else np.zeros(0, np.int32), offsets, None, split.labels, 0)


@contextmanager
def _naming_the_tokenizer() -> Iterator[None]:
    """Say whose failure it is: such as at a text of which it knows no word, and has no token for those.

    Raises:
        InputError: the tokenizer failed.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError, InputError):
        raise
    except BaseException as error:  # the library panics in Rust, which is no Exception
        got = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise InputError("The base's tokenizer fails on a text", got=got,
                         fix="Name another base, or mend its tokenizer") from error  # fmt: skip


def _batches(split: Split, name: str = "", *, quiet: bool = False) -> Iterator[tuple[list[str], list[str] | None]]:
    """Some texts at a time, with their second texts: many short ones, or a long one alone."""
    hidden: dict[str, Any] = {"disable": True} if quiet or len(split) < _BATCH else {}  # otherwise TQDM_DISABLE decides
    sizes = [len(text) for text in split.texts]
    if split.pairs:
        sizes = [size + len(pair) for size, pair in zip(sizes, split.pairs, strict=True)]
    with tqdm(total=len(split), desc=f"Tokenising {name}".strip(), unit="text", **hidden) as bar:
        for start, end in _stretches(sizes, LONG_PAIR if split.pairs else LONG):
            yield split.texts[start:end], split.pairs[start:end] if split.pairs else None
            bar.update(end - start)


def _stretches(sizes: list[int], long: int) -> Iterator[tuple[int, int]]:
    """Where to cut a split, by the characters of its examples, so that no call takes much memory."""
    start = characters = 0
    for row, size in enumerate(sizes):
        full = row - start >= _BATCH or characters + size > _CHARACTERS or max(size, sizes[start]) > long
        if row > start and full:
            yield start, row
            start = row
            characters = 0
        characters += size
    if sizes:
        yield start, len(sizes)


def _is_long(texts: list[str], pairs: list[str] | None) -> bool:
    return len(texts) == 1 and (len(texts[0]) + len(pairs[0]) > LONG_PAIR if pairs else len(texts[0]) > LONG)


def _identity(tokenizer: Any) -> list[Any]:
    """What decides a tokenizer's output; calling one changes the truncation and padding in its state, which do not."""
    state = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    return [state, tokenizer.model_input_names, tokenizer.truncation_side]


def _read(file: Path) -> Encoded | None:
    from safetensors.numpy import load

    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    arrays = load(payload)
    return Encoded(
        *(
            EncodedSplit(
                arrays[f"{name}.ids"],
                arrays[f"{name}.offsets"],
                arrays.get(f"{name}.segments"),
                arrays[f"{name}.labels"],
                int(arrays[f"{name}.truncated"][0]),
            )
            for name in SPLITS
        )
    )


def _write(file: Path, encoded: Encoded) -> None:
    """Keep the encoding for the next run; a cache that cannot be written costs time, not the run."""
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    for name in SPLITS:
        split: EncodedSplit = getattr(encoded, name)
        arrays |= {f"{name}.ids": split.ids, f"{name}.offsets": split.offsets, f"{name}.labels": split.labels}
        arrays[f"{name}.truncated"] = np.array([split.truncated])
        if split.segments is not None:
            arrays[f"{name}.segments"] = split.segments
    try:
        payload = save(arrays)
        file.parent.mkdir(parents=True, exist_ok=True)
        hold = locks.take(file.parent, "writes to", wait=_PATIENCE)
        try:
            clear_partial(file.parent)
            write_atomically(file, hashlib.sha256(payload).digest() + payload)
        finally:
            hold.release()
    except (OSError, InputError):
        return
