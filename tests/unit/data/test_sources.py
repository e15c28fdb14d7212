"""Files to splits: what is set aside, what is refused, and a fingerprint that notices every change."""

import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import tiny
from lorabert.config import DataConfig
from lorabert.data import sources
from lorabert.data.columns import Columns
from lorabert.data.sources import SPLITS, Split, Splits, labelled, load
from lorabert.errors import InputError


def csv(name: str, rows: list[tuple], header: str = "text,label") -> str:
    Path(name).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return name


@pytest.fixture
def reviews_csv() -> str:
    return str(tiny.write_csv("reviews.csv", *tiny.reviews(200, 2)))


def test_one_file_is_split_in_three_with_every_text_once(reviews_csv):
    splits = load(DataConfig(train=reviews_csv))
    assert [len(getattr(splits, name)) for name in SPLITS] == [162, 18, 20]
    texts, labels = tiny.reviews(200, 2)
    found = {text: int(label) for name in SPLITS for text, label in zip(*rows(getattr(splits, name)), strict=True)}
    assert found == dict(zip(texts, labels, strict=True))
    assert splits.label_names == ["0", "1"]
    assert [Counter(getattr(splits, name).labels.tolist()) for name in SPLITS] == [{0: 81, 1: 81}, {0: 9, 1: 9}, {0: 10, 1: 10}]
    assert len(splits.notes) == 2


def rows(split: Split) -> tuple[list[str], list[int]]:
    return split.texts, split.labels.tolist()


def test_separate_files_are_taken_as_they_are_and_only_validation_is_carved():
    files = {name: str(tiny.write_csv(f"{name}.csv", *tiny.reviews(40, 2, seed))) for seed, name in enumerate(SPLITS)}
    splits = load(DataConfig(**files))
    assert [getattr(splits, name).texts for name in SPLITS] == [tiny.reviews(40, 2, seed)[0] for seed in range(3)]
    assert splits.notes == ()
    carved = load(DataConfig(train=files["train"], test=files["test"], validation_share=0.2))
    assert carved.test.texts == splits.test.texts
    assert (len(carved.train), len(carved.validation)) == (32, 8)
    assert sorted(carved.train.texts + carved.validation.texts) == sorted(splits.train.texts)


def test_the_split_follows_its_seed_and_nothing_else(reviews_csv):
    first = load(DataConfig(train=reviews_csv, split_seed=0))
    np.random.random(10)
    assert load(DataConfig(train=reviews_csv, split_seed=0)).fingerprint() == first.fingerprint()
    other = load(DataConfig(train=reviews_csv, split_seed=1))
    assert set(other.test.texts) != set(first.test.texts)


def test_equal_texts_stay_on_one_side():
    texts, labels = tiny.reviews(60, 2)
    splits = load(DataConfig(train=csv("a.csv", list(zip(texts, labels, strict=True)) * 3), test_share=0.3, validation_share=0.3))
    sides = [set(getattr(splits, name).texts) for name in SPLITS]
    assert all(len(getattr(splits, name)) == 3 * len(side) > 0 for name, side in zip(SPLITS, sides, strict=True))
    assert not any(one & two for one, two in itertools.combinations(sides, 2))


def test_groups_stay_on_one_side():
    texts, labels = tiny.reviews(120, 2)
    film = {text: row % 30 for row, text in enumerate(texts)}
    file = csv("a.csv", [(text, label, film[text]) for text, label in zip(texts, labels, strict=True)], "text,label,film")
    splits = load(DataConfig(train=file, group="film", test_share=0.25, validation_share=0.25))
    sides = [{film[text] for text in getattr(splits, name).texts} for name in SPLITS]
    assert sum(map(len, sides)) == 30
    assert all(sides)


def test_a_class_with_one_example_stays_in_train():
    texts, labels = tiny.reviews(60, 2)
    splits = load(DataConfig(train=csv("a.csv", [*zip(texts, labels, strict=True), ("a lonely text", 2)])))
    assert splits.label_names == ["0", "1", "2"]
    assert "a lonely text" in splits.train.texts


def test_limit_takes_a_seeded_sample_of_each_split(reviews_csv):
    whole, limited = load(DataConfig(train=reviews_csv)), load(DataConfig(train=reviews_csv, limit=15))
    assert [len(getattr(limited, name)) for name in SPLITS] == [15, 15, 15]
    assert set(limited.train.texts) < set(whole.train.texts)
    assert limited.fingerprint() == load(DataConfig(train=reviews_csv, limit=15)).fingerprint()
    assert limited.fingerprint() != load(DataConfig(train=reviews_csv, limit=15, split_seed=1)).fingerprint()
    assert any("limited" in note for note in limited.notes)
    assert load(DataConfig(train=reviews_csv, limit=1000)).fingerprint() == whole.fingerprint()


def test_a_limit_that_leaves_one_class_in_train_is_refused(reviews_csv):
    with pytest.raises(InputError, match="one class"):
        load(DataConfig(train=reviews_csv, limit=1))


def test_pairs_are_read_and_kept_together():
    first, labels = tiny.reviews(60, 3, 0)
    second, _ = tiny.reviews(60, 3, 1)
    file = csv("a.csv", list(zip(first, second, labels, strict=True)), "premise,hypothesis,label")
    splits = load(DataConfig(train=file))
    pairs = dict(zip(first, second, strict=True))
    for name in SPLITS:
        split = getattr(splits, name)
        assert split.pairs == [pairs[text] for text in split.texts]
        assert split.joined()[0] == f"{split.texts[0]} {split.pairs[0]}"
    assert splits.columns == Columns("premise", "hypothesis", "label", None)


def test_declared_names_of_parquet_are_the_labels_in_order():
    texts, labels = tiny.reviews(60, 2)
    splits = load(DataConfig(train=str(tiny.write_parquet("a.parquet", texts, labels, ["zebra", "apple"]))))
    assert splits.label_names == ["zebra", "apple"]
    at = dict(zip(texts, labels, strict=True))
    assert splits.train.labels.tolist() == [at[text] for text in splits.train.texts]


# ---- refusals


@pytest.mark.parametrize("other", ["validation", "test"])
def test_a_label_that_train_lacks_is_refused_with_its_line(other, reviews_csv):
    file = csv("other.csv", [("a good film", 1), ("a dull film", 7), ("a film", 7)])
    with pytest.raises(InputError, match=r"other\.csv holds labels.*'7' in line 3, line 4.*'0', '1'"):
        load(DataConfig(train=reviews_csv, **{other: file}))


def test_nothing_to_train_on_is_refused():
    with pytest.raises(InputError, match="No data was named"):
        load(DataConfig())
    with pytest.raises(InputError, match="nothing to train on"):
        load(DataConfig(test="a.csv"))
    with pytest.raises(InputError, match="no such file"):
        load(DataConfig(train="nowhere.csv"))
    with pytest.raises(InputError, match="is a model"):
        load(DataConfig(name="minilm-l6"))


def test_too_few_rows_to_set_any_aside_are_refused():
    with pytest.raises(InputError, match=r"too few examples.*--data\.test"):
        load(DataConfig(train=csv("a.csv", [("a", 0), ("b", 1), ("c", 0)])))


def test_one_class_is_refused():
    with pytest.raises(InputError, match="one class only"):
        load(DataConfig(train=csv("a.csv", [(f"text {row}", "x") for row in range(40)])))


def test_a_blank_text_in_test_is_refused_with_its_file_and_line(reviews_csv):
    with pytest.raises(InputError, match=r"other\.csv has rows.*line 3"):
        load(DataConfig(train=reviews_csv, test=csv("other.csv", [("a film", 1), ("  ", 0)])))


def test_a_missing_text_column_in_test_is_refused_with_those_there_are(reviews_csv):
    with pytest.raises(InputError, match=r"other\.csv has no column 'text'.*'said', 'label'"):
        load(DataConfig(train=reviews_csv, test=csv("other.csv", [("a film", 1)], "said,label")))


# The user's test file is ignored, and test carved from train.
@pytest.mark.parametrize("other", ["validation", "test"])
def test_a_missing_label_column_in_a_named_file_is_refused(other, reviews_csv):
    file = csv("other.csv", [("a good film", 1), ("a dull film", 0)], "text,verdict")
    with pytest.raises(InputError, match=r"other\.csv has no column 'label'"):
        load(DataConfig(train=reviews_csv, **{other: file}))


def test_a_train_file_without_any_label_is_refused():
    Path("a.jsonl").write_text('{"text": "a", "label": null}\n' * 5, encoding="utf-8")
    with pytest.raises(InputError, match="no label"):
        load(DataConfig(train="a.jsonl"))


def test_labels_that_are_lists_are_refused_with_their_line():
    Path("a.jsonl").write_text('{"text": "a", "label": ["x"]}\n' * 5, encoding="utf-8")
    with pytest.raises(InputError, match=r"no name or whole number.*line 1"):
        load(DataConfig(train="a.jsonl"))


def test_groups_that_are_lists_are_refused():
    lines = [f'{{"text": "text {row}", "label": {row % 2}, "who": ["a"]}}\n' for row in range(40)]
    Path("a.jsonl").write_text("".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match="who"):
        load(DataConfig(train="a.jsonl", group="who"))


# ---- hub splits, without a hub


def published(monkeypatch: pytest.MonkeyPatch, **splits: sources.Table) -> Splits:
    monkeypatch.setattr(sources.hub, "tables", lambda name, subset: splits)
    return load(DataConfig(name="some/data"))


def hub_table(n: int, seed: int, *, hidden: bool = False) -> sources.Table:
    texts, labels = tiny.reviews(n, 2, seed)
    return sources.Table(
        "some/data", {"sentence": texts, "label": [-1] * n if hidden else labels}, declared={"label": ["neg", "pos"]}
    )


def test_a_hidden_test_split_is_replaced_by_the_published_validation_split(monkeypatch):
    parts = {"train": hub_table(60, 0), "validation": hub_table(20, 1), "test": hub_table(20, 2, hidden=True)}
    splits = published(monkeypatch, **parts)
    assert splits.test.texts == parts["validation"].columns["sentence"]
    assert sorted(splits.train.texts + splits.validation.texts) == sorted(parts["train"].columns["sentence"])
    assert any("published validation" in note for note in splits.notes)


def test_of_matched_and_mismatched_splits_the_matched_one_is_reported_on(monkeypatch):
    """MNLI: its test splits hide their labels, so the matched validation split is what papers report on."""
    parts = {"train": hub_table(60, 0)}
    for number, name in enumerate(("validation_matched", "validation_mismatched", "test_matched", "test_mismatched")):
        parts[name] = hub_table(20, number + 1, hidden=name.startswith("test"))
    splits = published(monkeypatch, **parts)
    assert splits.test.texts == parts["validation_matched"].columns["sentence"]
    assert sorted(splits.train.texts + splits.validation.texts) == sorted(parts["train"].columns["sentence"])
    assert any("published validation" in note for note in splits.notes)


def test_published_splits_with_labels_are_taken_as_they_are(monkeypatch):
    parts = {
        "train": hub_table(60, 0),
        "validation_matched": hub_table(20, 1),
        "test": hub_table(20, 2),
        "unsupervised": hub_table(9, 3),
    }
    splits = published(monkeypatch, **parts)
    assert splits.validation.texts == parts["validation_matched"].columns["sentence"]
    assert splits.test.texts == parts["test"].columns["sentence"]


def test_a_data_set_without_train_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"no train split.*test"):
        published(monkeypatch, test=hub_table(20, 0))


# ---- fingerprints


def tiny_splits(**changes: object) -> Splits:
    split = Split(["a", "b"], None, np.array([0, 1]))
    return dataclasses.replace(Splits("here", split, split, split, ["neg", "pos"], Columns("t", None, "l", None)), **changes)


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize(
    "changed",
    [
        Split(["a", "c"], None, np.array([0, 1])),
        Split(["b", "a"], None, np.array([0, 1])),
        Split(["a", "b"], None, np.array([1, 1])),
        Split(["a", "b"], ["a", "b"], np.array([0, 1])),
        Split(["a"], None, np.array([0])),
        Split(["a", "b "], None, np.array([0, 1])),
    ],
    ids=["text", "order", "label", "pairs", "fewer", "blank"],
)
def test_the_fingerprint_changes_with_every_text_label_and_their_order(name, changed):
    assert tiny_splits(**{name: changed}).fingerprint() != tiny_splits().fingerprint()


def test_the_fingerprint_changes_with_the_label_names_and_not_with_the_origin():
    assert tiny_splits(label_names=["pos", "neg"]).fingerprint() != tiny_splits().fingerprint()
    assert tiny_splits(label_names=["neg", "pos", "x"]).fingerprint() != tiny_splits().fingerprint()
    assert tiny_splits(origin="there", notes=("x",)).fingerprint() == tiny_splits().fingerprint()
    assert tiny_splits(train=Split(["a", "b"], None, np.array([0, 1], np.int32))).fingerprint() == tiny_splits().fingerprint()


# ---- new examples for known labels


def test_labelled_reads_a_file_in_the_order_of_the_known_labels():
    split, _ = labelled(Path(csv("a.csv", [("x", "pos"), ("y", "neg")])), DataConfig(), ["pos", "neg"])
    assert rows(split) == (["x", "y"], [0, 1])


def test_labelled_advises_options_as_the_command_calls_them():
    file = Path(csv("a.csv", [("café", "pos")]))
    with pytest.raises(InputError, match=r"with --label\."):
        labelled(file, DataConfig(label="grade"), ["pos"], prefix="--")
    file.write_bytes(file.read_bytes().decode().encode("cp1252"))
    with pytest.raises(InputError, match="perhaps --encoding cp1252"):
        labelled(file, DataConfig(), ["pos"], prefix="--")


def test_labelled_refuses_a_label_that_is_not_known_with_its_line():
    with pytest.raises(InputError, match=r"'so-so' in line 3.*'pos', 'neg'"):
        labelled(Path(csv("a.csv", [("x", "pos"), ("y", "so-so")])), DataConfig(), ["pos", "neg"])
