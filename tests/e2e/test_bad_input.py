"""Wrong inputs: exit 2, one paragraph that says what to do, no traceback, nothing half-written."""

import errno
import shutil

import pytest

import tiny
from lorabert.cli import main

ROWS = "text,label\n" + "".join(f"a {word} film number {n},{word}\n" for n in range(20) for word in ("good", "bad"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    tiny.build_base(folder / "base")
    tiny.build_base(folder / "other", seed=1)
    (folder / "good.csv").write_text(ROWS)
    return folder


@pytest.fixture
def attempt(place, monkeypatch, capfd):
    """Run a command in-process; return its one paragraph and check what every refusal must hold to."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refused(*argv):
        before = sorted(place.rglob("*"))
        code = main([str(word) for word in argv])
        err = capfd.readouterr().err
        assert code == 2, err
        assert "Traceback" not in err
        message = next(line for line in reversed(err.splitlines()) if line.startswith("lorabert: "))
        assert sorted(place.rglob("*")) == before
        return message

    return refused


TRAIN = ("train", "--model.name", "base", "--model.max_length", "64", "--train.baselines", "false")


@pytest.mark.parametrize(
    ("content", "extra", "said"),
    [
        (None, (), "no such file"),
        ("", (), "no rows"),
        ("text,label\n", (), "no rows"),
        (ROWS, ("--data.label", "grade"), "'text', 'label'"),
        (ROWS, ("--data.text", "txt"), "'text', 'label'"),
        ("a,b,c\n1,2,3\n4,5,6\n", (), "'a', 'b', 'c'"),
        (ROWS.replace(",bad", ",good"), (), "one class only"),
        ("text,label\n" + "one film,good\none film,bad\n" * 15, (), "every text is the same. Got 'one film' in each of 30 rows"),
        (ROWS.replace(",bad", ",good") + "a lone film,bad\n", ("--train.folds", "2"), "too few texts for 2 folds"),
        (ROWS + ",good\n", (), "line 42"),
        (ROWS + "a text without a label,\n", (), "line 42"),
        (ROWS + "a text, with a comma,good\n", (), "line 42"),
        (ROWS + '"a quote that never ends,good\n', (), "line 42"),
        ((ROWS + "caf\u00e9,good\n").encode("cp1252"), (), "cp1252"),
        (ROWS.encode("utf-16"), (), "utf-16"),
    ],
)
def test_data_that_cannot_be_used(attempt, place, content, extra, said):
    file = place / "data.csv"
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in attempt(*TRAIN, "--data.train", "data.csv", *extra)


def test_data_check_advises_options_that_it_has(attempt, place):
    check = ("data", "check", "data.csv", "--model", "base")
    (place / "data.csv").write_bytes((ROWS + "caf\u00e9,good\n").encode("cp1252"))
    assert "perhaps --encoding cp1252" in attempt(*check)
    (place / "data.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    assert "with --text COLUMN" in attempt(*check)
    assert "with --text_pair." in attempt(*check, "--text", "a", "--text_pair", "d", "--label", "c")


def test_a_label_in_test_that_train_lacks(attempt, place):
    (place / "test.csv").write_text("text,label\na film,superb\n")
    message = attempt(*TRAIN, "--data.train", "good.csv", "--data.test", "test.csv")
    assert "'superb'" in message
    assert "'bad', 'good'" in message
    assert "line 2" in message


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--train.learning_rate", "2e-4x"), "2e-4x"),
        (("--train.learning_rat", "2e-4"), "`train.learning_rate`"),
        (("--data.lable", "label"), "`data.label`"),
        (("--lora.rank", "4"), "See `lorabert train --help`"),
        (("--lora.target_modules", "qeury"), "query"),
        (("--lora.modules_to_save", "[poolr]"), "pooler"),
        (("--train.method", "lorra"), "lora, full, bitfit or head"),
        (("--model.max_length", "4000"), "at most 64"),
        (("--model.name", "somewhere/nothing"), "HF_HUB_OFFLINE"),
        (("--config", "missing.yaml"), "missing.yaml"),
    ],
)
def test_options_that_cannot_be_used(attempt, extra, said):
    assert said in attempt(*TRAIN, "--data.train", "good.csv", *extra)


def test_unknown_data_set_without_network_or_cache_says_how_to_go_on(attempt):
    message = attempt(*TRAIN, "--data.name", "nobody/nothing")
    for words in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "lorabert data list"):
        assert words in message


def test_no_data_named(attempt):
    assert "--data.train FILE" in attempt(*TRAIN)


def test_a_key_in_the_yaml_that_is_unknown(attempt, place):
    (place / "typo.yaml").write_text("train:\n  learning_rat: 1.0e-4\n")
    message = attempt(*TRAIN, "--config", "typo.yaml", "--data.train", "good.csv")
    (place / "typo.yaml").unlink()
    assert "Did you mean `train.learning_rate`?" in message


def test_a_base_that_cannot_classify(attempt, place):
    shutil.copytree(place / "base", place / "odd", dirs_exist_ok=True)
    config = (place / "odd" / "config.json").read_text()
    (place / "odd" / "config.json").write_text(config.replace('"model_type": "bert"', '"model_type": "vit"'))
    assert "cannot classify texts" in attempt(*TRAIN, "--model.name", "odd", "--data.train", "good.csv")


def test_folders_that_are_no_adapters(attempt, place):
    for target in ("base", "runs/nowhere"):
        assert "is not an adapter" in attempt("evaluate", target)
        assert "is not an adapter" in attempt("predict", target, "a text")
    assert "no folder 'nowhere', and no store" in attempt("predict", "nowhere", "a text")


def test_an_adapter_of_another_base_is_refused_with_every_mismatch(place, monkeypatch, attempt):
    assert main([*TRAIN, "--data.train", "good.csv", "--out", "run", "--train.num_train_epochs", "1", "--json"]) == 0
    message = attempt("predict", "run", "a text", "--base", "other")
    assert "belongs to the base 'base'" in message
    (place / "run" / "adapter" / "README.md").write_text("changed")
    message = attempt("predict", "run", "a text", "--base", "other")
    assert "README.md" in message
    assert "belongs to the base 'base'" in message


def test_what_may_not_be_read_or_written_is_named(attempt, monkeypatch):
    def refuse(argv):
        raise PermissionError(errno.EACCES, "Permission denied", "runs/locked/run.json")

    monkeypatch.setattr("lorabert.cli.verbs.report.main", refuse)
    assert "runs/locked/run.json may not be read" in attempt("report", "runs/locked", "-o", "page.html")


def test_a_cache_that_cannot_be_written_to_names_its_own_option(attempt, place, monkeypatch):
    monkeypatch.setenv("LORABERT_CACHE", str(place / "good.csv"))
    message = attempt(*TRAIN, "--data.name", "rotten-tomatoes")
    assert "LORABERT_CACHE" in message
    assert "--out" not in message


def test_unknown_command(attempt):
    assert "train, evaluate" in attempt("trian")


def test_an_out_folder_that_holds_something_is_left_alone(attempt, place):
    (place / "full").mkdir(exist_ok=True)
    (place / "full" / "thesis.txt").write_text("years of work")
    assert "already holds something" in attempt(*TRAIN, "--data.train", "good.csv", "--out", "full")
    assert (place / "full" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "x" * 5000),
        ("serve", "x" * 5000),
        ("report", "loop", "-o", "page.html"),
        ("store", "list", "--store", "loop"),
        (*TRAIN, "--data.train", "data.csv", "--out", "loop"),
    ],
    ids=["too long", "served", "report", "store", "out"],
)
def test_a_path_that_no_file_can_have_is_refused_in_words(attempt, place, words):
    texts, labels = tiny.reviews(40)
    tiny.write_csv(place / "data.csv", texts, labels)
    if not (place / "loop").is_symlink():
        (place / "loop").symlink_to("loop")
    assert len(attempt(*words)) < 800
