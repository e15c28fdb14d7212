"""Delimiters inside of headers, rows that are broken, and rows that spreadsheets leave."""

import time
from pathlib import Path

import pytest

from lorabert.config import DataConfig
from lorabert.data import sources
from lorabert.data.tables import read
from lorabert.errors import InputError

SKIP = DataConfig(skip_bad_rows=True)


def written(content: str, name: str = "data.csv") -> Path:
    Path(name).write_text(content, encoding="utf-8")
    return Path(name)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"text, as it was said";label', ["text, as it was said", "label"]),
        ('"a, b, c, d";label', ["a, b, c, d", "label"]),
        ("text, as it was said;label", ["text, as it was said", "label"]),
        ('"one\ntext; two, three";label', ["one\ntext; two, three", "label"]),
        ("label|the, text; or|more", None),
    ],
)
def test_a_delimiter_inside_of_a_header_does_not_decide(header, names):
    row = "good, very good;pos\nbad;neg\n" if names else "pos|good, very good|1\nneg|bad|2\n"
    assert list(read(written(f"{header}\n{row}")).columns) == (names or ["label", "the, text; or", "more"])
    assert len(read(written(f"{header}\n{row}"))) == 2


@pytest.mark.parametrize("end", [",,,\n,,,\n", ",\n", "\n\n", " , \n,\n", '"",""\n'])
def test_empty_rows_at_the_end_are_dropped_and_counted(end):
    table = read(written(f"text,label\na,x\nb,y\n{end}"))
    assert table.columns == {"text": ["a", "b"], "label": ["x", "y"]}
    dropped = sum("," in line for line in end.splitlines())
    assert table.notes == ((f"data.csv: {dropped} empty rows at its end were left out",) if dropped else ())


def test_empty_rows_in_between_are_named_and_can_be_left_out():
    rows = [f"text {row},{row % 2}" for row in range(40)]
    path = written("\n".join(["text,label", *rows[:20], ",,,", ",", *rows[20:]]))
    with pytest.raises(InputError, match=r"no text in column 'text' in line 22, line 23.*--data\.skip_bad_rows true"):
        sources.load(DataConfig(train=str(path)))
    splits = sources.load(DataConfig(train=str(path), skip_bad_rows=True))
    assert splits.skipped == {"train": 2}
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 40


def test_empty_fields_to_the_right_are_no_fields():
    assert read(written("text,label\na,x,,\nb,y\n")).columns == {"text": ["a", "b"], "label": ["x", "y"]}
    with pytest.raises(InputError, match="3 fields"):
        read(written("text,label\na,x,1\nb,y\n"))


def test_broken_rows_are_named_all_and_left_out_when_asked():
    path = written('text,label\na,x\nb\nc,y,z\n"d" e,x\nf,y\n"g,x\nh,y\n')
    with pytest.raises(InputError, match=r"broken row in line 3, and 3 more: line 4, line 5, line 7"):
        read(path)
    table = read(path, SKIP)
    assert table.columns == {"text": ["a", "f", "h"], "label": ["x", "y", "y"]}
    assert table.lines == [2, 6, 8]
    assert list(table.broken) == ["line 3", "line 4", "line 5", "line 7"]
    assert table.broken_rows() == "4 broken rows: line 3, line 4, line 5, line 7"


@pytest.mark.parametrize("row", ['"a""', '"a', 'a"b"', '"""a', '"a"b', '""a""'])
def test_quotes_that_are_never_closed_cost_little_time(row):
    path = written("text,label\na,x\n" + f"{row}\n" * 20_000)
    begun = time.perf_counter()
    assert len(read(path, SKIP)) == 1
    assert time.perf_counter() - begun < 20


def test_broken_lines_of_jsonl_are_left_out_when_asked():
    path = written('{"text": "a"}\n{"text": \n[1]\n{"text": "b"}\n', "a.jsonl")
    table = read(path, SKIP)
    assert (table.columns, table.lines, list(table.broken)) == ({"text": ["a", "b"]}, [1, 4], ["line 2", "line 3"])


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("csv", "\t"), ("csv", "|"), ("tsv", "\t")])
def test_every_delimiter_line_end_and_encoding_gives_the_same_rows(ending, encoding, suffix, delimiter):
    rows = [["text", "label"], ["gr\u00fcn, ja", "x"], ["two\nlines", "y"], ["", ""]]
    lines = [delimiter.join(f'"{cell}"' if "\n" in cell or delimiter in cell else cell for cell in row) for row in rows]
    Path(f"a.{suffix}").write_bytes((ending.join(lines) + ending).encode(encoding))
    found = read(Path(f"a.{suffix}"), DataConfig(encoding=encoding))
    assert found.columns == {"text": ["gr\u00fcn, ja", "two\nlines"], "label": ["x", "y"]}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_no_text_full_of_nul(encoding):
    Path("a.csv").write_bytes("text,label\na,x\n".encode(encoding))
    with pytest.raises(InputError, match=f"perhaps --data.encoding {encoding}"):
        read(Path("a.csv"))


@pytest.mark.parametrize("name", ["hex", "rot13", "idna", "punycode", "undefined", "a\0b", "x" * 1000])
def test_an_encoding_that_is_none_for_texts_is_refused(name):
    with pytest.raises(InputError):
        read(written("text,label\n\u00e4\u00e4,x\n"), DataConfig(encoding=name))


def test_a_text_a_line_is_for_texts_without_labels():
    path = written("good film\r\n\r\nbad, very bad\n\n", "a.txt")
    table = read(path, labelled=False)
    assert (table.columns, table.lines) == ({"text": ["good film", "", "bad, very bad"]}, [1, 2, 3])
    with pytest.raises(InputError, match=r"says no labels.*\.tsv or \.csv"):
        read(path)
