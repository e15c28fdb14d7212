"""Files to columns, and the line of whatever is broken."""

import json
import sys
from pathlib import Path

import pytest

import tiny
from lorabert.config import DataConfig
from lorabert.data.columns import Columns, find
from lorabert.data.tables import read
from lorabert.errors import InputError


def written(content: str | bytes, name: str = "data.csv") -> Path:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path(name)


PLAIN = {"text": ["good film", "bad, slow film", 'a "cult" film'], "label": ["pos", "neg", "pos"]}
CSV = 'text,label\ngood film,pos\n"bad, slow film",neg\n"a ""cult"" film",pos\n'


def test_csv_is_read_with_the_line_of_each_row():
    table = read(written(CSV))
    assert table.columns == PLAIN
    assert table.lines == [2, 3, 4]
    assert len(table) == 3
    assert table.place(1) == "line 3"
    assert table.places([0, 1, 2], most=2) == "line 2, line 3 and 1 more"


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + CSV,
        CSV.replace("\n", "\r\n"),
        CSV.replace("\n", "\r"),
        CSV.rstrip("\n"),
        CSV.replace("\n", "\n\n"),
        CSV.replace("text,label", " text , label "),
    ],
    ids=["bom", "crlf", "cr", "no-last-newline", "blank-lines", "spaces-in-header"],
)
def test_csv_is_read_alike_whatever_editor_wrote_it(content):
    assert read(written(content)).columns == PLAIN


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_the_header_has_most_of(delimiter):
    content = f'id{delimiter}text{delimiter}label\n1{delimiter}"a{delimiter}b, c; d | e"{delimiter}x\n'
    assert read(written(content)).columns == {"id": ["1"], "text": [f"a{delimiter}b, c; d | e"], "label": ["x"]}


# Excel's way to tell itself the delimiter; and what it leaves where a first row was emptied.
@pytest.mark.parametrize("lead", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n\n", "\n", " \r\n", ";;\n"])
def test_the_header_is_the_first_line_that_names_columns(lead):
    table = read(written(lead + "id;text;label\n1;a, b, c, d;x\n"))
    assert table.columns == {"id": ["1"], "text": ["a, b, c, d"], "label": ["x"]}
    assert table.lines == [lead.count("\n") + 2]


def test_a_delimiter_that_the_first_line_tells_is_taken_whatever_the_header_holds():
    assert read(written("sep=|\nlabel|text, as it was said, or not\nx|a\n")).columns["label"] == ["x"]
    assert read(written("sep=\t\ntext\tlabel\na\tx\n")).columns == {"text": ["a"], "label": ["x"]}
    assert read(written("sep=;\ntext;label\na;x\n", "data.tsv")).columns == {"text": ["a"], "label": ["x"]}


def test_the_header_ends_with_its_line_whatever_ends_lines():
    assert read(written("text,label\ra; b; c; d,x\r")).columns == {"text": ["a; b; c; d"], "label": ["x"]}


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-8"])
def test_a_named_encoding_is_used(encoding):
    content = "text,label\ncafé – naïve,größe\n" if encoding != "latin-1" else "text,label\ncafé naïve,größe\n"
    table = read(written(content.encode(encoding)), DataConfig(encoding=encoding))
    assert table.columns["label"] == ["größe"]
    assert table.columns["text"][0].startswith("café")


@pytest.mark.parametrize(
    ("encoding", "line", "guess"), [("cp1252", 3, "cp1252"), ("utf-16", 1, "utf-16")], ids=["cp1252", "utf-16"]
)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_another_encoding_is_refused_with_the_line_and_a_guess(encoding, line, guess, suffix):
    path = written("text,label\nplain,x\ncafé,y\n".encode(encoding), f"data.{suffix}")
    with pytest.raises(InputError, match=f"in line {line}.*--data.encoding {guess}"):
        read(path)


def test_the_encoding_is_advised_as_the_command_calls_it():
    with pytest.raises(InputError, match="perhaps --encoding cp1252"):
        read(written("text,label\ncafé,y\n".encode("cp1252")), prefix="--")
    assert read(written(CSV), prefix="--").prefix == "--"
    assert read(written('{"text": "a", "label": 1}', "a.jsonl"), prefix="--").prefix == "--"
    assert read(tiny.write_parquet("a.parquet", ["a"], [1]), prefix="--").prefix == "--"


def test_an_unknown_encoding_is_refused():
    with pytest.raises(InputError, match="No such encoding"):
        read(written(CSV), DataConfig(encoding="utf-9"))


def test_a_byte_order_mark_is_dropped_in_every_encoding():
    assert list(read(written(("\ufeff" + CSV).encode("utf-16-le")), DataConfig(encoding="utf-16-le")).columns) == [
        "text",
        "label",
    ]


# ---- broken rows

MULTI_LINE = 'text,label\n"one\ntwo\nthree",x\n'


@pytest.mark.parametrize(
    ("content", "line", "got"),
    [
        ("text,label\na,x\nb,x,y\nc,y\n", 3, "3 fields"),
        ("text,label\na,x\nb\nc,y\n", 3, "1 fields"),
        ("text,label\na,x\n\n\nb\n", 5, "1 fields"),
        (MULTI_LINE + "b\n", 5, "1 fields"),
        (MULTI_LINE.replace("\n", "\r\n") + "b\r\n", 5, "1 fields"),
        (MULTI_LINE + 'good,x\n"never closed,y\nmore,x\nmore,y\n', 6, "unexpected end"),
        (MULTI_LINE + '"closed" too early,y\nmore,x\n', 5, "expected after"),
    ],
    ids=["too-many", "too-few", "after-blank", "after-multi-line", "after-crlf", "unclosed", "text-after-quote"],
)
def test_a_broken_row_is_refused_with_its_own_line(content, line, got):
    with pytest.raises(InputError, match=rf"broken row in line {line}\b") as refused:
        read(written(content))
    assert got in str(refused.value)


def test_rows_after_a_text_of_several_lines_keep_their_lines():
    table = read(written(MULTI_LINE + "\nb,y\n"))
    assert table.columns["text"] == ["one\ntwo\nthree", "b"]
    assert table.lines == [2, 6]


def test_columns_of_one_name_are_refused():
    for content, named in (("text,label,text\na,x,b\n", DataConfig()), ("a,b,a\nx,y,z\n", DataConfig(text="a", label="b"))):
        with pytest.raises(InputError, match=r"more than one column of the same name.*'(text|a)', which is the text"):
            find(read(written(content), named), named)


def test_columns_of_one_name_that_nothing_reads_are_no_obstacle():
    table = read(written("id,id,text,label\n1,2,a,x\n"))
    assert table.columns == {"id": ["1"], "text": ["a"], "label": ["x"]}
    assert find(table, DataConfig()) == Columns("text", None, "label", None)
    with pytest.raises(InputError, match="'id', which is the group"):
        find(table, DataConfig(group="id"))


def test_columns_without_a_name_are_dropped_where_they_are_empty():
    assert read(written("text,label,,\na,x,,\nb,y, ,\n")).columns == {"text": ["a", "b"], "label": ["x", "y"]}
    assert read(written(",text,label\n7,a,x\n")).columns == {"column_1": ["7"], "text": ["a"], "label": ["x"]}


# The spam collection that many learn on: texts that hold commas have run over into columns without a name.
def test_columns_without_a_name_that_hold_something_are_named_by_their_place():
    table = read(written("v1,v2,,,\nham,a,,,\nspam,b,more,,1\n"))
    assert table.columns == {"v1": ["ham", "spam"], "v2": ["a", "b"], "column_3": ["", "more"], "column_5": ["", "1"]}
    assert find(table, DataConfig(text="v2", label="v1")).text == "v2"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ""),
        ("a.csv", "text,label\n"),
        ("a.csv", "\n\n"),
        ("a.tsv", ""),
        ("a.jsonl", "\n \n"),
        ("a.csv", b"\xef\xbb\xbf"),
        ("a.csv", "sep=;\n"),
        ("a.csv", "sep=;"),
        ("a.csv", "sep=\r\n"),
        ("a.csv", 'sep="\n'),
        ("a.csv", ",,\n,,\n"),
    ],
    ids=[
        "empty",
        "header-only",
        "blank",
        "tsv",
        "jsonl",
        "bom-only",
        "sep-line",
        "sep-alone",
        "sep-nothing",
        "sep-quote",
        "delimiters",
    ],
)
def test_a_file_without_rows_is_refused(name, content):
    with pytest.raises(InputError, match="holds no rows"):
        read(written(content, name))


def test_nul_bytes_are_refused_or_kept_but_never_a_crash():
    path = written("text,label\na\0b,x\nc,y\n")
    if sys.version_info < (3, 11):  # its csv module refuses them
        with pytest.raises(InputError, match="line 2"):
            read(path)
    else:
        assert read(path).columns == {"text": ["a\0b", "c"], "label": ["x", "y"]}


def test_a_very_long_field_is_read():
    assert len(read(written(f"text,label\n{'a' * 200_000},x\n")).columns["text"][0]) == 200_000


def test_a_missing_file_and_an_unknown_format_are_refused():
    with pytest.raises(InputError, match=r"no such file.*nowhere\.csv"):
        read(Path("nowhere.csv"))
    with pytest.raises(InputError, match=r"'\.xlsx'.*\.csv"):
        read(written("", "data.xlsx"))
    assert read(written(CSV, "DATA.CSV")).columns == PLAIN


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_folder_with_a_files_name_is_refused(suffix):
    Path(f"folder.{suffix}").mkdir()
    Path(f"folder.{suffix}", "train.csv").touch()
    with pytest.raises(InputError, match=r"is a folder.*holds train\.csv"):
        read(Path(f"folder.{suffix}"))


# ---- TSV


def test_tsv_takes_lone_quotes_for_characters():
    path = written('text\tlabel\n"Never again\tneg\nsay "yes", please\tpos\n5" screen\tpos\n', "data.tsv")
    table = read(path)
    assert table.columns["text"] == ['"Never again', 'say "yes", please', '5" screen']
    assert table.lines == [2, 3, 4]


def test_tsv_reads_quoted_fields_too():
    assert read(written('text\tlabel\n"one\ttwo"\tx\n', "data.tsv")).columns == {"text": ["one\ttwo"], "label": ["x"]}


def test_tsv_with_a_broken_row_is_refused_with_its_line():
    with pytest.raises(InputError, match=r"line 3\b"):
        read(written('text\tlabel\n"a\tx\nb\n', "data.tsv"))


# A text that opens with a quote and a later one that ends with a quote: unquoted TSV, as SST-2's own files are.
def test_tsv_with_two_lone_quotes_in_different_rows_loses_no_row():
    table = read(written('text\tlabel\n"Never again\tneg\nplain\tpos\nsaid nobody"\tneg\n', "data.tsv"))
    assert table.columns["label"] == ["neg", "pos", "neg"]


# ---- JSONL


def test_jsonl_keeps_line_separators_inside_a_text_and_the_lines_of_rows():
    rows = [{"text": "one\u2028two\x85three\x0bfour", "label": 1}, {"text": "x", "label": 0, "more": None}]
    table = read(written("\n".join(json.dumps(row, ensure_ascii=False) for row in [rows[0], rows[1]]) + "\n\n", "a.jsonl"))
    assert table.columns == {"text": [rows[0]["text"], "x"], "label": [1, 0], "more": [None, None]}
    assert table.lines == [1, 2]
    assert read(written("\r\n\r\n".join(map(json.dumps, rows)), "b.ndjson")).lines == [1, 3]


@pytest.mark.parametrize(
    "line", ['{"text": "a"', "{'text': 1}", "[1]", '"text"', "null", "NaN", "text,label"], ids=["cut", "quotes", *"asnx", "csv"]
)
def test_a_broken_jsonl_line_is_refused_with_its_line(line):
    with pytest.raises(InputError, match=r"broken row in line 4\b"):
        read(written('{"text": "a", "label": 1}\n\n{"text": "b", "label": 1}\n' + line + "\n", "a.jsonl"))


# ---- Parquet


def test_parquet_brings_the_names_that_its_class_label_declares():
    texts, labels = tiny.reviews(6, 3)
    table = read(tiny.write_parquet("a.parquet", texts, labels, ["zebra", "apple", "mango"]))
    assert table.columns == {"text": texts, "label": labels}
    assert table.declared == {"label": ["zebra", "apple", "mango"]}
    assert table.place(0) == "row 1"
    assert read(tiny.write_parquet("b.parquet", texts, labels)).declared == {}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text,label\na,x\n", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_refused(content):
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read(written(content, "a.parquet"))


def test_parquet_without_rows_is_refused():
    with pytest.raises(InputError, match="holds no rows"):
        read(tiny.write_parquet("a.parquet", [], []))


def test_every_format_gives_the_same_texts():
    texts, labels = tiny.reviews(20, 2)
    found = [
        read(tiny.write_csv("a.csv", texts, labels)),
        read(tiny.write_jsonl("a.jsonl", texts, labels)),
        read(tiny.write_parquet("a.parquet", texts, labels)),
        read(written("text\tlabel\n" + "".join(f"{t}\t{y}\n" for t, y in zip(texts, labels, strict=True)), "a.tsv")),
    ]
    assert all(table.columns["text"] == texts for table in found)
    assert all([int(label) for label in table.columns["label"]] == labels for table in found)
