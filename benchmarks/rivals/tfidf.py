"""TF-IDF of words and logistic regression, its C by cross-validation: scikit-learn's own parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from exchange import answer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline


def rival(texts: list[str], labels: list[int], classes: int, asked: list[str]) -> Any:
    """Unigrams and bigrams, sublinear counts; C of four by three folds where classes are large enough for folds."""
    pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), LogisticRegression(max_iter=2000))
    folds = min(3, int(np.bincount(labels, minlength=classes).max()))
    grid = {"logisticregression__C": [1, 10, 100, 1000]}
    splitter = StratifiedKFold(max(2, folds), shuffle=True, random_state=0)
    return GridSearchCV(pipeline, grid, cv=splitter).fit(texts, labels).predict_proba(asked)


if __name__ == "__main__":
    answer(rival)
