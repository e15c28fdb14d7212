"""Any bytes under any name of a data file end in rows or in an InputError: no other exception, no hang."""

import bz2
import gzip
import json
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest

import tiny
from lorabert.config import DataConfig
from lorabert.data import sources, tables
from lorabert.errors import InputError

SUFFIXES = ("csv", "tsv", "json", "jsonl", "parquet", "txt", "csv.gz", "jsonl.bz2", "json.zip")
PIECES = [b'"', b'""', b",", b";", b"\t", b"|", b"\n", b"\r", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"[", b"}", b"]", b"NaN",
          b"1e999", b"-1e999", b"\\ud800", b"\\", b"sep=;\n", b"sep=,", b"9" * 5000, b"[" * 2000, b"PAR1",
          b"\x1f\x8b", b"PK\x03\x04", b"text", b"label", b"null", b'{"text": "a", "label": 1}\n', b"text,label\n", b" " * 500,
          "é日本😀".encode()]  # fmt: skip


def seeds() -> list[bytes]:
    """Good files of every format, to be spoilt."""
    texts, labels = tiny.reviews(12, 2)
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    plain = tiny.write_csv("seed.csv", texts, labels).read_bytes()
    lines = tiny.write_jsonl("seed.jsonl", texts, labels).read_bytes()
    parquet = tiny.write_parquet("seed.parquet", texts, labels, ["a", "b"]).read_bytes()
    return [
        b"",
        plain,
        lines,
        parquet,
        json.dumps(rows).encode(),
        gzip.compress(plain),
        bz2.compress(lines),
        plain.decode().encode("utf-16"),
    ]


def spoilt(content: bytes, rng: random.Random) -> bytes:
    """A file with some of its bytes changed, cut out, doubled or put in."""
    for _ in range(rng.randint(1, 6)):
        place = rng.randint(0, len(content))
        until = min(len(content), place + rng.choice([0, 0, 1, 2, 20, 200]))
        new = rng.choice([rng.choice(PIECES), rng.randbytes(rng.randint(0, 8)), content[place:until] * 2])
        content = content[:place] + new + content[until:]
    return content


def use(number: int, originals: list[bytes]) -> None:
    rng = random.Random(number)
    path = Path(f"file.{rng.choice(SUFFIXES)}")
    path.write_bytes(spoilt(rng.choice(originals), rng))
    data = DataConfig(
        train=str(path),
        header=rng.choice(["auto", "first", "none"]),
        skip_bad_rows=rng.random() < 0.5,
        encoding=rng.choice(["utf-8", "utf-8", "utf-16", "cp1252"]),
    )
    begun = time.perf_counter()
    for read in (lambda: tables.read(path, data, labelled=False), lambda: sources.load(data).fingerprint()):
        with suppress(InputError):
            read()
    assert time.perf_counter() - begun < 30


@pytest.mark.parametrize("share", range(4))
def test_spoilt_files_end_in_rows_or_in_a_refusal(share):
    originals = seeds()
    for number in range(share * 50, share * 50 + 50):
        use(number, originals)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(20))
def test_many_spoilt_files_end_in_rows_or_in_a_refusal(share):
    originals = seeds()
    for number in range(1000 + share * 1000, 2000 + share * 1000):
        use(number, originals)
