"""What a file of labelled texts is told about itself."""

from pathlib import Path

import pytest

import tiny
from lorabert.config import DataConfig
from lorabert.data.checking import check_files
from lorabert.errors import InputError


def csv(name: str, *rows: str, header: str = "text,label") -> Path:
    Path(name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return Path(name)


def test_a_good_file_has_no_problems_and_its_figures_are_right(tokenizer):
    texts, labels = tiny.reviews(40, 2)
    document = check_files([tiny.write_csv("a.csv", texts, labels)], DataConfig(), tokenizer, 16)
    lengths = sorted(len(tokenizer(text, truncation=True, max_length=16)["input_ids"]) for text in texts)
    whole = [len(tokenizer(text)["input_ids"]) for text in texts]
    assert document["problems"] == []
    [part] = document["parts"]
    assert (part["rows"], part["columns"], part["text"], part["label"]) == (40, "text, label", "text", "label")
    assert part["classes"] == {"0": 20, "1": 20}
    assert (part["empty_texts"], part["empty_labels"], part["duplicate_texts"]) == (0, 0, 0)
    assert part["tokens_longest"] == lengths[-1] == 16
    assert part["truncated"] == sum(length > 16 for length in whole) > 0
    assert part["truncated_share"] == pytest.approx(part["truncated"] / 40, abs=1e-4)


def test_every_problem_is_named_with_its_lines(tokenizer):
    file = csv("a.csv", "good film,pos", ",neg", "bad film,", "good film,neg", "good film,pos", "dull,neg")
    document = check_files([file], DataConfig(), tokenizer, 16)
    problems = "\n".join(document["problems"])
    assert "no text in line 3" in problems
    assert "no label in line 4" in problems
    assert "fewer than 5 examples: pos, neg" in problems
    assert "1 texts stand there with different labels" in problems
    [part] = document["parts"]
    assert (part["empty_texts"], part["empty_labels"], part["duplicate_texts"]) == (1, 1, 2)


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
    assert "leak.csv has labels that train.csv lacks: 7" in problems


def test_a_file_of_blanks_is_reported_not_crashed_on(tokenizer):
    document = check_files([csv("a.csv", " ,", " ,")], DataConfig(), tokenizer, 16)
    assert document["parts"][0]["empty_texts"] == 2


def test_a_file_that_cannot_be_read_is_refused(tokenizer):
    with pytest.raises(InputError, match="line 3"):
        check_files([csv("a.csv", "a,b", "c")], DataConfig(), tokenizer, 16)
    with pytest.raises(InputError, match="no column"):
        check_files([csv("b.csv", "a,b,c", header="x,y,z")], DataConfig(), tokenizer, 16)


def test_named_columns_and_encoding_are_used(tokenizer):
    Path("a.csv").write_bytes("a;b\ncafé;x\nthé;y\n".encode("cp1252"))
    document = check_files([Path("a.csv")], DataConfig(text="a", label="b", encoding="cp1252"), tokenizer, 16)
    assert document["parts"][0]["text"] == "a"


def test_pairs_are_checked_as_pairs(tokenizer):
    rows = [f"{'a good film ' * 3},claim {row},{row % 2}" for row in range(20)]
    document = check_files([csv("a.csv", *rows, header="premise,hypothesis,label")], DataConfig(), tokenizer, 16)
    assert document["parts"][0]["duplicate_texts"] == 0
    assert not any("different labels" in problem for problem in document["problems"])
    assert document["parts"][0]["tokens_longest"] > 12


def test_classes_have_the_names_that_training_gives_them(tokenizer):
    texts, labels = tiny.reviews(20, 2)
    file = tiny.write_parquet("a.parquet", texts, labels, ["zebra", "apple"])
    assert check_files([file], DataConfig(), tokenizer, 16)["parts"][0]["classes"] == {"zebra": 10, "apple": 10}
