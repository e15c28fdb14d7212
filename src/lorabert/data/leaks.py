"""Texts that stand in more than one split: whoever learnt them has seen the answers."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_PIECE = 1 << 16
_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class Shared:
    """What two splits have in common.

    Attributes:
        first: the split that is learnt from, or chosen by.
        second: the one that is measured on.
        examples: of the second, whose text stands in the first too, but for case and white space.
        exact: of these, the ones that stand there letter for letter.
        of: examples of the second.
    """

    first: str
    second: str
    examples: int
    exact: int
    of: int

    def sentence(self) -> str:
        """What is shared, for people."""
        others = f", {self.exact:,} letter for letter, the others but for case or white space"
        return f"{self.examples:,} texts stand in both {self.first} and {self.second}" + (
            others if self.exact < self.examples else ""
        )


def shared(splits: Sequence[tuple[str, Iterable[tuple[str, ...]]]]) -> list[Shared]:
    """What each two splits have in common, the empty commons left out.

    Args:
        splits: name and texts of each, in order; a text is a tuple, of two for pairs.
    """
    listed = [(name, list(texts)) for name, texts in splits]
    exact = {name: set(texts) for name, texts in listed}
    folded = {name: [_folded(text) for text in texts] for name, texts in listed}
    found = []
    for (first, _), (second, texts) in itertools.combinations(listed, 2):
        known = set(folded[first])
        same = sum(text in known for text in folded[second])
        if same:
            found.append(Shared(first, second, same, sum(text in exact[first] for text in texts), len(texts)))
    return found


def _folded(text: tuple[str, ...]) -> tuple[bytes, ...]:
    """What stands for a text whatever its case and white space: a digest, as there may be millions of texts, or a huge one."""
    return tuple(map(_digest, text))


def _digest(part: str) -> bytes:
    found = hashlib.sha256()
    between = b""
    for piece in _pieces(part):
        if words := " ".join(unicodedata.normalize("NFC", piece).casefold().split()):
            found.update(between + words.encode("utf-8", "surrogatepass"))
            between = b" "
    return found.digest()


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces that meet at white space: the words of a whole one, each an object, take ten times its memory."""
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + _PIECE) if start + _PIECE < len(text) else None
        end = space.start() if space else len(text)
        yield text[start:end]
        start = end
