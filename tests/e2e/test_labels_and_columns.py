"""Labels, columns and scripts as a user meets them: on the screen, in the record, and in what is answered for later."""

import json

import pytest

import tiny

QUICK = ("--model.name", "base", "--model.max_length", "32", "--train.learning_rate", "5e-3", "--train.num_train_epochs", "1",
         "--train.baselines", "false")  # fmt: skip
HOSTILE = "\x1b[31mneg\u202e"


@pytest.fixture(scope="module")
def run(shell, here, workplace):
    """Trained on a column of floats, with a test file that shares twenty texts; its record."""
    texts, labels = tiny.reviews(80, classes=2)
    tiny.write_csv(shell.folder / "floats.csv", texts[:60], [f"{label}.0" for label in labels[:60]])
    tiny.write_csv(shell.folder / "shared.csv", texts[40:], [f"{label}.0" for label in labels[40:]])
    done = here("train", *QUICK, "--data.train", "floats.csv", "--data.test", "shared.csv", "--out", "floats", "--json")
    assert done.code == 0, done.err
    return done


def test_train_says_columns_shared_texts_and_unknown_share(run):
    assert "Columns: text 'text', label 'label'" in run.err
    assert "texts stand in both train and test; test has 40" in run.err
    assert "Unknown to the base's vocabulary: 0.0% of train" in run.err
    data = run.json["data"]
    assert data["labels"] == ["0", "1"]
    assert data["unknown_share"] == {"train": 0.0, "validation": 0.0, "test": 0.0}
    shared = {found["first"]: found["examples"] for found in data["shared_texts"] if found["second"] == "test"}
    assert shared["train"] > 10
    assert sum(shared.values()) == 20  # what is not in train went to validation


def test_it_is_evaluated_on_the_same_column_in_another_format(shell, here, run):
    texts, labels = tiny.reviews(20, classes=2)
    (shell.folder / "ints.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in zip(texts, labels, strict=True))
    )
    done = here("evaluate", "floats", "--data", "ints.jsonl", "--json")
    assert done.code == 0, done.err
    assert done.json["labels"] == ["0", "1"]
    assert "Columns: text 'text', label 'label'" in done.err


def test_a_file_without_the_column_trained_on_is_refused_with_those_there_are(shell, here, run):
    (shell.folder / "other.csv").write_text("review,label\na good film,1\n")
    for command in (("evaluate", "floats", "--data", "other.csv"), ("predict", "floats", "--file", "other.csv")):
        refused = here(*command)
        assert (refused.code, "no column 'text'" in refused.err, "'review', 'label'" in refused.err) == (2, True, True)


def test_texts_of_another_script_are_noticed(here, run):
    done = here("predict", "floats", "\u8fd9\u90e8\u7535\u5f71\u5f88\u597d\u770b")
    assert (done.code, "unknown to the base's vocabulary" in done.err) == (0, True)
    assert "Warning" not in here("predict", "floats", "a good film").err


def test_labels_that_act_on_a_terminal_are_printed_as_escapes(shell, here, workplace):
    texts, labels = tiny.reviews(60, classes=2)
    tiny.write_csv(shell.folder / "hostile.csv", texts, [HOSTILE if label else "pos" for label in labels])
    done = here("train", *QUICK, "--data.train", "hostile.csv", "--out", "hostile")
    assert done.code == 0, done.err
    check, answer = here("data", "check", "hostile.csv", "--model", "base"), here("predict", "hostile", "a film")
    for printed in (done.out, done.err, check.out, answer.out):
        assert "\x1b[31m" not in printed
        assert "\u202e" not in printed
    assert "\\x1b[31mneg\\u202e" in done.out
    assert HOSTILE in json.loads(answer.out)["scores"]
