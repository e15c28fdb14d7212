"""Labels that a reader takes for one: they differ by case, width, characters nobody sees, or letters of another script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

_MOST = 3
# Nothing is drawn for these: variation selectors, the joiner of graphemes, the fillers of Hangul, the blank of Braille.
_UNSEEN = {*map(chr, range(0xFE00, 0xFE10)), "\u034f", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800"}
# Cyrillic and Greek letters that fonts draw as a Latin one, by their lower case; hyphens and quotation marks.
_DRAWN_ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u043a\u043c\u0442\u043d\u0432"
    "\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c7\u03c5"
    "\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c\u201d",
    "aeopcyxijsdhkmthb" + "aopvikxu" + "------''\"\"",
)
_NUMBER = re.compile(r"(-?)0*([0-9]+)(?:\.([0-9]*?)0*)?")


def lookalikes(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that look alike, each in order; likeness of sound or sense is none."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        groups[_seen(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _seen(name: str) -> str:
    """What a reader who does not look closely sees of a name."""
    shape = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_DRAWN_ALIKE)
    visible = "".join(letter for letter in shape if unicodedata.category(letter) != "Cf" and letter not in _UNSEEN)
    words = " ".join("".join(letter if unicodedata.category(letter) != "Cc" else " " for letter in visible).split())
    if number := _NUMBER.fullmatch(words):
        sign, whole, fraction = number.groups()
        return f"{sign}{whole}.{fraction or ''}"
    return words


def sentence(labels: Iterable[str]) -> str:
    """One line that names the labels that look alike, with their rows; empty where there are none."""
    counts = Counter(labels)
    groups = lookalikes(counts)
    if not groups:
        return ""
    named = "; ".join(", ".join(f"{_told_apart(name, group)} ({counts[name]:,})" for name in group) for group in groups[:_MOST])
    more = f"; and {len(groups) - _MOST} more such groups" if len(groups) > _MOST else ""
    return f"labels look alike and are kept apart, as classes of their own: {named}{more}; write them alike if they mean the same"


def _told_apart(name: str, group: list[str]) -> str:
    """A name in quotation marks, with what cannot be seen as an escape, and other scripts' letters too where they deceive."""
    plain = [unicodedata.normalize("NFKC", other).casefold() for other in group]
    deceives = len({shape.translate(_DRAWN_ALIKE) for shape in plain}) < len(set(plain))
    return ascii(name) if deceives else repr(name)
