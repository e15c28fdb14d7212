"""Files that are packed, that are something else than their name says, or that are no files."""

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import pytest

import tiny
from lorabert.data.tables import opening, read
from lorabert.errors import InputError

CSV = b"text,label\ngood film,pos\nbad film,neg\n"
COLUMNS = {"text": ["good film", "bad film"], "label": ["pos", "neg"]}


def written(name: str, content: bytes) -> Path:
    Path(name).write_bytes(content)
    return Path(name)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name if "/" in name else name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


PACKINGS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": lambda content: zipped(data_csv=content)}


@pytest.mark.parametrize("suffix", PACKINGS)
def test_packed_files_are_read_whether_or_not_their_name_says_so(suffix):
    told = read(written(f"data.csv{suffix}", PACKINGS[suffix](CSV)))
    assert (told.columns, told.notes) == (COLUMNS, ())
    lying = read(written("data.csv", PACKINGS[suffix](CSV)))
    assert lying.columns == COLUMNS
    [note] = lying.notes
    assert "and was unpacked" in note
    assert read(written(f"data.csv{suffix}", CSV)).columns == COLUMNS


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".json", ".parquet"])
def test_every_format_is_read_packed(suffix):
    contents = {
        ".tsv": CSV.replace(b",", b"\t"),
        ".jsonl": b'{"text": "good film", "label": "pos"}\n{"text": "bad film", "label": "neg"}\n',
        ".json": json.dumps(COLUMNS).encode(),
        ".parquet": tiny.write_parquet("a.parquet", *COLUMNS.values()).read_bytes(),
    }
    assert read(written(f"data{suffix}.gz", gzip.compress(contents[suffix]))).columns == COLUMNS
    assert read(written("one.zip", zipped(**{f"inner_{suffix[1:]}": contents[suffix]}))).columns == COLUMNS


def test_a_gzip_that_does_not_say_what_it_packs_is_refused():
    with pytest.raises(InputError, match=r"does not say what it holds.*reviews\.csv\.gz"):
        read(written("data.gz", gzip.compress(CSV)))


@pytest.mark.parametrize(
    "content",
    [gzip.compress(CSV)[:-9], gzip.compress(CSV)[:12], b"\x1f\x8b", b"BZh91AY&SYxxxx", b"\xfd7zXZ\0\0", b"PK\x03\x04rest"],
    ids=["cut", "shorter", "magic", "bzip2", "xz", "zip"],
)
@pytest.mark.parametrize("name", ["data.csv.gz", "data.csv", "data.jsonl"])
def test_a_damaged_packing_is_refused_in_words(content, name):
    with pytest.raises(InputError, match=r"damaged|unpack"):
        read(written(name, content))


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
def test_a_small_file_that_unpacks_to_too_much_is_refused_before_it_is_held(pack, monkeypatch):
    monkeypatch.setattr(opening, "_HARMLESS", 2**20)
    bomb = b"text,label\n" + b"a,b\n" * 2**20
    with pytest.raises(InputError, match=r"unpacks to more than \d MiB"):
        read(written("data.csv.gz", pack(bomb)))
    assert len(read(written("data.csv.gz", pack(b"text,label\n" + b"a,b\n" * 2**10)))) == 2**10


def test_an_archive_with_more_than_one_table_is_refused_and_listed():
    with pytest.raises(InputError, match=r"zip archive with 2 files.*train\.csv, test\.csv"):
        read(written("data.zip", zipped(train_csv=CSV, test_csv=CSV)))
    with pytest.raises(InputError, match=r"zip archive with no files"):
        read(written("data.zip", zipped(read_me=CSV)))
    assert read(written("data.zip", zipped(train_csv=CSV, **{"__MACOSX/train.csv": b""}, read_me=b"x"))).columns == COLUMNS


@pytest.mark.parametrize("name", ["sheet.xlsx", "sheet.csv", "sheet.zip"])
def test_a_workbook_is_told_to_be_saved_as_csv(name):
    with pytest.raises(InputError, match="Save the sheet as CSV UTF-8"):
        read(written(name, zipped(xl__workbook_xml=b"<x/>")))
    with pytest.raises(InputError, match="Save the sheet as CSV UTF-8"):
        read(written("old.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)))


def test_what_a_file_is_whatever_its_name_says_is_told():
    parquet = tiny.write_parquet("a.parquet", ["a"], ["b"]).read_bytes()
    for name, content, what in [
        ("a.csv", parquet, "Parquet"),
        ("a.jsonl", b"%PDF-1.7", "PDF"),
        ("a.csv", b"\x28\xb5\x2f\xfd12", "zstd"),
        ("a.csv", b"SQLite format 3\0", "SQLite"),
    ]:
        with pytest.raises(InputError, match=f"is .*{what}"):
            read(written(name, content))


def test_what_is_no_file_is_called_what_it_is():
    Path("folder").mkdir()
    with pytest.raises(InputError, match=r"folder is a folder, and a file is wanted\. Name a file"):
        read(Path("folder"))
    os.mkfifo("pipe.csv")
    with pytest.raises(InputError, match="no plain file"):
        read(Path("pipe.csv"))
    for name in ("nowhere.csv", "nowhere.csv.gz", "data.csv/inside.csv"):
        with pytest.raises(InputError, match="no such file"):
            read(Path(name))
    for name in ("a\0b.csv", "n" * 5000 + ".csv"):
        with pytest.raises(InputError):
            read(Path(name))


@pytest.mark.parametrize("outer", PACKINGS)
@pytest.mark.parametrize("inner", PACKINGS)
def test_what_is_packed_twice_is_said_to_be(outer, inner):
    with pytest.raises(InputError, match=r"is packed twice.*inside.*Unpack it once"):
        read(written(f"data.csv{outer}", PACKINGS[outer](PACKINGS[inner](CSV))))
