"""A linear probe: scikit-learn's own answers, in weights that a head can take over."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lorabert.evidence import probes


def blobs(n, classes, seed=0, spread=1.0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return 1 + spread * generator.normal(size=(n, 6)) * [1, 2, 3, 4, 5, 1] + 3 * np.eye(6)[labels % 6], labels


@pytest.mark.parametrize("classes", [2, 4])
def test_it_answers_as_scikit_learn_does_on_standardised_states(classes):
    (train, labels), (test, _) = blobs(120, classes), blobs(50, classes, seed=1)
    probe = probes.fit(train, labels, classes)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=probe.c, max_iter=1000)).fit(train, labels)
    logits = probe.logits(test)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    np.testing.assert_allclose(shares, oracle.predict_proba(test), atol=1e-8)
    other = make_pipeline(StandardScaler(), LogisticRegression(C=30 * probe.c, max_iter=1000)).fit(train, labels)
    assert np.abs(shares - other.predict_proba(test)).max() > 0.01  # C plays a part


def test_how_much_freedom_it_has_is_chosen_on_texts_it_was_not_fitted_to():
    assert probes.fit(*blobs(200, 3, spread=0.2), 3).c > probes.fit(*blobs(60, 3, spread=9.0), 3).c


def test_a_state_that_hardly_varies_gets_no_large_weight():
    train, labels = blobs(60, 2)
    still = np.column_stack([train, 1e-9 * labels + 5, np.full(60, 3.0)])
    probe = probes.fit(still, labels, 2)
    assert np.abs(probe.weight[:, 6:]).max() < 1e-3 * np.abs(probe.weight[:, :6]).max()
    np.testing.assert_allclose(probe.logits(still + np.array([0] * 6 + [0.1, 0.1])), probe.logits(still), atol=1e-3)


def test_a_class_without_an_example_is_the_least_likely():
    train, labels = blobs(60, 3)
    probe = probes.fit(train, np.array([0, 2, 4])[labels], 5)
    assert probe.weight.shape == (5, 6)
    assert not probe.weight[[1, 3]].any()
    assert set(probe.logits(train).argmax(1)) == {0, 2, 4}


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 1, 1], [0, 1, 2]])
def test_it_survives_texts_that_nothing_can_be_chosen_by(labels):
    probe = probes.fit(np.random.default_rng(0).normal(size=(3, 4)), labels, 3)
    assert np.isfinite(probe.weight).all()
    assert np.isfinite(probe.bias).all()
    assert probe.c == 0.03


def test_one_class_is_always_the_answer():
    assert probes.fit(np.ones((3, 2)), [1, 1, 1], 3).logits(np.ones((2, 2))).argmax(1).tolist() == [1, 1]


def test_no_labels_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        probes.fit(np.empty((0, 3)), [], 2)


def test_the_loss_of_many_examples_is_of_all_classes_whatever_their_order():
    """A file that is sorted by its labels has one class in its first examples."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 1500)
    features = generator.normal(size=(4500, 8)) + np.eye(8)[labels]
    shuffled = generator.permutation(4500)
    found, wanted = probes.log_loss(features, labels), probes.log_loss(features[shuffled], labels[shuffled])
    assert found == pytest.approx(wanted, rel=0.1)
    assert probes.log_loss(features, np.zeros(4500, np.int64)) is None
