"""The bytes of a file, unpacked where they are packed, and the format that its name tells."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from lorabert import mistaken
from lorabert.errors import InputError

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt")
_PACKED = (".gz", ".bz2", ".xz", ".zip")
_PIECE = 2**20
# A small file may unpack to more than any memory holds; texts shrink to a tenth, the same row over and over to a hundredth.
_HARMLESS = 256 * 2**20
_LARGEST_RATIO = 100

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "Unpack it first, or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "Unpack it first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", "Save the sheet as CSV UTF-8"),
    (b"%PDF-", "a PDF document", "Copy its texts into a CSV file"),
    (b"SQLite format 3\0", "an SQLite database", "Export the table as CSV or Parquet"),
    (b"ARROW1\0\0", "an Arrow file", "Write it as Parquet"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "Write it as CSV or Parquet"),
)
_PACKINGS = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_OPEN: dict[str, Callable[[IO[bytes]], Any]] = {
    "gzip": lambda raw: gzip.GzipFile(fileobj=raw),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class File:
    """What a file holds: its bytes without packing, the suffix of their format, and what is to be said of it."""

    content: bytes
    suffix: str
    notes: tuple[str, ...] = ()


def opened(path: Path) -> File:
    """Read a file and unpack it by what its first bytes say, whatever its name says.

    Raises:
        InputError: it is missing, no plain file, of a format that is not read, damaged, or unpacks to too much.
    """
    _require_file(path)
    suffix = suffix_of(path.name)
    packed_name = path.suffix.lower() in _PACKED
    if not packed_name and suffix not in SUFFIXES:
        raise _unread(path, suffix)
    content = _content(path)
    name = _packing(content)
    if name == "zip":
        suffix, content = _zipped(path, content)
    elif name:
        content = _unpacked(path, _OPEN[name](io.BytesIO(content)), len(content), name)
    if name and (inner := _packing(content)):
        raise InputError(f"{path} is packed twice", got=f"{inner} inside {name}", expected="a file packed once, or not at all",
                         fix="Unpack it once, and name what comes out")  # fmt: skip
    if suffix not in SUFFIXES:
        got = f"packed with {name}" if name else "nothing that is packed"
        raise InputError(
            f"{path} does not say what it holds", got=got, expected="a name such as reviews.csv.gz or reviews.jsonl.gz"
        )
    _refuse_others(path, content, suffix)
    return File(content, suffix, (f"{path} is packed with {name}, and was unpacked",) if name and not packed_name else ())


def _packing(content: bytes) -> str:
    """What packed some bytes, as their beginning says; nothing for bytes that are not packed."""
    return next((name for magic, name in _PACKINGS.items() if content.startswith(magic)), "")


def suffix_of(name: str) -> str:
    """The suffix that tells the format: that before .gz and its like."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in _PACKED), "")


def _require_file(path: Path) -> None:
    try:
        if path.is_dir():
            inside = sorted(entry.name for entry in path.iterdir() if suffix_of(entry.name) in SUFFIXES)[:5]
            held = f"; it holds {', '.join(inside)}" if inside else ""
            raise InputError(f"{path} is a folder, and a file is wanted{held}", fix="Name a file inside it")
        there = path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)[:300]} cannot be read", got=str(getattr(error, "strerror", error)),
                         expected="the path of a file") from None  # fmt: skip
    if not there and path.is_symlink():
        raise InputError(f"{path} is a link that leads nowhere", fix="Mend the link, or name the file itself")
    if not there:
        raise InputError("There is no such file", got=str(path),
                         fix=mistaken.instead(path) or "Check the path, relative to the current folder")  # fmt: skip
    if not path.is_file():
        raise InputError(f"{path} is no plain file", got="a device or a pipe", fix="Write what comes from it to a file first")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read", got=str(error.strerror)) from None


def _unread(path: Path, suffix: str) -> InputError:
    sheets = suffix in (".xlsx", ".xls", ".ods", ".numbers")
    return InputError(
        f"{path} has a format that is not read",
        got=f"'{suffix}'",
        expected=f"one of {', '.join(SUFFIXES)}, or these packed as .gz, .bz2, .xz or .zip",
        fix="Save the sheet as CSV UTF-8" if sheets else "",
    )


def _refuse_others(path: Path, content: bytes, suffix: str) -> None:
    """Say what a file is that is plainly something else than its name says."""
    if suffix != ".parquet" and content.startswith(b"PAR1") and content.endswith(b"PAR1"):
        raise InputError(f"{path} is a Parquet file, whatever its name says", fix="Name it .parquet")
    for magic, what, fix in _MAGIC:
        if content.startswith(magic):
            raise InputError(f"{path} is {what}, whatever its name says", fix=fix)


def _unpacked(path: Path, stream: IO[bytes], packed: int, name: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := stream.read(_PIECE):
            size += len(piece)
            if size > max(_HARMLESS, _LARGEST_RATIO * packed):
                raise InputError(
                    f"{path} unpacks to more than {size // 2**20:,} MiB",
                    got=f"{packed:,} bytes packed with {name}",
                    expected=f"at most {_LARGEST_RATIO} times as much unpacked, or {_HARMLESS // 2**20} MiB",
                    fix="Unpack it yourself and see what it holds",
                )
            pieces.append(piece)
    except _BROKEN as error:
        raise InputError(
            f"{path} is damaged and cannot be unpacked", got=f"{name}: {error}", fix="Fetch or pack it again"
        ) from None
    return b"".join(pieces)


def _zipped(path: Path, content: bytes) -> tuple[str, bytes]:
    """The one file of a zip archive that is read, by its suffix."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        names: list[Any] = [entry for entry in archive.infolist() if not entry.is_dir()]
    except _BROKEN as error:
        raise _damaged(path, "zip", error) from None
    inside = [entry.filename for entry in names]
    if any(name.startswith("xl/") for name in inside) or "content.xml" in inside:
        raise InputError(f"{path} is a workbook of a spreadsheet", fix="Save the sheet as CSV UTF-8")
    found = [entry for entry in names if PurePath(entry.filename).suffix.lower() in SUFFIXES and "__MACOSX" not in entry.filename]
    if len(found) != 1:
        raise InputError(
            f"{path} is a zip archive with {len(found) or 'no'} files that are read",
            got=", ".join(inside[:5]) or "nothing",
            expected="one",
            fix="Unpack it and name the file",
        )
    try:
        with archive.open(found[0]) as stream:
            return PurePath(found[0].filename).suffix.lower(), _unpacked(path, stream, len(content), "zip")
    except _BROKEN as error:
        raise _damaged(path, "zip", error) from None


def _damaged(path: Path, name: str, error: Exception) -> InputError:
    return InputError(
        f"{path} is damaged or locked and cannot be unpacked", got=f"{name}: {error}", fix="Fetch or pack it again, or unpack it"
    )
