"""Texts that stand in several splits."""

from lorabert.data.leaks import Shared, shared


def single(*texts):
    return [(text,) for text in texts]


def test_shared_texts_are_counted_by_the_split_that_is_measured_on():
    found = shared([("train", single("a film", "b", "b")), ("test", single("b", "A  Film ", "b", "c"))])
    assert found == [Shared("train", "test", 3, 2, 4)]
    assert found[0].sentence() == (
        "3 texts stand in both train and test, 2 letter for letter, the others but for case or white space"
    )
    assert shared([("train", single("b")), ("test", single("b"))])[0].sentence() == "1 texts stand in both train and test"


def test_every_two_splits_are_compared():
    splits = [("train", single("a", "b")), ("validation", single("b", "c")), ("test", single("c", "a"))]
    assert [(one.first, one.second, one.examples) for one in shared(splits)] == [
        ("train", "validation", 1), ("train", "test", 1), ("validation", "test", 1),
    ]  # fmt: skip


def test_a_pair_is_shared_where_both_of_its_texts_are():
    assert shared([("train", [("a", "b")]), ("test", [("a", "c"), ("b", "a")])]) == []
    assert shared([("train", [("a", "b")]), ("test", [("A", "b\n")])]) == [Shared("train", "test", 1, 0, 1)]


def test_composed_and_decomposed_are_one_text():
    assert shared([("train", single("caf\u00e9")), ("test", single("cafe\u0301"))]) == [Shared("train", "test", 1, 0, 1)]


def test_a_long_text_is_one_text_whatever_its_white_space():
    words = ["Été", "A\u0308", "x" * 70_000, *["word"] * 50_000]
    first, second = " ".join(words), "\n " + "\t\u3000".join(words).upper() + " "
    (found,) = shared([("train", [(first,)]), ("test", [(second,), (first + " more",)])])
    assert (found.examples, found.exact) == (1, 0)


def test_splits_with_nothing_in_common_are_not_named():
    assert shared([("train", single("a")), ("test", single("b")), ("validation", [])]) == []
