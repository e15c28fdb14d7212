"""Bytes to characters, and characters to lines."""

from __future__ import annotations

import re

from lorabert.data.tables.table import PREFIX
from lorabert.errors import InputError

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def decoded(content: bytes, origin: str, encoding: str, prefix: str = PREFIX) -> str:
    """The text of a file's bytes, without a mark of their order.

    Args:
        content: the bytes.
        origin: where they come from, for messages.
        encoding: its name in Python.
        prefix: as `read` takes it.

    Raises:
        InputError: no such encoding, or bytes that are none in it (with the line).
    """
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = content.count(b"\n", 0, start) + 1
        guess = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"
        raise _another(
            origin, encoding, f"the byte 0x{content[start]:02x} in line {line}" if content else "no bytes", prefix, guess
        ) from None
    except (LookupError, ValueError):
        raise InputError(
            "No such encoding", got=f"'{encoding[:80]}'", expected="utf-8, cp1252, utf-16 or another that Python knows"
        ) from None
    start = content[:1000]
    if "\0" in text and min(len(start), 1000) >= 2 and 2 * max(start[::2].count(0), start[1::2].count(0)) > len(start) // 2:
        guess = "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
        raise _another(origin, encoding, "every other byte 0x00", prefix, guess)
    return text


def _another(origin: str, encoding: str, got: str, prefix: str, guess: str) -> InputError:
    return InputError(
        f"{origin} is not in the encoding {encoding}",
        got=got,
        fix=f"Save it as UTF-8, or name its encoding, perhaps {prefix}encoding {guess}",
    )


def lines_of(text: str) -> list[str]:
    """The lines of a text with what ends them; only a line feed, a carriage return or both end a line."""
    return _LINE.findall(text)
