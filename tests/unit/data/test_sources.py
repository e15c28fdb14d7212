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
from lorabert.data.sources import SPLITS, Split, Splits, labelled, load, recorded
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


def test_a_draw_of_labelled_texts_leaves_the_test_split_and_holds_the_smaller_draws(reviews_csv):
    def drawn(limit, **options):
        return load(DataConfig(train=reviews_csv, train_limit=limit, **options))

    whole, many, few = load(DataConfig(train=reviews_csv)), drawn(80), drawn(40)
    assert [len(getattr(many, name)) for name in SPLITS] == [72, 8, 20]
    assert [len(getattr(few, name)) for name in SPLITS] == [36, 4, 20]
    assert many.test.texts == whole.test.texts
    texts = {name: {*part.train.texts, *part.validation.texts} for name, part in (("many", many), ("few", few))}
    assert texts["few"] < texts["many"] < {*whole.train.texts, *whole.validation.texts}
    assert len(many.groups) == 72
    other = drawn(40, draw_seed=1)
    assert other.test.texts == whole.test.texts
    assert {*other.train.texts, *other.validation.texts} != texts["few"]
    assert drawn(40, draw_seed=1).fingerprint() == other.fingerprint()
    assert drawn(500).fingerprint() == whole.fingerprint()


def test_a_share_of_nothing_leaves_validation_empty_and_its_texts_in_train(reviews_csv):
    whole, without = load(DataConfig(train=reviews_csv)), load(DataConfig(train=reviews_csv, validation_share=0))
    assert [len(getattr(without, name)) for name in SPLITS] == [180, 0, 20]
    assert {*without.train.texts} == {*whole.train.texts, *whole.validation.texts}
    assert without.validation.labels.dtype == whole.validation.labels.dtype


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
    monkeypatch.setattr(sources.hub, "tables", lambda *_: splits)
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


AS_USUAL = Columns("text", None, "label", None)


def read(*rows: tuple) -> sources.Table:
    return sources.tables.read(Path(csv("a.csv", list(rows))))


def test_labelled_reads_a_file_in_the_order_of_the_known_labels():
    assert rows(labelled(read(("x", "pos"), ("y", "neg")), AS_USUAL, ["pos", "neg"])[0]) == (["x", "y"], [0, 1])
    assert rows(labelled(read(("x", "1"), ("y", "0.0")), AS_USUAL, ["0", "1.0"])[0]) == (["x", "y"], [1, 0])


def test_labelled_refuses_a_label_that_is_not_known_with_its_line():
    with pytest.raises(InputError, match=r"'so-so' in line 3.*'pos', 'neg'"):
        labelled(read(("x", "pos"), ("y", "so-so")), AS_USUAL, ["pos", "neg"])


def test_labelled_says_where_an_unknown_label_looks_like_a_known_one():
    with pytest.raises(InputError, match=r"'NEG' in line 2.*'neg'.*'NEG' \(1\), 'neg' \(1\)"):
        labelled(read(("x", "NEG"), ("y", "pos")), AS_USUAL, ["pos", "neg"])


# ---- what an earlier version recorded


def as_recorded(splits: Splits, names: list[str]) -> dict:
    """The entry `data` of a record that has other spellings of the labels, in its own order."""
    other = dataclasses.replace(splits, label_names=names)
    return {"labels": names, "fingerprint": other.fingerprint(), "columns": dataclasses.asdict(splits.columns)}


@pytest.mark.parametrize("names", [["0.0", "1.0"], ["0", "1"]])
def test_what_an_older_version_recorded_of_the_same_data_is_found_to_be_the_same(names):
    texts, labels = tiny.reviews(60, 2)
    data = DataConfig(train=csv("a.csv", [(text, f"{label}.0") for text, label in zip(texts, labels, strict=True)]))
    splits = load(data)
    assert splits.label_names == ["0", "1"]
    found = recorded(data, as_recorded(splits, names))
    assert found.label_names == names
    assert rows(found.test) == rows(splits.test)


def test_eleven_numbers_that_were_sorted_as_text_keep_the_order_that_an_adapter_learnt():
    texts, _ = tiny.reviews(220, 2)
    labels = [row % 11 for row in range(220)]
    file = csv("a.csv", [(text, f"{label}.0") for text, label in zip(texts, labels, strict=True)])
    given = DataConfig(train=file, validation=file, test=file)
    as_text = sorted({f"{label}.0" for label in labels})
    then = Split(texts, None, np.array([as_text.index(f"{label}.0") for label in labels]))
    splits = Splits("a.csv", then, then, then, as_text, AS_USUAL)
    found = recorded(given, as_recorded(splits, as_text))
    assert (found.label_names, found.test.labels.tolist()) == (as_text, then.labels.tolist())
    assert load(given).label_names == [str(label) for label in range(11)]


def test_columns_that_an_older_version_guessed_are_taken_from_the_record():
    texts, labels = tiny.reviews(60, 2)
    file = csv("a.csv", list(zip(texts, texts[::-1], labels, strict=True)), "question,sentence,label")
    with pytest.raises(InputError, match="more than one column may be the text"):
        load(DataConfig(train=file))
    then = load(DataConfig(train=file, text="question", text_pair="sentence"))
    assert recorded(DataConfig(train=file), as_recorded(then, then.label_names)).columns == then.columns


def test_data_that_have_changed_are_refused_however_they_are_spelled(reviews_csv):
    record = as_recorded(load(DataConfig(train=reviews_csv)), ["0.0", "1.0"])
    tiny.write_csv("reviews.csv", *tiny.reviews(200, 2, seed=1))
    with pytest.raises(InputError, match="not those that the adapter was trained"):
        recorded(DataConfig(train=reviews_csv), record)


# ---- many small classes


def many(classes: int, each: int) -> str:
    rows = [(f"text {row} of {name}", f"class {name}") for name in range(classes) for row in range(each)]
    return csv("many.csv", rows)


@pytest.mark.parametrize(("classes", "each"), [(500, 4), (50, 2), (20, 3), (499, 4)])
def test_many_small_classes_are_split_and_each_can_be_learnt(classes, each):
    splits = load(DataConfig(train=many(classes, each)))
    total = classes * each
    assert len(splits.test) == pytest.approx(0.1 * total, abs=1)
    assert len(splits.validation) == pytest.approx(0.1 * (total - len(splits.test)), abs=1)
    assert len(set(splits.train.labels.tolist())) == classes
    assert max(Counter(splits.test.labels.tolist()).values()) == 1
    lacking = classes - len(set(splits.test.labels.tolist()))
    assert any(f"{lacking} of the {classes} classes" in note and "test" in note for note in splits.notes)


def test_larger_shares_reach_every_class():
    splits = load(DataConfig(train=many(50, 4), test_share=0.25, validation_share=0.34))
    assert [len(set(getattr(splits, name).labels.tolist())) for name in SPLITS] == [50, 50, 50]


def test_classes_that_have_nothing_to_spare_are_named():
    rows = [(f"the only text of {name}", f"class {name}") for name in range(30) for _ in range(3)]
    with pytest.raises(
        InputError, match=r"too few examples.*30 classes whose rows all belong together: 'class 0'.*25 more.*--data"
    ):
        load(DataConfig(train=csv("a.csv", rows)))


def test_a_large_class_beside_many_small_ones_does_not_stand_alone_in_test():
    rows = [(f"text {row} of {name}", f"class {name}") for name in range(200) for row in range(4)]
    rows += [(f"large {row}", "large") for row in range(12)]
    splits = load(DataConfig(train=csv("a.csv", rows)))
    assert len(splits.test) == pytest.approx(81, abs=1)


# ---- notes


def test_columns_that_are_not_used_and_labels_that_look_alike_are_noted():
    rows = [(number, f"text {number}", ("neg", "NEG", "pos")[number % 3]) for number in range(60)]
    splits = load(DataConfig(train=csv("a.csv", rows, "id,text,label")))
    assert splits.label_names == ["NEG", "neg", "pos"]
    assert "columns not used: 'id'" in splits.notes
    assert any("'NEG' (20), 'neg' (20)" in note for note in splits.notes)


def test_a_test_file_in_another_format_has_the_labels_of_train():
    texts, labels = tiny.reviews(60, 2)
    train = csv("a.csv", [(text, f"{label}.0") for text, label in zip(texts, labels, strict=True)])
    Path("b.jsonl").write_text("".join(f'{{"text": "t{row}", "label": {row % 2}}}\n' for row in range(10)), encoding="utf-8")
    splits = load(DataConfig(train=train, test="b.jsonl"))
    assert (splits.label_names, splits.test.labels.tolist()) == (["0", "1"], [0, 1] * 5)


@pytest.mark.parametrize(
    ("name", "said"),
    [("here.csv", "a file.*--data.train here.csv"), ("folder", "a folder|an empty folder"), ("~/x.csv", "The shell makes"),
     ("https://x/y", "a URL is not fetched")],
)  # fmt: skip
def test_a_path_is_no_name_of_published_data(name, said):
    Path("here.csv").write_text("text,label\na,b\n")
    Path("folder").mkdir()
    with pytest.raises(InputError, match=rf"(?i)--data\.name takes.*({said})"):
        sources.load(DataConfig(name=name))


def test_texts_with_several_labels_are_told(tmp_path):
    rows = [f"film {number},{('good', 'bad')[number % 2]}" for number in range(20)]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows, "film 0,bad", "film 3,good", "film 4,good"]) + "\n")
    notes = "\n".join(load(DataConfig(train=str(tmp_path / "d.csv"))).notes)
    assert "2 texts stand there with different labels: 'film 0' as 'bad', 'good'" in notes
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows, "film 4,good"]) + "\n")
    assert "different labels" not in "\n".join(load(DataConfig(train=str(tmp_path / "d.csv"))).notes)
