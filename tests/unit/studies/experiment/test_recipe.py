"""The recipe: a pure function of a few facts; what was set by hand wins; every choice has its reason."""

import dataclasses

import pytest

from lorabert.config import COURSE, LoraConfig, ModelConfig, RunConfig, TrainConfig
from lorabert.studies.experiment.recipe import Facts, decide

FEW = Facts(texts=40, classes=2, lengths=[20] * 40, longest=512, probe=True)


def chosen(facts=FEW, **train):
    return decide(RunConfig(train=TrainConfig(**train)).resolved(), facts)


def value(recipe, key):
    section, _, name = key.partition(".")
    return getattr(getattr(recipe.settings, section), name)


def test_nothing_is_left_open_and_every_choice_is_recorded_with_a_reason():
    recipe = chosen()
    assert set(recipe.chosen) == set(COURSE)
    assert {key: value(recipe, key) for key in COURSE} == recipe.chosen
    assert None not in recipe.chosen.values()
    assert len(recipe.because) == len(recipe.chosen)
    assert recipe.record() == {"name": "auto", "because": recipe.because, "chosen": recipe.chosen}
    assert all(key in str(recipe) for key in COURSE)


def test_the_same_facts_give_the_same_recipe():
    assert chosen() == chosen()


@pytest.mark.parametrize(
    ("texts", "batch", "epochs"),
    [(1, 16, 150), (16, 16, 150), (17, 16, 75), (40, 16, 50), (800, 16, 3), (9000, 16, 3), (40, 8, 30)],
)
def test_few_texts_are_passed_over_until_there_are_enough_steps(texts, batch, epochs):
    recipe = chosen(dataclasses.replace(FEW, texts=texts), per_device_train_batch_size=batch)
    assert recipe.settings.train.num_train_epochs == epochs
    assert epochs == 3 or epochs * -(-texts // batch) >= 150 > (epochs - 1) * -(-texts // batch)


def test_what_was_set_by_hand_wins_and_is_not_said_to_be_chosen():
    asked = RunConfig(
        ModelConfig(max_length=77), lora=LoraConfig(target_modules="auto"), train=TrainConfig(num_train_epochs=2, warmup=0.0)
    )
    recipe = decide(asked.resolved(), FEW)
    assert recipe.settings.model.max_length == 77
    assert (recipe.settings.train.num_train_epochs, recipe.settings.train.warmup) == (2, 0.0)
    assert recipe.chosen == {"train.head_init": "probe", "train.calibration": "temperature"}
    assert len(recipe.because) == 2


def test_what_a_recipe_gave_is_repeated_by_its_configuration_alone():
    first = chosen()
    again = decide(first.settings, Facts(9000, 50, [500], 512, probe=False))
    assert again.settings == first.settings
    assert again.chosen == {}
    assert "by hand" in str(again)


def test_course_has_the_courses_values_whatever_the_data():
    for facts in (FEW, Facts(90_000, 20, [400] * 9, 512, probe=False)):
        recipe = chosen(facts, recipe="course")
        assert recipe.chosen == COURSE
        assert recipe.settings.train.learning_rate == 5e-4


@pytest.mark.parametrize(
    ("lengths", "longest", "length"),
    [
        ([20] * 100, 512, 64),
        ([20] * 95 + [400] * 5, 512, 64),  # one in twenty may be cut
        ([20] * 94 + [100] * 6, 512, 128),
        ([300] * 100, 512, 512),
        ([900] * 100, 512, 512),
        ([300] * 100, 200, 200),  # the base reads no more
        ([10] * 100, 50, 50),
        ([300] * 100, None, 512),
        ([], 512, 128),
    ],
)
def test_texts_are_read_as_far_as_nearly_all_of_them_need(lengths, longest, length):
    recipe = chosen(Facts(100, 2, lengths, longest, probe=True))
    assert recipe.settings.model.max_length == length


def test_more_tokens_than_one_has_time_for_are_not_read_but_said():
    recipe = chosen(Facts(40_000, 2, [500] * 100, 512, probe=True))
    assert recipe.settings.model.max_length == 128
    assert "--model.max_length 512" in " ".join(recipe.because)


def test_a_head_that_is_not_known_starts_random():
    assert chosen(dataclasses.replace(FEW, probe=False)).settings.train.head_init == "random"


def test_only_lora_is_told_of_its_layers():
    assert "LoRA" in " ".join(chosen().because)
    assert "LoRA" not in " ".join(chosen(method="full").because)
