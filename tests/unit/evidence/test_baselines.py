"""Baselines: better than the majority where there is something to learn, never a crash, never a warning."""

import warnings

import numpy as np
import pytest

from lorabert.evidence import baselines
from lorabert.evidence.baselines import linear_probe, majority, tfidf_linear, titled

WORDS = [["superb", "moving", "delight"], ["dull", "tired", "mess"], ["long", "short", "colour"]]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def reviews(n, num_labels, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, n)
    texts = [f"film {generator.choice(WORDS[label])} scene {generator.integers(0, 50)}" for label in labels]
    return texts, labels


def blobs(n, num_labels, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, n)
    return generator.normal(size=(n, 8)) + 3 * np.eye(8)[labels], labels


def probe(train, labels, test):
    return linear_probe(train, labels, test, 8)


def test_majority_takes_the_most_frequent_class_and_the_lowest_of_a_tie():
    assert majority([2, 0, 2], 4).tolist() == [2, 2, 2, 2]
    assert majority([1, 1, 0, 0], 1).tolist() == [0]
    assert majority([3], 0).tolist() == []


def test_no_train_labels_are_refused():
    with pytest.raises(ValueError, match="empty"):
        majority([], 3)


@pytest.mark.parametrize("num_labels", [2, 3])
@pytest.mark.parametrize(("baseline", "make"), [(tfidf_linear, reviews), (probe, blobs)])
def test_learns_an_easy_task_the_same_way_twice(baseline, make, num_labels):
    train, train_labels = make(1200, num_labels, seed=0)
    test, test_labels = make(200, num_labels, seed=1)
    predictions = baseline(train, train_labels, test)
    assert predictions.shape == (200,)
    assert predictions.dtype == np.int64
    assert (majority(train_labels, 200) == test_labels).mean() < 0.6 < 0.9 < (predictions == test_labels).mean()
    np.testing.assert_array_equal(baseline(train, train_labels, test), predictions)
    shuffled = np.random.default_rng(2).permutation(train_labels)
    assert (baseline(train, shuffled, test) == test_labels).mean() < 0.7  # it was the labels that it learnt from


@pytest.mark.parametrize("baseline", [tfidf_linear, probe])
def test_class_indices_need_not_be_dense(baseline):
    train, labels = reviews(60, 2, seed=0) if baseline is tfidf_linear else blobs(60, 2, seed=0)
    assert set(baseline(train, labels * 5 + 2, train)) == {2, 7}


@pytest.mark.parametrize(
    ("train_texts", "train_labels"),
    [
        (["", "  ", "?!"], [1, 1, 0]),  # no vocabulary
        (["one"], [1]),  # one example
        (["a film", "a book"], [1, 1]),  # one class
        ([f"{number:05d}" for number in range(1500)], [1] * 1499 + [0]),  # no word that two texts share
    ],
    ids=["no words", "one example", "one class", "nothing shared"],
)
def test_tfidf_falls_back_to_the_majority(train_texts, train_labels):
    assert tfidf_linear(train_texts, train_labels, ["a film", ""]).tolist() == [1, 1]


def test_tfidf_learns_from_one_example_a_class():
    texts = ["superb film", "dull film", "long film"]
    assert tfidf_linear(texts, [0, 1, 2], [*texts, "", "unseen"])[:3].tolist() == [0, 1, 2]


def test_a_probe_survives_degenerate_features():
    features = np.array([[1.0, 5.0], [1.0, 5.0], [1.0, 5.0]])
    assert probe(features, [0, 1, 1], features).tolist() == [1, 1, 1]
    assert probe(features[:1], [4], features).tolist() == [4, 4, 4]


def test_the_strength_of_the_penalty_is_chosen_on_the_training_texts_alone(monkeypatch):
    """A C that is far too small gives the majority everywhere; among others it is not taken."""
    train, labels = reviews(60, 2, seed=3)
    test, test_labels = reviews(200, 2, seed=4)
    chosen = (tfidf_linear(train, labels, test) == test_labels).mean()
    monkeypatch.setattr(baselines, "_STRENGTHS", (1e-6,))
    assert (tfidf_linear(train, labels, test) == test_labels).mean() < chosen
    monkeypatch.setattr(baselines, "_STRENGTHS", (1e-6, 10.0))
    assert (tfidf_linear(train, labels, test) == test_labels).mean() == chosen


def test_many_texts_are_not_chosen_among(monkeypatch):
    monkeypatch.setattr(baselines, "_STRENGTHS", (10.0, None))  # which no regression would take
    train, labels = reviews(baselines._MOST_TO_CHOOSE_BY + 1, 2, seed=0)
    assert len(tfidf_linear(train, labels, train)) == len(train)


def test_names_for_people_are_all_different():
    names = [baselines.MAJORITY, baselines.TFIDF, baselines.EMBEDDING, baselines.STATIC, "one of another version"]
    assert list(titled(dict.fromkeys(names))) == [
        "majority class", "TF-IDF + logistic regression", "frozen base + linear head", "word embeddings + linear head",
        "one of another version",
    ]  # fmt: skip


def test_a_fit_that_did_not_converge_stays_quiet():
    from sklearn.linear_model import LogisticRegression

    features, labels = blobs(60, 3, seed=0)
    unfinished = LogisticRegression(max_iter=1)
    with pytest.warns(UserWarning, match="converge"):
        unfinished.fit(features, labels)
    assert baselines._fit_predict(unfinished, features, labels, features).shape == (60,)
