"""YAML, and JSON with it, read within limits: a file of a few bytes must not take the memory or the stack of a machine.

What comes from a person holds a few hundred keys, some levels deep. So size, depth and the number of values, those that aliases
repeat included, have limits; a key stands once; tags make no objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lorabert.errors import InputError

MOST_BYTES = 1 << 20
_DEEPEST = 20
_MOST_VALUES = 10_000
_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map"))
_SHOWN = 200
_MERGE = "<<"
_TEXT = "tag:yaml.org,2002:str"
# The C parser is faster and reads the same; PyYAML may have been built without it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(ValueError):
    """A text that is not YAML, that goes beyond the limits, or that two readers could read differently; says where, in a line."""


class LimitError(DocumentError):
    """A text whose reading would take more than it may."""


def load(text: str) -> Any:
    """The value that a YAML or JSON text stands for.

    Raises:
        DocumentError: it is not YAML, is too large or too deep, repeats a key, or holds a tag.
    """
    check(text)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise DocumentError(_told(error, text)) from None


def check(text: str) -> None:
    """Hold a text against the limits without building anything of it.

    Raises:
        DocumentError: see `load`.
    """
    if len(text) > MOST_BYTES:
        raise LimitError(f"more than {MOST_BYTES:,} characters")
    try:
        _Check().events(yaml.parse(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise DocumentError(_told(error, text)) from None


def read(place: str) -> str:
    """The text of a configuration file: UTF-8, of at most a mebibyte; `-` is stdin.

    Raises:
        InputError: a folder, a file that is too large or that is not text.
        OSError: it cannot be read.
    """
    path = Path("/dev/stdin" if place == "-" else place)
    if path.is_dir():
        inside = next((path / name for name in ("config.yaml", "best.yaml") if (path / name).is_file()), None)
        raise InputError(f"{place} is a folder", expected="a YAML file", fix=f"Its file is {inside}" if inside else "")
    if path.is_fifo() and path.resolve().parts[1:2] not in (("dev",), ("proc",)):  # those are the shell's own, and are written to
        raise InputError(f"{place} is a pipe", expected="a YAML file", fix="Give what comes from it on stdin, with --config -")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{place} is no configuration", got="more than a mebibyte", expected="a YAML file of some lines")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place} is not UTF-8 text", got=f"byte 0x{content[error.start]:02x} at position {error.start}",
            expected="YAML in UTF-8", fix="Save it as UTF-8",
        ) from None  # fmt: skip


def _told(error: yaml.YAMLError, text: str) -> str:
    """What the parser finds wrong with a text, in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())[:_SHOWN]
    line = text.split("\n")[min(mark.line, text.count("\n"))]
    hint = "; YAML is indented with spaces, not with tabs" if line[mark.column : mark.column + 1] == "\t" else ""
    return f"{problem}{hint} (line {mark.line + 1}, column {mark.column + 1})"


class _Check:
    """Walks over the events of a text, which the parser gives one by one.

    Attributes:
        open: the collections around an event: for each, whether it is a mapping, the keys so far, whether a key is next, where
            its count of values began, and its anchor.
        sizes: how many values an anchor stands for; None while its collection is open.
    """

    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.sizes: dict[str, int | None] = {}
        self.values = self.documents = 0

    def events(self, events: Iterator[Any]) -> None:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    self._refuse(event, "a second document begins")
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)

    def _node(self, event: Any) -> None:
        self._in_its_place(event)
        before = self.values
        if isinstance(event, yaml.AliasEvent):
            size = self.sizes.get(str(event.anchor), 0)
            if size is None:
                self._refuse(event, f"*{event.anchor} stands inside of what it repeats", LimitError)
            self.values += size or 0
        else:
            self.values += 1
            if event.tag not in (None, "!", *_TAGS):
                self._refuse(event, f"the tag {event.tag}, and tags are not taken")
        if self.values > _MOST_VALUES:
            self._refuse(event, f"more than {_MOST_VALUES:,} values, those that aliases repeat included", LimitError)
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append(_Open(isinstance(event, yaml.MappingStartEvent), before, event.anchor))
            if len(self.open) > _DEEPEST:
                self._refuse(event, f"more than {_DEEPEST} levels, one inside the other", LimitError)
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            self.sizes[event.anchor] = None if isinstance(event, yaml.CollectionStartEvent) else 1

    def _close(self) -> None:
        closed = self.open.pop()
        if closed.anchor:
            self.sizes[closed.anchor] = self.values - closed.before

    def _in_its_place(self, event: Any) -> None:
        """Check an event that is a key; in a mapping keys and values take turns."""
        around = self.open[-1] if self.open else None
        if around is None or not around.mapping:
            return
        around.key_next = not around.key_next
        if around.key_next:  # so this was a value
            return
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a key that is not a word")
        tag = event.tag or _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag != _TEXT and event.value != _MERGE:
            self._refuse(event, f"the key {event.value or 'null'}, which YAML takes for a {tag.rpartition(':')[2]}: quote it")
        if event.value in around.keys:
            self._refuse(event, f"the key '{event.value}' a second time")
        around.keys.add(event.value)

    def _refuse(self, event: Any, what: str, kind: type[DocumentError] = DocumentError) -> None:
        raise kind(f"{what} (line {event.start_mark.line + 1})")


class _Open:
    """A collection whose end has not come yet."""

    def __init__(self, mapping: bool, before: int, anchor: str | None) -> None:
        self.mapping, self.before, self.anchor = mapping, before, anchor
        self.keys: set[str] = set()
        self.key_next = True


_RESOLVER = yaml.resolver.Resolver()
