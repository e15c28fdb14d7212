"""Names that are not ours, labels above all, as people see them: nothing hidden in them acts, and long ones are shortened."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile

# They join letters of Persian and of Indian scripts, and parts of an emoji; all they can do is to be unseen.
_JOINERS = "\u200c\u200d"
_LONGEST_WORD = 200
_ENDLESS = re.compile(rf"\S{{{2 * _LONGEST_WORD},}}")
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(text: str, keep: str = "") -> str:
    r"""A text with control characters, marks of direction and the like as escapes (`\x1b`), so that a terminal only prints it.

    Args:
        text: anything.
        keep: characters that stay as they are, such as the line breaks between lines of ours.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter in keep or not _acts(letter) else _escape(letter) for letter in text)


def paragraph(message: str) -> str:
    """A message in one line, visible; a word that would fill the screen is shortened."""
    return _ENDLESS.sub(lambda word: _cut(word[0], _LONGEST_WORD), visible(" ".join(message.split("\n"))))


def _acts(letter: str) -> bool:
    return unicodedata.category(letter) in _ACTING and letter not in _JOINERS


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def escaped_json(document: str) -> str:
    r"""A JSON text in which the same characters stand as JSON escapes (`\u001b`); it means what it meant."""
    if document.isprintable():
        return document
    return "".join(letter if letter in "\n\r\t" or not _acts(letter) else _json_escape(letter) for letter in document)


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[start]:02x}{units[start + 1]:02x}" for start in range(0, len(units), 2))


def width(text: str) -> int:
    """Columns of a terminal that a text takes: two a character of East Asia, none a mark on another."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text
    )


def shortened(names: Sequence[str], most: int) -> list[str]:
    """Names of at most `most` columns each, visible, and different where they were different.

    A long name loses its middle; names that would be the same then show the place where they differ, or a number.
    """
    shown = [visible(name) for name in names]
    cut = {name: _cut(name, most) for name in shown}
    for alike in _same(cut):
        start = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*alike, strict=False)))
        cut |= {name: _cut(name, most, start) for name in alike}
    for alike in _same(cut):
        cut |= {name: f"{_cut(name, most - 2 - len(str(len(alike))))}~{number}" for number, name in enumerate(alike, 1)}
    return [cut[name] for name in shown]


def _same(cut: dict[str, str]) -> list[list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, short in cut.items():
        groups[short].append(name)
    return [names for names in groups.values() if len(names) > 1]


def _cut(name: str, most: int, start: int | None = None) -> str:
    """A name without its middle, or without what stands before and after a place in it."""
    if width(name) <= most:
        return name
    if start is None:
        half = (most - 1) // 2
        return f"{_fitting(name, most - 1 - half)}…{_fitting(name[::-1], half)[::-1]}"
    begin = _fitting(name, most // 3)
    rest = _fitting(name[max(len(begin), start) :], most - width(begin) - 2)
    return f"{begin}…{rest}" + ("" if name.endswith(rest) else "…")


def _fitting(name: str, most: int) -> str:
    """The beginning of a name that takes at most so many columns."""
    while width(name) > most:
        name = name[: -max(1, (width(name) - most) // 2)]
    return name
