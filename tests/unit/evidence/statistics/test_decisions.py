"""Paired tests, Holm's correction and equivalence, by hand and by their definitions."""

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabert.evidence.statistics import Estimate, decisions, equivalence, holm, mcnemar, paired_test
from lorabert.evidence.statistics.decisions import PairedTest

DIFFERENCES = st.lists(st.integers(-50, 50), min_size=1, max_size=9)
P_VALUES = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.012, 0.02, 0.04, 0.05, 0.3, 1.0]), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], 2 / 32),  # all of one sign: the smallest there is
        ([0.05, 0.04, 0.03, 0.02, -0.01], 4 / 32),  # +++++ and ++++-, and their mirror images
        ([3, -1], 1.0),  # sums 4, 2, -2, -4: all at least 2
        ([1, 1, 1, -1], 10 / 16),  # |sum| >= 2: all but the 6 of sum 0
        ([0, 2, 2], 2 / 4),  # a zero has no sign to flip: as good as two seeds
        ([0, 0, 0], 1.0),
        ([0.3], 1.0),
    ],
)
def test_paired_test_by_hand(differences, p):
    test = paired_test(differences)
    assert test == PairedTest(p, 2 / 2 ** len(differences), pytest.approx(np.mean(differences)), len(differences))


@given(DIFFERENCES)
def test_paired_test_counts_every_way_to_give_signs(differences):
    sums = [abs(sum(sign * size for sign, size in zip(signs, differences, strict=True)))
            for signs in product([1, -1], repeat=len(differences))]  # fmt: skip
    expected = Fraction(sum(each >= abs(sum(differences)) for each in sums), len(sums))
    # Divided by a number of examples, sums that are equal on paper are not equal in float64.
    assert paired_test(np.array(differences) / 1066).p == float(expected)
    assert paired_test(-np.array(differences)[::-1]).p == float(expected)


def test_paired_test_is_exact_up_to_forty_seeds():
    assert paired_test(np.linspace(0.001, 0.01, 40)) == PairedTest(2.0**-39, 2.0**-39, pytest.approx(0.0055), 40)


def test_beyond_forty_seeds_random_flips_agree_with_all(monkeypatch):
    differences = np.random.default_rng(0).normal(0.3, 1, 30)
    exact = paired_test(differences)
    monkeypatch.setattr(decisions, "_MOST_EXACT", 29)
    np.random.seed(0)
    sampled = paired_test(differences)
    assert paired_test(differences) == sampled
    assert 0.01 < exact.p < 0.99
    assert sampled.p != exact.p
    assert sampled.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / 99_999))
    assert paired_test(np.ones(50)).p == paired_test(np.ones(50)).smallest_p == 1e-5


@pytest.mark.parametrize("differences", [[], [[0.1, 0.2]], [0.1, np.nan], [np.inf]])
def test_paired_test_refuses_what_it_cannot_answer(differences):
    with pytest.raises(ValueError, match="finite differences"):
        paired_test(differences)


def test_mcnemar_by_hand():
    labels = np.zeros(20, dtype=int)
    first, second = labels.copy(), labels.copy()
    second[:7] = 1  # only the first is right seven times, only the second once; both are wrong once
    first[7:9] = second[8] = 1
    # Of 8 disagreements at least 7 on one side: (8 + 1) / 256, and as many on the other.
    assert mcnemar(labels, first, second) == PairedTest(18 / 256, 2 / 256, 0.3, 20)
    assert mcnemar(labels, second, first) == PairedTest(18 / 256, 2 / 256, -0.3, 20)
    assert mcnemar(labels, first, first) == PairedTest(1.0, 1.0, 0.0, 20)


def test_mcnemar_ignores_how_two_runs_are_wrong():
    assert mcnemar([0, 0], [1, 2], [2, 1]) == PairedTest(1.0, 1.0, 0.0, 2)


@pytest.mark.parametrize("arguments", [([], [], []), ([0], [0, 1], [0]), ([[0]], [[0]], [[0]])])
def test_mcnemar_refuses_other_shapes(arguments):
    with pytest.raises(ValueError, match="shape"):
        mcnemar(*arguments)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.4, 0.001, 0.02]), [0.8, 0.8, 0.004, 0.06])
    assert holm([0.7, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).shape == (0,)


@given(P_VALUES)
def test_holm_is_the_closed_test_of_bonferronis(p_values):
    """A hypothesis is rejected where every set that holds it is, by Bonferroni within the set (Marcus et al. 1976)."""
    everyone = range(len(p_values))
    sets = [each for size in range(1, len(p_values) + 1) for each in combinations(everyone, size)]
    closed = [max(min(1, len(each) * min(p_values[i] for i in each)) for each in sets if one in each) for one in everyone]
    np.testing.assert_allclose(holm(p_values), closed)


@pytest.mark.parametrize("p_values", [[0.1, 1.1], [-0.1], [np.nan], [[0.1]]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        holm(p_values)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.004, 0.004, "equivalent"),
        (0.001, 0.004, "equivalent"),  # surely there, and surely too small to matter
        (0.001, 0.006, "different"),
        (-0.02, -0.01, "different"),
        (-0.004, 0.006, "undecided"),
        (-0.006, 0.0, "undecided"),
        (-0.005, 0.004, "undecided"),  # on the margin is not within it
    ],
)
def test_equivalence(low, high, verdict):
    assert equivalence(Estimate((low + high) / 2, low, high, 2000)) == verdict
    assert equivalence(Estimate(-(low + high) / 2, -high, -low, 2000)) == verdict


def test_equivalence_of_systems_that_never_disagreed_takes_enough_examples():
    assert equivalence(Estimate(0.0, 0.0, 0.0, 735)) == "undecided"
    assert equivalence(Estimate(0.0, 0.0, 0.0, 736)) == "equivalent"
    assert equivalence(Estimate(0.0, 0.0, 0.0, 100), margin=0.05) == "equivalent"
    with pytest.raises(ValueError, match="positive"):
        equivalence(Estimate(0.0, 0.0, 0.0, 9), margin=0.0)
