"""A linear probe: logistic regression on a frozen base's states, as a weight and a bias that a head can take over."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Of the penalty |W|² / (2 C) on standardised states: from hardly any freedom to plenty.
_CANDIDATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# Within 1.2 points of the best tried on MiniLM's states, from 50 to 10,000 film reviews and on Reuters-52.
_USUAL = 0.03
# Choosing C among more texts takes longer than it brings.
_MOST_TO_CHOOSE_BY = 2_000
_FOLDS = 5
# Of the states' root mean square: dropout and the first steps move a state by about as much.
_LEAST_SCALE = 0.1


@dataclass(frozen=True)
class Probe:
    """logits = W x + b on states as the base gives them, not standardised.

    Attributes:
        weight: W, (C, d).
        bias: b, (C,).
        c: the inverse strength of the penalty, chosen or usual.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    c: float

    def logits(self, features: ArrayLike) -> NDArray[np.float64]:
        """(n, C) of states (n, d)."""
        return np.asarray(features, np.float64) @ self.weight.T + self.bias


def fit(features: ArrayLike, labels: ArrayLike, num_classes: int) -> Probe:
    """Fit multinomial logistic regression on standardised states (Alain and Bengio 2016). Deterministic.

    Columns that hardly vary beside the states' size are scaled less than to unit variance.

    Minimises `sum_i loss_i + |W|² / (2 C)`; up to 2,000 texts C is the candidate with the least log loss over stratified folds,
    beyond that it is 0.03. A class without an example is as unlikely as the least likely of the others.

    Args:
        features: shape (n, d), finite.
        labels: class indices, shape (n,).
        num_classes: C.

    Raises:
        ValueError: there are no labels.
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.int64)
    if len(y) == 0:
        raise ValueError("a probe needs at least one labelled text")
    present = np.unique(y)
    weight, bias = np.zeros((num_classes, x.shape[1])), np.zeros(num_classes)
    if len(present) < 2:
        bias[present] = 1.0
        return Probe(weight, bias, _USUAL)
    standard, mean, scale = _standard(x)
    c = _chosen(standard, y) if len(y) <= _MOST_TO_CHOOSE_BY else _USUAL
    model = _regression(standard, y, c)
    found, lift = (model.coef_, model.intercept_) if len(present) > 2 else _two_sided(model)
    bias[:] = lift.min() - 1.0
    weight[present], bias[present] = found / scale, lift - (found / scale) @ mean
    return Probe(weight, bias, c)


def log_loss(features: ArrayLike, labels: ArrayLike) -> float | None:
    """Mean log loss of a probe on examples held out of its fitting, by stratified folds, to tell which states say more.

    At most 2,000 examples are looked at, C is 0.03, a class of one example counts in none; None where nothing is left to fold.

    Args:
        features: shape (n, d), finite.
        labels: class indices, shape (n,).
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.int64)
    if len(y) > _MOST_TO_CHOOSE_BY:  # from everywhere, as files are often sorted by their labels
        some = np.linspace(0, len(y) - 1, _MOST_TO_CHOOSE_BY).astype(np.int64)
        x, y = x[some], y[some]
    x, y, parts = _folded(_standard(x)[0], y)
    return sum(_loss(x, y, fitted, held, _USUAL) for fitted, held in parts) / len(y) if parts else None


def _standard(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Standardised columns, their means and what they were divided by."""
    mean, scale = x.mean(0), x.std(0)
    # Where texts differ by less than a training's own noise, a weight as large as that asks for would only amplify the noise.
    scale = np.maximum(scale, _LEAST_SCALE * np.sqrt(np.mean(x**2)))
    scale[scale == 0] = 1.0
    return (x - mean) / scale, mean, scale


def _two_sided(model: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """scikit-learn's one row for two classes as two rows that differ by it."""
    return np.concatenate([-model.coef_, model.coef_]) / 2, np.concatenate([-model.intercept_, model.intercept_]) / 2


def _regression(x: NDArray[np.float64], y: NDArray[np.int64], c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about convergence: nothing that a user can act on
        return LogisticRegression(C=c, max_iter=1000).fit(x, y)


def _chosen(x: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """The candidate with the least log loss over folds; of equals the smallest."""
    x, y, parts = _folded(x, y)
    if not parts:
        return _USUAL
    return min(_CANDIDATES, key=lambda c: (sum(_loss(x, y, fitted, held, c) for fitted, held in parts), c))


_Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def _folded(x: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64], list[_Fold]]:
    """The examples of classes that have several, and which each fold fits and holds out; no fold of fewer than two classes."""
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(y)
    several = np.isin(y, np.flatnonzero(counts >= 2))
    x, y = x[several], y[several]
    if len(np.unique(y)) < 2:
        return x, y, []
    folds = StratifiedKFold(min(_FOLDS, int(np.bincount(y)[np.unique(y)].min())), shuffle=True, random_state=0)
    return x, y, list(folds.split(x, y))


def _loss(x: NDArray[np.float64], y: NDArray[np.int64], fitted: NDArray[np.int64], held: NDArray[np.int64], c: float) -> float:
    model = _regression(x[fitted], y[fitted], c)
    logs = model.predict_log_proba(x[held])
    return float(-logs[np.arange(len(held)), np.searchsorted(model.classes_, y[held])].sum())
