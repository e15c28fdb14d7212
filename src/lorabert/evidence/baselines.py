"""What a trained adapter has to beat: classifiers that cost seconds and no training of the encoder.

Each takes training texts and gives class indices for others. What they choose they choose among the training texts, so nothing
about them was chosen on the data that they are scored on, and they come back with an answer on any data that has a train
example: where nothing can be learnt, that of `majority`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorabert.evidence import probes

Scores = TypeVar("Scores")
MAJORITY, TFIDF, EMBEDDING, STATIC = "majority class", "TF-IDF + logistic regression", "embedding_linear", "static_linear"
_TITLES = {EMBEDDING: "frozen base + linear head", STATIC: "word embeddings + linear head"}
# Inverse strengths of the penalty for TF-IDF: the first is the best of them on large data, and stays where all do alike.
_STRENGTHS = (10.0, 30.0, 3.0, 100.0, 1.0)
_MOST_TO_CHOOSE_BY, _FOLDS = 1_000, 5

_LONGEST_TEXT = 1_000_000  # characters that are read of a text; each word takes a hundred bytes while it is counted
_MANY_TEXTS = 1000  # from here on a term that stands in one text only is left out: half the terms, little signal


def majority(train_labels: ArrayLike, num_test: int) -> NDArray[np.int64]:
    """Predict the most frequent train class everywhere; of equally frequent ones the lowest index.

    Args:
        train_labels: class indices, shape (n,).
        num_test: m, the number of predictions.

    Returns:
        Class indices of shape (m,).

    Raises:
        ValueError: there are no train labels.
    """
    counts = np.bincount(np.asarray(train_labels, dtype=np.int64))
    return np.full(num_test, counts.argmax(), dtype=np.int64)


def titled(baselines: Mapping[str, Scores]) -> dict[str, Scores]:
    """The same by names for people: what a record calls embedding_linear is a frozen base with a linear head."""
    return {_TITLES.get(name, name): scores for name, scores in baselines.items()}


def tfidf_linear(train_texts: Sequence[str], train_labels: ArrayLike, test_texts: Sequence[str]) -> NDArray[np.int64]:
    """Logistic regression, one class against the rest, on TF-IDF weights of words and word pairs.

    A text's weight for a term is `(1 + ln tf) (1 + ln ((1 + n) / (1 + df)))`, scaled to unit length (Salton and Buckley
    1988). Linear models on such features are hard to beat (Wang and Manning 2012). Up to 1,000 texts the strength of the penalty
    is the one that classifies most of them rightly over stratified folds; beyond that C is 10. Deterministic.

    Args:
        train_texts: n texts.
        train_labels: their class indices, shape (n,).
        test_texts: m texts.

    Returns:
        Class indices of shape (m,).

    Raises:
        ValueError: there are no train labels.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b",  # one-letter words too: half a point on film reviews
        min_df=2 if len(train_texts) >= _MANY_TEXTS else 1,
        preprocessor=lambda text: text[:_LONGEST_TEXT].lower(),
        max_features=100_000,  # halves the time on long texts, for less than half a point
    )
    try:
        train_features = vectorizer.fit_transform(train_texts)
    except ValueError:  # an empty vocabulary: no words, or none that two texts share
        return majority(train_labels, len(test_texts))

    # One class against the rest, because 52 classes then take seconds instead of a minute. On thousands of texts C = 10 is within
    # 1.2 points of the best of 1..100 on film reviews, Reuters-8, Reuters-52 and 20 Newsgroups.
    def classifier(c: float) -> Any:
        return OneVsRestClassifier(LogisticRegression(C=c, solver="liblinear", max_iter=1000))

    strength = _strength(classifier, train_features, np.asarray(train_labels))
    return _fit_predict(classifier(strength), train_features, train_labels, vectorizer.transform(test_texts))


def _strength(classifier: Callable[[float], Any], features: Any, labels: NDArray[np.int64]) -> float:
    """The C of the classifier that is right most often on texts held out of its fitting."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    counts = np.bincount(labels)
    if len(labels) > _MOST_TO_CHOOSE_BY or (counts >= 2).sum() < 2:
        return _STRENGTHS[0]
    folds = StratifiedKFold(max(2, min(_FOLDS, int(counts.max()))), shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer texts than folds; convergence
        right = [cross_val_score(classifier(c), features, labels, cv=folds).mean() for c in _STRENGTHS]
    return _STRENGTHS[int(np.argmax(right))]


def linear_probe(train_features: ArrayLike, train_labels: ArrayLike, test_features: ArrayLike, num_classes: int
                 ) -> NDArray[np.int64]:  # fmt: skip
    """Logistic regression on one vector a text, such as the mean of a frozen base's states, as `probes.fit` fits it.

    Args:
        train_features: shape (n, d), finite.
        train_labels: class indices, shape (n,).
        test_features: shape (m, d), finite.
        num_classes: C.

    Returns:
        Class indices of shape (m,).

    Raises:
        ValueError: there are no train labels.
    """
    if len(np.unique(train_labels)) < 2:
        return majority(train_labels, len(np.asarray(test_features)))
    answers: NDArray[np.int64] = probes.fit(train_features, train_labels, num_classes).logits(test_features).argmax(1)
    return answers


def _fit_predict(classifier: Any, train_features: Any, train_labels: ArrayLike, test_features: Any) -> NDArray[np.int64]:
    """Predictions of a scikit-learn `classifier`, or of `majority` where there is one class only."""
    if len(np.unique(train_labels)) < 2:
        return majority(train_labels, test_features.shape[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about convergence: nothing that the user of a baseline can act on
        return np.asarray(classifier.fit(train_features, train_labels).predict(test_features), dtype=np.int64)
