"""Where an ONNX file says that its numbers lie: beside it, or where another's files are. Read from its bytes, and nothing built.

A tensor of an ONNX graph may name a file that its numbers are read from. Not every version of ONNX Runtime keeps to the graph's
folder, so a graph that leads out of it is refused before it is opened. The format is protocol buffers: fields, each with a
number and a kind; those that hold others are walked into, and a tensor's numbers are stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorabert.errors import InputError
from lorabert.received import is_plain, oddity

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_MOST_BYTES = 2 << 30  # protocol buffers can be no larger
_DEEPEST = 40
# By the kind of message, its fields that hold messages, and of which kind. Numbers are ONNX's (onnx.proto).
_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "place"},
}


def check(graph: Path) -> None:
    """Check that an ONNX file keeps its numbers in itself, or in plain files of its folder.

    Raises:
        InputError: it names another place, or is no ONNX file.
    """
    if graph.stat().st_size > _MOST_BYTES:
        raise InputError(f"{graph} is too large to be an ONNX graph", got=f"{graph.stat().st_size:,} bytes")
    try:
        named = set(_places(memoryview(graph.read_bytes()), "model", 0))
    except ValueError as error:
        raise InputError(f"{graph} is no ONNX graph that can be read", got=str(error)) from None
    for name in sorted(named):
        odd = oddity(graph.parent / name, graph.parent) if is_plain(name) else "lies elsewhere"
        if odd is not None:
            raise InputError(f"{graph} reads a file that is none of its folder's", got=f"{name[:80]!a}, which {odd}",
                             expected="a graph that `lorabert export` made", fix="Export the adapter anew")  # fmt: skip


def _places(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """The names of the files that a message's tensors lie in."""
    if depth > _DEEPEST:
        raise ValueError(f"graphs in graphs, more than {_DEEPEST} levels")
    for number, content in _fields(message):
        inner = _INSIDE[kind].get(number)
        if inner == "place":
            words = {field: bytes(value).decode("utf-8", "replace") for field, value in _fields(content)}
            if words.get(1) == "location":
                yield words.get(2, "")
        elif inner is not None:
            yield from _places(content, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that hold bytes, with their numbers.

    Raises:
        ValueError: it is none.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        elif kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("it ends in the middle")
            yield number, message[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of the kind {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends in the middle")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
