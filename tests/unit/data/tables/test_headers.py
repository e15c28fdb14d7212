"""A first row that is data is no header; and a header, however odd, is none of the data."""

import random
from pathlib import Path

import pytest

import tiny
from lorabert.config import DataConfig
from lorabert.data import sources
from lorabert.data.tables import read
from lorabert.errors import InputError

TEXTS, LABELS = tiny.reviews(60, classes=3)
NAMES = [tiny.CLASS_NAMES[label] for label in LABELS]
SHORT = [" ".join(text.split()[:3]) for text in TEXTS]
IDS = [f"r{number:04d}" for number in range(60)]
DATES = [f"2024-01-{1 + number % 28:02d} 10:00" for number in range(60)]
NUMBERS = [str(label) for label in LABELS]
CHINESE = [("这部电影很好看" + "演员也不错" * (1 + row % 3)) if row % 2 else "剧情太无聊了浪费时间" for row in range(60)]
ANSWERS = [f"I liked that {text} and will come back." for text in TEXTS]
WORDS = [random.Random(row).choice(tiny.WORDS) + str(row % 7) for row in range(60)]


def file(*columns: list[str], header: tuple[str, ...] | None = None, rows: int = 60, name: str = "data.tsv") -> Path:
    lines = ["\t".join(row) for row in zip(*(column[:rows] for column in columns), strict=True)]
    Path(name).write_text("\n".join([*(["\t".join(header)] if header else []), *lines]) + "\n", encoding="utf-8")
    return Path(name)


DATA = {
    "text and class": (TEXTS, NAMES),
    "class and text": (NAMES, TEXTS),
    "text and number": (TEXTS, NUMBERS),
    "number and two texts": (NUMBERS, SHORT, TEXTS),
    "id, text, class": (IDS, TEXTS, NAMES),
    "number, date, text": (NUMBERS, DATES, TEXTS),
    "number, a constant, text": (NUMBERS, ["NO_QUERY"] * 60, TEXTS),
    "row number, text, class": ([str(row) for row in range(60)], TEXTS, NAMES),
    "numbers alone": (NUMBERS, [str(int(label) * 3 + 4) for label in LABELS]),
    "texts alone": (TEXTS,),
    "short texts alone": (SHORT,),
    "sentences alone": (ANSWERS,),
    "chinese": (CHINESE, NUMBERS),
    "chinese alone": (CHINESE,),
    "words alone": (WORDS,),
    "pairs": (TEXTS, TEXTS[::-1]),
    "ratings with points": (TEXTS, [f"{label}.5" for label in LABELS]),
    "classes that are names of columns": (TEXTS, [("title", "body", "abstract")[label] for label in LABELS]),
}


@pytest.mark.parametrize("columns", DATA.values(), ids=DATA)
@pytest.mark.parametrize("rows", [60, 12])
def test_a_first_row_that_is_data_is_refused_with_both_ways_out(columns, rows):
    path = file(*columns, rows=rows)
    with pytest.raises(InputError, match=r"first row looks like data.*--data\.header none.*--data\.header first"):
        read(path)
    with pytest.raises(InputError, match="Give --header none"):
        read(path, prefix="--")
    table = read(path, DataConfig(header="none"))
    assert list(table.columns.values()) == [column[:rows] for column in columns]
    assert list(table.columns) == [f"column_{number + 1}" for number in range(len(columns))]
    assert table.lines == list(range(1, rows + 1))
    assert len(read(path, DataConfig(header="first"))) == rows - 1


HEADERS = {
    "text,label": (TEXTS, NAMES),
    "Review,Sentiment": (TEXTS, NAMES),
    "v1,v2": (NAMES, TEXTS),
    "x1,x2": (TEXTS, NUMBERS),
    "spam,mail_text": ([("spam", "ham")[label > 0] for label in LABELS], TEXTS),
    "positive,tweet": (["positive" if label else "negative" for label in LABELS], TEXTS),
    "0,1": (TEXTS, NAMES),
    "1,2": (TEXTS, NUMBERS),
    ",text,label": ([str(row) for row in range(60)], TEXTS, NAMES),
    ",body text of the mail,kind of mail": ([str(row) for row in range(60)], TEXTS, NAMES),
    "Timestamp,How satisfied were you with our service today (1-5)?,Please tell us what you liked most.": (
        DATES,
        NUMBERS,
        ANSWERS,
    ),
    "Please describe in your own words how you found our service,Kind of customer": (ANSWERS, NAMES),
    "a very long name of a column that goes on and on without an end,another_very_long_name": (TEXTS, NAMES),
    "airline_sentiment,airline,tweet_created": (NAMES, SHORT, DATES),
    "the text,the class": (TEXTS, NAMES),
    "文本,标签": (CHINESE, NUMBERS),
    "отзыв,метка": (TEXTS, NUMBERS),
    "Kommentar,Kategorie": (TEXTS, NAMES),
    "sentence1,sentence2,gold_label": (TEXTS, TEXTS[::-1], NAMES),
    "Question A,Question B": (TEXTS, TEXTS[::-1]),
    "review-2019,review-2020": (TEXTS, TEXTS[::-1]),
    "a,b": (TEXTS, NUMBERS),
    "text": (TEXTS,),
    "Review text": (TEXTS,),
    "reviewText": (SHORT,),
    "tweet": (WORDS,),
    "Customer feedback": (TEXTS,),
    "comment": (SHORT,),
    "评论": (CHINESE,),
    "inhalt": (TEXTS,),
    "Headline": (SHORT,),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("rows", [60, 12])
def test_a_header_is_taken_for_one(header, rows):
    columns = HEADERS[header]
    table = read(file(*columns, header=tuple(header.split(",")), rows=rows))
    assert len(table) == rows
    assert list(table.columns) == [name or "column_1" for name in header.split(",")]


@pytest.mark.parametrize("header", ["text,label", "v1,v2", "Review,Sentiment", "a,b"])
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_short_file_keeps_its_header(header, rows):
    assert len(read(file(TEXTS, NAMES, header=tuple(header.split(",")), rows=rows))) == rows


def test_a_column_that_is_named_makes_a_header_of_the_row_that_holds_it():
    path = file(["good film", *TEXTS], ["pos", "pos", *NAMES[1:]], rows=61)
    with pytest.raises(InputError, match="'pos' stands again below it"):
        read(path)
    assert len(read(path, DataConfig(text="good film"))) == 60


def test_rows_that_are_the_header_again_are_no_examples():
    path = file([*TEXTS[:20], "text", *TEXTS[20:]], [*NAMES[:20], "label", *NAMES[20:]], header=("text", "label"), rows=61)
    with pytest.raises(InputError, match=r"header again in line 22\b.*skip_bad_rows"):
        read(path)
    table = read(path, DataConfig(skip_bad_rows=True))
    assert (len(table), table.broken) == (60, {"line 22": "the header again"})


def test_what_has_names_by_itself_needs_no_header():
    texts, labels = tiny.reviews(10, 2)
    for header in ("none", "first", "auto"):
        for path in (tiny.write_jsonl("a.jsonl", texts, labels), tiny.write_parquet("a.parquet", texts, labels)):
            assert read(path, DataConfig(header=header)).columns["text"] == texts


def test_columns_by_position_are_found_or_given():
    path = file(NUMBERS, TEXTS)
    found = sources.load(DataConfig(train=str(path), header="none")).columns
    assert (found.text, found.label) == ("column_2", "column_1")
    given = DataConfig(train=str(file(IDS, TEXTS, NAMES)), header="none", text="column_2", label="column_3")
    splits = sources.load(given)
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 60
