"""Texts that stand in a file with more than one label: whichever is right, the others teach what is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from lorabert.errors import quoted

_LONGEST_TEXT = 60


def conflicts(labelled: Iterable[tuple[tuple[str, ...], str]]) -> dict[tuple[str, ...], list[str]]:
    """The labels of each text that has several, in their order.

    Args:
        labelled: text and label of each example; a text is a tuple, of two for pairs.
    """
    seen: dict[tuple[str, ...], set[str]] = {}
    for text, label in labelled:
        seen.setdefault(text, set()).add(label)
    return {text: sorted(labels) for text, labels in seen.items() if len(labels) > 1}


def sentence(labelled: Iterable[tuple[tuple[str, ...], str]]) -> str | None:
    """How many texts have several labels, and one of them; nothing where none has."""
    found = conflicts(labelled)
    if not found:
        return None
    text, labels = next(iter(found.items()))
    shown = " | ".join(" ".join(part[: 2 * _LONGEST_TEXT].split()) for part in text)
    start = shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}…"
    many = f"{len(found):,} texts stand" if len(found) > 1 else "one text stands"
    return f"{many} there with different labels: {start!r} as {quoted(labels)}"
