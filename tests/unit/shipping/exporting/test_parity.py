"""The figures of parity.json, and what is too far."""

import numpy as np
import pytest

from lorabert.data.sources import Split
from lorabert.errors import InputError
from lorabert.shipping.exporting import parity
from lorabert.shipping.exporting.parity import Answers, Examples


def asked(labels: list[int] | None) -> Examples:
    none = Split([], None, np.zeros(0, np.int64))
    validation = None if labels is None else Split(["x"] * len(labels), None, np.array(labels))
    return Examples(none, validation, "" if labels is not None else "it is gone")


def answered(validation: np.ndarray | None, fixed: np.ndarray | None = None, alone: np.ndarray | None = None) -> Answers:
    fixed = np.array([[2.0, -2.0]], np.float32) if fixed is None else fixed
    return Answers(fixed, fixed if alone is None else alone, validation, np.array([3, 9]))


def one_hot(classes: list[int], size: float = 1.0) -> np.ndarray:
    return (size * np.eye(2)[classes]).astype(np.float32)


def figures(right_before: list[int], right_after: list[int]) -> dict:
    labels = [0] * len(right_before)
    sides = [answered(one_hot([1 - right for right in side])) for side in (right_before, right_after)]
    return parity.compared(*sides, asked(labels))


def test_figures_by_hand():
    ours = answered(one_hot([0, 1, 1, 0]), alone=np.array([[9.0, -2.0]], np.float32))
    theirs = answered(one_hot([0, 1, 0, 0], 1.5), alone=np.array([[2.5, -2.0]], np.float32))
    found = parity.compared(ours, theirs, asked([0, 0, 0, 1]))
    assert found["texts"] == {
        "fixed": 1, "validation": 4, "shortest_tokens": 3, "longest_tokens": 9, "mean_tokens": 6.0,
    }  # fmt: skip
    logits = found["logits"]
    assert (logits["largest"], logits["max_difference"]) == (2.0, 1.5)
    assert logits["mean_difference"] == pytest.approx((0.5 + 0.5 + 1.5 + 1.0 + 0.5) / 10)
    assert logits["relative_max_difference"] == 0.75
    assert logits["relative_max_difference_by_batch"] == 0.25
    assert found["agreement"]["value"] == 0.8
    assert found["agreement"]["low"] < 0.8 < found["agreement"]["high"]
    assert found["validation"]["adapter"]["accuracy"]["value"] == 0.25
    assert found["validation"]["export"]["accuracy"]["value"] == 0.5
    assert found["validation"]["accuracy_difference"]["value"] == 0.25


def test_without_a_validation_split_it_says_why():
    found = parity.compared(answered(None), answered(None), asked(None))
    assert found["validation"] == {"missing": "it is gone"}
    assert found["agreement"]["n"] == 1


def test_answers_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="not finite"):
        parity.compared(answered(None), answered(None, np.array([[np.nan, 1]], np.float32)), asked(None))


def test_no_logits_at_all_are_no_division_by_zero():
    nothing = np.zeros((1, 2), np.float32)
    found = parity.compared(answered(None, nothing), answered(None, nothing), asked(None))
    assert parity.excesses("onnx", found) == []


@pytest.mark.parametrize("name", ["merged", "onnx"])
def test_fp32_formats_are_held_to_their_logits(name):
    ours = np.array([[2.0, -2.0]], np.float32)
    for shift, within in ((1e-3, True), (3e-3, False)):
        found = parity.compared(answered(None, ours), answered(None, ours + np.float32(shift)), asked(None))
        assert (parity.excesses(name, found) == []) == within
        assert parity.excesses("onnx-int8", found) == []


@pytest.mark.parametrize(("lost", "within"), [(0, True), (2, True), (3, False)])
def test_eight_bits_may_lose_two_right_answers_in_a_thousand(lost, within):
    found = figures([1] * 1000, [0] * lost + [1] * (1000 - lost))
    assert (parity.excesses("onnx-int8", found) == []) == within


def test_what_is_won_elsewhere_counts_against_what_is_lost():
    assert parity.excesses("onnx-int8", figures([1] * 995 + [0] * 5, [0] * 5 + [1] * 995)) == []
    beyond = parity.excesses("onnx-int8", figures([1] * 990 + [0] * 10, [0] * 10 + [1] * 990))
    assert len(beyond) == 1  # as many right, but too many other labels
    assert "20 of 1,001 texts get another label" in beyond[0]


def test_a_single_example_is_never_too_many():
    assert parity.excesses("onnx-int8", figures([1] * 20, [0] + [1] * 19)) == []
    assert len(parity.excesses("onnx-int8", figures([1] * 20, [0, 0] + [1] * 18))) == 2


@pytest.mark.parametrize("max_length", [3, 8, 64, 512])
def test_fixed_texts_reach_from_no_word_to_the_longest(max_length):
    alone, paired = (parity.fixed_texts(max_length, pairs=pairs) for pairs in (False, True))
    assert alone.pairs is None
    assert alone.texts == paired.texts
    words = [len(text.split()) for text in alone.texts]
    assert min(words) == 0
    assert max(words) >= max_length
    assert len(paired.pairs) == len(alone)
    assert len(alone) < 25
