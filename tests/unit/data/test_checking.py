"""What a file of labelled texts is told about itself."""

import datetime
import decimal
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny
from lorabert.config import DataConfig
from lorabert.data import sources
from lorabert.data.checking import check_files
from lorabert.errors import InputError


def csv(name: str, *rows: str, header: str = "text,label") -> Path:
    Path(name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return Path(name)


def test_a_good_file_has_no_problems_and_its_figures_are_right(tokenizer):
    texts, labels = tiny.reviews(40, 2)
    document = check_files([tiny.write_csv("a.csv", texts, labels)], DataConfig(), tokenizer, 16)
    whole = [len(tokenizer(text)["input_ids"]) for text in texts]
    assert document["problems"] == []
    [part] = document["parts"]
    assert (part["rows"], part["columns"], part["text"], part["label"]) == (40, "text, label", "text", "label")
    assert part["classes"] == {"0": 20, "1": 20}
    assert (part["empty_texts"], part["empty_labels"], part["duplicate_texts"]) == (0, 0, 0)
    assert part["tokens_longest"] == max(whole) > 16
    assert part["tokens_median"] == int(np.median(whole))
    assert part["tokens_95th_percentile"] == int(np.percentile(whole, 95)) > 16
    assert part["truncated"] == sum(length > 16 for length in whole) > 0
    assert part["truncated_share"] == pytest.approx(part["truncated"] / 40, abs=1e-4)


def test_texts_longer_than_the_model_takes_are_measured_whole_and_without_a_warning(tokenizer, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    caplog.set_level(logging.WARNING, "transformers")
    [part] = check_files([csv("a.csv", f"{'film ' * 2000},x", "a film,y")], DataConfig(), tokenizer, 16)["parts"]
    assert (part["tokens_longest"], part["truncated"], part["truncated_share"]) == (2002, 1, 0.5)
    assert caplog.messages == []
    tokenizer("film " * 2000)
    assert "longer than" in caplog.text  # what is heard where a text is too long


def test_every_problem_is_named_with_its_lines(tokenizer):
    file = csv("a.csv", "good film,pos", ",neg", "bad film,", "good film,neg", "good film,pos", "dull,neg")
    document = check_files([file], DataConfig(), tokenizer, 16)
    problems = "\n".join(document["problems"])
    assert "a.csv: no text in column 'text' in line 3" in problems
    assert "a.csv: no label in column 'label' in line 4" in problems
    assert "fewer than 5 examples: 'pos', 'neg'" in problems
    assert "one text stands there with different labels: 'good film' as 'neg', 'pos'" in problems
    [part] = document["parts"]
    assert (part["empty_texts"], part["empty_labels"], part["duplicate_texts"]) == (1, 1, 2)


TEXTS, NAMES = tiny.reviews(40)[0], ["bad", "good"] * 20


def jsonl(texts: list, labels: list) -> Path:
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
    Path("a.jsonl").write_text("\n".join(rows))
    return Path("a.jsonl")


def parquet(texts: list, labels: list) -> Path:
    pq.write_table(pa.table({"text": texts, "label": labels}), "a.parquet")
    return Path("a.parquet")


UNUSABLE = {
    "list texts": lambda: jsonl([[text] for text in TEXTS], NAMES),
    "half a character in a text": lambda: jsonl(["\ud800", *TEXTS[1:]], NAMES),
    "bytes as texts": lambda: parquet([text.encode() for text in TEXTS], NAMES),
    "list labels": lambda: jsonl(TEXTS, [["bad"], ["good"]] * 20),
    "dict labels": lambda: jsonl(TEXTS, [{"bad": 1}, {"good": 1}] * 20),
    "half a character in a label": lambda: jsonl(TEXTS, ["bad\ud800", "good"] * 20),
    "bytes as labels": lambda: parquet(TEXTS, [b"bad", b"good"] * 20),
    "broken numbers": lambda: jsonl(TEXTS, [0.5, 1.5] * 20),
    "broken decimals": lambda: parquet(TEXTS, [decimal.Decimal("0.5"), decimal.Decimal("1.5")] * 20),
    "dates": lambda: parquet(TEXTS, [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)] * 20),
    "a number without a class": lambda: tiny.write_parquet("a.parquet", TEXTS, [0, 1, 2, 0] * 10, ["bad", "good"]),
    "a label a row": lambda: jsonl(TEXTS, [f"id{row}" for row in range(40)]),
}


@pytest.mark.parametrize("file", UNUSABLE.values(), ids=UNUSABLE)
def test_what_training_refuses_is_a_problem_in_the_same_words(tokenizer, file):
    path = file()
    with pytest.raises(InputError) as refused:
        sources.load(DataConfig(train=str(path)))
    document = check_files([path], DataConfig(), tokenizer, 16)
    assert any((refused.value.got or refused.value.wrong) in problem for problem in document["problems"])
    json.dumps(document, ensure_ascii=False).encode()  # can be written, whatever the file held


@pytest.mark.parametrize("labels", [[["bad"]] * 40, [None] * 40], ids=["odd", "none"])
def test_a_file_without_a_usable_label_is_reported_not_crashed_on(tokenizer, labels):
    document = check_files([jsonl(TEXTS, labels)], DataConfig(), tokenizer, 16)
    assert document["parts"][0]["classes"] == {}
    assert len(document["problems"]) == 1


def test_rows_that_cannot_be_used_are_left_out_of_the_figures(tokenizer):
    [part] = check_files([jsonl(["a film", ["a film"], "\ud800", " ", *TEXTS], [[1], "x", "y", "x", *NAMES])],
                         DataConfig(), tokenizer, 16)["parts"]  # fmt: skip
    assert part["classes"] == {"bad": 20, "good": 20, "x": 2, "y": 1}
    assert (part["rows"], part["empty_texts"], part["empty_labels"], part["duplicate_texts"]) == (44, 1, 0, 0)


def test_the_second_file_is_read_by_the_columns_of_the_first_as_in_training(tokenizer):
    train, other = csv("a.csv", "a film,x", "a tale,y"), csv("b.csv", "a book,x,", "a song,y,", header="review,label,text")
    with pytest.raises(InputError, match=r"b\.csv has no column 'body'"):
        check_files([csv("c.csv", "a film,x", "a tale,y", header="body,label"), other], DataConfig(), tokenizer, 16)
    assert check_files([train, other], DataConfig(), tokenizer, 16)["parts"][1]["text"] == "text"


def test_one_class_is_a_problem(tokenizer):
    document = check_files([csv("a.csv", *(f"text {row},x" for row in range(9)))], DataConfig(), tokenizer, 16)
    assert any("one class only" in problem for problem in document["problems"])


def test_a_leak_and_a_strange_label_between_two_files_are_named(tokenizer):
    texts, labels = tiny.reviews(60, 2)
    train = tiny.write_csv("train.csv", texts[:40], labels[:40])
    clean = check_files([train, tiny.write_csv("test.csv", texts[40:], labels[40:])], DataConfig(), tokenizer, 16)
    assert clean["problems"] == []
    leaky = check_files([train, tiny.write_csv("leak.csv", texts[37:], [7, *labels[38:]])], DataConfig(), tokenizer, 16)
    problems = "\n".join(leaky["problems"])
    assert "3 texts stand in both train.csv and leak.csv" in problems
    assert "leak.csv has labels that train.csv lacks: '7'" in problems


def test_a_file_of_blanks_is_reported_not_crashed_on(tokenizer):
    document = check_files([csv("a.csv", " ,a", " ,b")], DataConfig(), tokenizer, 16)
    assert document["parts"][0]["empty_texts"] == 2
    with pytest.raises(InputError, match="holds no rows"):
        check_files([csv("a.csv", " ,", " ,")], DataConfig(), tokenizer, 16)


def test_empty_rows_at_the_end_are_noted_and_rows_that_are_none_are_problems(tokenizer):
    rows = [f"text {row},{row % 2}" for row in range(20)]
    document = check_files([csv("a.csv", *rows, ",,,", ",,,")], DataConfig(), tokenizer, 16)
    assert (document["problems"], document["parts"][0]["rows"]) == ([], 20)
    assert document["notes"] == ["a.csv: 2 empty rows at its end were left out"]
    document = check_files([csv("a.csv", *rows, "a,b,c", "d")], DataConfig(), tokenizer, 16)
    assert document["problems"] == ["a.csv: 2 broken rows: line 22, line 23"]
    assert document["parts"][0]["broken_rows"] == 2


def test_a_file_that_cannot_be_read_is_refused(tokenizer):
    with pytest.raises(InputError, match="no column"):
        check_files([csv("b.csv", "a,b,c", header="x,y,z")], DataConfig(), tokenizer, 16)


def test_named_columns_and_encoding_are_used(tokenizer):
    Path("a.csv").write_bytes("a;b\ncafé;x\nthé;y\n".encode("cp1252"))
    document = check_files([Path("a.csv")], DataConfig(text="a", label="b", encoding="cp1252"), tokenizer, 16)
    assert document["parts"][0]["text"] == "a"


def test_pairs_are_checked_as_pairs(tokenizer):
    rows = [f"{'a good film ' * 3},claim {row},{row % 2}" for row in range(20)]
    document = check_files([csv("a.csv", *rows, header="premise,hypothesis,label")], DataConfig(), tokenizer, 12)
    assert document["parts"][0]["duplicate_texts"] == 0
    assert not any("different labels" in problem for problem in document["problems"])
    whole = [len(tokenizer("a good film " * 3, f"claim {row}")["input_ids"]) for row in range(20)]
    assert document["parts"][0]["tokens_longest"] == max(whole) > 12
    assert document["parts"][0]["truncated"] == sum(length > 12 for length in whole)


def test_classes_have_the_names_that_training_gives_them(tokenizer):
    texts, labels = tiny.reviews(20, 2)
    file = tiny.write_parquet("a.parquet", texts, labels, ["zebra", "apple"])
    assert check_files([file], DataConfig(), tokenizer, 16)["parts"][0]["classes"] == {"zebra": 10, "apple": 10}


# ---- labels, scripts, several files


def test_labels_that_look_alike_are_a_problem(tokenizer):
    names = ["neg", "NEG", "neg\u200b", "pos"]
    file = tiny.write_csv("a.csv", TEXTS, [names[row % 4] for row in range(40)])
    [problem] = check_files([file], DataConfig(), tokenizer, 16)["problems"]
    assert "'NEG' (10), 'neg' (10), 'neg\\u200b' (10)" in problem


def test_fractions_are_a_problem(tokenizer):
    [problem] = check_files([jsonl(TEXTS, ["0.5", "1.5"] * 20)], DataConfig(), tokenizer, 16)["problems"]
    assert "numbers with fractions ('0.5', '1.5')" in problem


CHINESE = [f"\u8fd9\u90e8\u7535\u5f71\u5f88{word}" for word in "\u597d\u574f\u957f\u77ed"] * 10


def test_texts_that_the_vocabulary_does_not_know_are_a_problem_with_bases_that_do(tokenizer):
    document = check_files([tiny.write_csv("a.csv", CHINESE, NAMES)], DataConfig(), tokenizer, 16)
    assert document["parts"][0]["unknown_share"] == 1.0
    [problem] = [problem for problem in document["problems"] if "vocabulary" in problem]
    assert "does not know 100% of the tokens" in problem
    assert "google-bert/bert-base-chinese" in problem
    assert "FacebookAI/xlm-roberta-base" in problem
    assert check_files([tiny.write_csv("b.csv", TEXTS, NAMES)], DataConfig(), tokenizer, 16)["parts"][0]["unknown_share"] == 0


def test_three_files_are_compared_each_with_each(tokenizer):
    texts, labels = tiny.reviews(90, 2)
    files = [tiny.write_csv(f"{name}.csv", texts[start : start + 40], labels[start : start + 40])
             for name, start in (("train", 0), ("validation", 38), ("test", 50))]  # fmt: skip
    document = check_files(files, DataConfig(), tokenizer, 16)
    assert [part["origin"] for part in document["parts"]] == ["train.csv", "validation.csv", "test.csv"]
    assert [problem for problem in document["problems"] if "both" in problem] == [
        "2 texts stand in both train.csv and validation.csv: a leak",
        "28 texts stand in both validation.csv and test.csv: a leak",
    ]


def test_a_leak_behind_case_and_white_space_is_one(tokenizer):
    train = tiny.write_csv("train.csv", TEXTS, NAMES)
    other = tiny.write_csv("test.csv", [f" {text.upper()} " for text in TEXTS], NAMES)
    assert "40 texts stand in both train.csv and test.csv, 0 letter for letter" in "".join(
        check_files([train, other], DataConfig(), tokenizer, 16)["problems"]
    )


def test_one_column_has_the_same_classes_in_every_format(tokenizer):
    files = {"csv": tiny.write_csv("a.csv", TEXTS, ["0.0", "1.0"] * 20), "jsonl": jsonl(TEXTS, [0, 1.0] * 20),
             "parquet": parquet(TEXTS, [0.0, 1.0] * 20)}  # fmt: skip
    for file in files.values():
        assert check_files([file], DataConfig(), tokenizer, 16)["parts"][0]["classes"] == {"0": 20, "1": 20}


def test_rows_that_are_to_be_skipped_are_told_of_and_no_problem(tokenizer):
    rows = [f"a film {number},{'pos' if number % 2 else 'neg'}" for number in range(20)]
    file = csv("a.csv", *rows, ",neg", "bad film,", "a,b,c")
    refused = check_files([file], DataConfig(), tokenizer, 16)["problems"]
    assert len([problem for problem in refused if "line" in problem]) == 3
    document = check_files([file], DataConfig(skip_bad_rows=True), tokenizer, 16)
    assert document["problems"] == []
    assert len([note for note in document["notes"] if note.startswith("a.csv: left out ")]) == 3
    assert document["parts"][0]["classes"] == {"neg": 10, "pos": 10}
    assert len(sources.load(DataConfig(train="a.csv", skip_bad_rows=True)).train) > 0


def test_a_file_without_a_single_row_to_keep_is_a_problem_although_bad_rows_are_skipped(tokenizer):
    assert check_files([csv("a.csv", ",neg", "bad film,")], DataConfig(skip_bad_rows=True), tokenizer, 16)["problems"]
