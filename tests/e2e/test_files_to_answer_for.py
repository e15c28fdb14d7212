"""Files of new texts: the columns that were trained on, others by name, other encodings, pairs; and texts that are none."""

import subprocess
import sys

import pytest

import tiny

QUICK = ("--model.name", "base", "--model.max_length", "64", "--train.learning_rate", "5e-3", "--train.num_train_epochs", "2",
         "--train.baselines", "false")  # fmt: skip
TEXTS, LABELS = tiny.reviews(120, classes=2)


def write(path, header, *columns, encoding="utf-8"):
    rows = [header, *zip(*columns, strict=True)]
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding=encoding)


@pytest.fixture(scope="module")
def adapter(shell, here, workplace):
    """Trained on `headline`, in a file whose `text` says something else."""
    labels = ["h\u00e4sslich", "sch\u00f6n"]
    write(shell.folder / "two.tsv", ("text", "headline", "label"), ["filler"] * len(TEXTS), TEXTS, [labels[n] for n in LABELS])
    done = here("train", *QUICK, "--data.train", "two.tsv", "--data.text", "headline", "--out", "headlines", "--json")
    assert done.code == 0, done.err
    return "headlines"


def scores(answers):
    return [answer["score"] for answer in answers]


def test_a_file_is_read_by_the_column_that_was_trained_on(here, adapter):
    from_file = here("predict", adapter, "--file", "two.tsv", "--json").json
    assert scores(from_file)[:5] == pytest.approx(scores(here("predict", adapter, *TEXTS[:5], "--json").json), abs=1e-5)
    other = here("predict", adapter, "--file", "two.tsv", "--text", "text", "--json").json
    assert len(set(scores(other))) == 1


def test_a_file_with_other_columns_is_read_by_those_that_are_named(shell, here, adapter):
    write(shell.folder / "odd.tsv", ("0", "1"), TEXTS[:20], ["sch\u00f6n" if n else "h\u00e4sslich" for n in LABELS[:20]])
    for command in (("predict", adapter, "--file", "odd.tsv"), ("evaluate", adapter, "--data", "odd.tsv")):
        refused = here(*command)
        assert refused.code == 2
        assert "with --text" in refused.err
    assert len(here("predict", adapter, "--file", "odd.tsv", "--text", "0", "--json").json) == 20
    done = here("evaluate", adapter, "--data", "odd.tsv", "--text", "0", "--label", "1", "--json")
    assert done.json["n"] == 20


def test_a_file_in_another_encoding_is_read_by_its_name(shell, here, adapter):
    labels = ["sch\u00f6n" if n else "h\u00e4sslich" for n in LABELS[:20]]
    write(shell.folder / "latin.tsv", ("headline", "label"), [f"{text} \u00e4" for text in TEXTS[:20]], labels, encoding="cp1252")
    for command in (("predict", adapter, "--file", "latin.tsv"), ("evaluate", adapter, "--data", "latin.tsv")):
        refused = here(*command)
        assert refused.code == 2
        assert "perhaps --encoding cp1252" in refused.err
        assert here(*command, "--encoding", "cp1252", "--json").code == 0


def test_pairs_are_read_by_the_names_that_are_given(shell, here, workplace):
    labels = [str(n) for n in LABELS]
    write(shell.folder / "pairs.tsv", ("premise", "hypothesis", "label"), TEXTS, TEXTS[::-1], labels)
    assert here("train", *QUICK, "--data.train", "pairs.tsv", "--out", "pairs").code == 0
    write(shell.folder / "others.tsv", ("a", "b", "label"), TEXTS, TEXTS[::-1], labels)
    expected = here("predict", "pairs", "--file", "pairs.tsv", "--json").json
    assert here("predict", "pairs", "--file", "others.tsv", "--text", "a", "--text_pair", "b", "--json").json == expected
    refused = here("predict", "pairs", "--file", "others.tsv", "--text", "a")
    assert (refused.code, "with --text_pair" in refused.err) == (2, True)
    assert here("evaluate", "pairs", "--data", "others.tsv", "--text", "a", "--text_pair", "b", "--json").json["n"] == len(TEXTS)


def test_single_texts_have_no_second_one(here, adapter):
    for command in (("predict", adapter, "--file", "two.tsv"), ("evaluate", adapter, "--data", "two.tsv")):
        refused = here(*command, "--text_pair", "text")
        assert (refused.code, "labels single texts" in refused.err) == (2, True)


def test_stdin_is_utf_8_or_what_is_named_and_nothing_else(shell, adapter):
    def piped(content, words=("-",)):
        command = [sys.executable, "-m", "lorabert", "predict", adapter, *words]
        return subprocess.run(command, cwd=shell.folder, env=shell.env | {"LC_ALL": "C"}, input=content, capture_output=True)

    words = ["a wonderful caf\u00e9", "awful\u2028and boring"]
    lines, expected = "\r\n".join(words) + "\n", piped(None, words).stdout
    assert len(expected.splitlines()) == 2
    assert piped(lines.encode()).stdout == expected
    assert piped(lines.encode("utf-16"), ("-", "--encoding", "utf-16")).stdout == expected
    refused = piped(b"fine\n\xff\xfe bad\n")
    assert refused.returncode == 2
    assert "stdin is not in the encoding utf-8" in refused.stderr.decode()
    assert "line 2" in refused.stderr.decode()


def test_words_that_are_no_characters_are_refused(here, adapter):
    refused = here("predict", adapter, "fine", "\udcff")
    assert (refused.code, "no characters" in refused.err) == (2, True)
