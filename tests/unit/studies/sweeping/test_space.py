"""What can be searched over, and what is said of what cannot."""

import re

import pytest

from lorabert.config import COURSE, METHODS, RunConfig
from lorabert.errors import InputError
from lorabert.studies.sweeping import space
from lorabert.studies.sweeping.space import Choices, Range

BASE = RunConfig().resolved()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.learning_rate=1e-4..3e-3:log", Range("train.learning_rate", 1e-4, 3e-3, log=True)),
        ("lora.lora_dropout=0..0.2", Range("lora.lora_dropout", 0.0, 0.2)),
        ("lora.r=4..64:log", Range("lora.r", 4, 64, log=True)),
        ("lora.r=4, 8,16,8", Choices("lora.r", (4, 8, 16))),
        ("train.learning_rate=1e-4,1e-3", Choices("train.learning_rate", (1e-4, 1e-3))),
        ("lora.use_dora=true,false", Choices("lora.use_dora", (True, False))),
        (
            "lora.target_modules=auto,[query,key],all-linear",
            Choices("lora.target_modules", ("auto", ["query", "key"], "all-linear")),
        ),
        ("lora.modules_to_save=null,[pooler]", Choices("lora.modules_to_save", (None, ["pooler"]))),
        ("lora.init_lora_weights=true,gaussian", Choices("lora.init_lora_weights", (True, "gaussian"))),
        ("model.max_length=32,64", Choices("model.max_length", (32, 64))),
    ],
)
def test_words_become_dimensions_of_the_options_own_type(word, expected):
    (found,) = space.parse([word], BASE)
    assert found == expected
    ends = found.values if isinstance(found, Choices) else (found.low, found.high)
    meant = expected.values if isinstance(expected, Choices) else (expected.low, expected.high)
    assert [type(value) for value in ends] == [type(value) for value in meant]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lora.r"], "cannot be read"),
        (["lora.r="], "cannot be read"),
        (["r=4,8"], "cannot be read"),
        (["lora.rank=4,8"], "Did you mean `lora.r`"),
        (["train.learning_rat=1e-4,1e-3"], "Did you mean `train.learning_rate`"),
        (["data.limit=10,20"], "other data"),
        (["lora.r=8"], "--lora.r 8"),
        (["lora.r=8,8"], "one value"),
        (["lora.r=8..4"], "lower end first"),
        (["lora.r=4..4"], "lower end first"),
        (["lora.r=0..8"], "at least 1"),
        (["lora.r=4.5..8"], "a whole number"),
        (["lora.r=4,eight"], "eight"),
        (["lora.lora_dropout=0..0.2:log"], "above 0"),
        (["lora.lora_dropout=0..1.5"], "below 1"),
        (["lora.lora_dropout=0..0.2:linear"], "linear"),
        (["train.method=full..lora"], "not a number"),
        (["lora.use_dora=false..true"], "not a number"),
        (["train.method=lora,lorra"], "lorra"),
        (["train.weight_decay=0,.inf"], "at most 10"),
        (["lora.r=4,8", "lora.lora_alpha=8,16", "lora.r=16,32"], "`lora.r`"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_reason(words, said):
    with pytest.raises(InputError, match=re.escape(said)):
        space.parse(words, BASE)


@pytest.mark.parametrize("method", METHODS)
def test_the_default_space_holds_the_methods_own_defaults(method):
    base = space.with_values(BASE, {"train.method": method, "train.recipe": "course"}).with_values(COURSE)
    dimensions = space.parse(space.default(base), base)
    for dimension in dimensions:
        section, name = dimension.key.split(".")
        assert dimension.holds(getattr(getattr(base, section), name)), dimension
    fitted = space.default(space.with_values(BASE, {"train.method": method}))
    assert len(fitted) == len(dimensions) - 1
    assert not any("epochs" in word for word in fitted)


def test_a_method_brings_its_own_learning_rate_unless_one_was_chosen():
    assert space.with_values(BASE, {"train.method": "full"}).train.learning_rate == 5e-5
    chosen = space.with_values(BASE, {"train.learning_rate": 1e-3})
    assert space.with_values(chosen, {"train.method": "full"}).train.learning_rate == 1e-3


def test_trials_with_another_seed_keep_the_split():
    assert space.with_values(BASE, {"train.seed": 7}).data.split_seed == BASE.data.split_seed


def test_a_grid_is_every_combination_of_choices():
    dimensions = space.parse(["lora.r=4,8", "lora.use_dora=true,false"], BASE)
    assert len(space.grid(dimensions)) == 4
    assert {"lora.r": 8, "lora.use_dora": False} in space.grid(dimensions)
    with pytest.raises(InputError, match="needs values"):
        space.grid(space.parse(["lora.r=4..8"], BASE))
