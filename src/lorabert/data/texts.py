"""What Python callers hand over as texts, decided once: one string is one text, whatever gives strings in order is a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from lorabert.data.cells import has_lone_surrogate

Texts = str | Iterable[str]


def listed(texts: Any, name: str = "texts") -> list[str]:
    """Texts as a list: of one string, of a list or tuple, a NumPy array, a pandas Series or a generator of strings.

    Args:
        texts: the texts.
        name: what the caller calls them.

    Raises:
        TypeError: none of these, or something in it is no string; the message says where and what.
        ValueError: a text holds half a character, which no tokenizer can read.
    """
    if isinstance(texts, str):
        return [str(texts)]
    if isinstance(texts, (bytes, Mapping, Set)) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise TypeError(f"{name} must be a string or a list of strings, not {_kind(texts)}{_WAY_OUT.get(_kind(texts), '')}")
    if len(getattr(texts, "shape", (0,))) != 1:
        raise TypeError(f"{name} must have one dimension, not the shape {texts.shape}: a string for each text")  # type: ignore[attr-defined]
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(
                f"{name}[{place}] must be a string, not {text!r:.80} ({_kind(text)}): leave it out or put a text there"
            )
        if has_lone_surrogate(text):
            raise ValueError(f"{name}[{place}] holds half a character, which no tokenizer can read: {text!a:.80}")
    return [str(text) for text in found]


def paired(texts: Any, pairs: Any) -> tuple[list[str], list[str] | None]:
    """Texts and their second texts as lists of one length; None where there are no second texts.

    Raises:
        TypeError: either is nothing that `listed` takes.
        ValueError: there are more of the one than of the other.
    """
    firsts = listed(texts)
    if pairs is None:
        return firsts, None
    seconds = listed(pairs, "pairs")
    if len(firsts) != len(seconds):
        raise ValueError(f"there must be a second text for each text, but there are {len(firsts)} texts and {len(seconds)} pairs")
    return firsts, seconds


_WAY_OUT = {
    "DataFrame": ": name one of its columns",
    "dict": ": give its values as a list",
    "set": ", whose order is by chance: give a list",
    "frozenset": ", whose order is by chance: give a list",
    "bytes": ": decode them first",
}


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
