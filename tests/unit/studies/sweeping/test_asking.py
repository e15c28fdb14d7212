"""The study in its database: what is proposed, to whom, and what happens when it cannot be reached."""

import pytest

from lorabert.config import RunConfig
from lorabert.errors import InputError
from lorabert.studies.experiment import Stopped
from lorabert.studies.sweeping import space
from lorabert.studies.sweeping.asking import Study, check_storage

DIMENSIONS = space.parse(
    ["train.learning_rate=1e-4..1e-2:log", "lora.r=2..16", "lora.target_modules=auto,[query,key]"], RunConfig().resolved()
)
PLAN = {"direction": "maximize", "sampler": "tpe", "pruner": "none", "seed": 3}
FIRST = {"train.learning_rate": 5e-4, "lora.r": 8, "lora.target_modules": ["query", "key"]}


def study(url, *, worker="one", alone=True, first=None, **changes):
    return Study(url, "test", worker, DIMENSIONS, PLAN | changes, first=first, alone=alone)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


def value(values):
    """A smooth objective with its best at a rate of 1e-3."""
    return -abs(values["train.learning_rate"] - 1e-3) - values["lora.r"] / 1000


def play(url, steps, together=1, **options):
    """Ask and tell, opening the study anew before each number of `steps`; the values asked, in order."""
    for most in steps:
        found = study(url, **options)
        while batch := found.ask(together, most):
            for trial in batch:
                found.tell(trial, value(found.values(trial)), {})
    return [found.values(trial) for trial in found.trials()]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_that_was_stopped_proposes_what_an_undisturbed_one_does(tmp_path, sampler):
    whole = play(f"sqlite:///{tmp_path}/whole.db", [16], sampler=sampler)
    stopped = play(f"sqlite:///{tmp_path}/stopped.db", [3, 11, 12, 16], sampler=sampler)
    assert stopped == whole
    assert len({str(values) for values in whole}) == 16
    assert play(f"sqlite:///{tmp_path}/other.db", [16], sampler=sampler, seed=4) != whole


def test_trials_asked_for_together_differ(url):
    found = study(url)
    asked = [found.values(trial) for trial in found.ask(8, 8)]
    assert len({str(values) for values in asked}) == 8


def test_the_first_trial_is_the_configuration_as_given(url):
    found = study(url, first=FIRST)
    first, second = found.ask(2, 5)
    assert found.values(first) == FIRST
    assert found.values(second) != FIRST


def test_an_unfinished_trial_is_handed_out_again_to_its_own_worker_only(url):
    (asked,) = study(url, alone=False).ask(1, 3)
    other = study(url, worker="two", alone=False)
    (theirs,) = other.ask(1, 3)
    assert theirs.number == 1
    mine = study(url, alone=False)
    (again,) = mine.ask(1, 3)
    assert again.number == asked.number == 0
    assert again.params == asked.params
    mine.tell(again, 0.5, {})
    assert [trial.number for trial in mine.ask(5, 3)] == [2]


def test_a_trial_that_a_kill_left_half_made_is_completed(url):
    import optuna

    study(url)
    optuna.load_study(study_name="test", storage=url).ask()  # killed before it had values or a worker
    found = study(url)
    (again,) = found.ask(1, 1)
    assert again.number == 0
    assert set(found.values(again)) == {dimension.key for dimension in DIMENSIONS}
    assert found.values(again) == play(f"{url}2", [1])[0]


def test_another_plan_is_refused_by_name(url):
    study(url)
    with pytest.raises(InputError, match=r"another seed.*seed was 3 and is 4"):
        study(url, seed=4)


def test_a_pruner_sees_the_validation_losses(url):
    found = study(url, pruner="median", direction="minimize")
    for trial in found.ask(6, 6):
        found.watch(trial)({"event": "validation", "epoch": 1.0, "loss": 0.5})
        found.tell(trial, 0.5, {})
    good, bad = found.ask(2, 8)
    for event in (
        {"event": "train", "epoch": 1.0, "loss": 9.0},
        {"event": "validation", "epoch": 1.0, "loss": float("nan")},
        {"event": "validation", "epoch": 1.0, "loss": 0.4},
    ):
        found.watch(good)(event)
    with pytest.raises(Stopped, match="epoch 1"):
        found.watch(bad)({"event": "validation", "epoch": 1.0, "loss": 0.6})
    found.tell(bad, None, {"pruned": True})
    assert found.trials()[bad.number].state.name == "PRUNED"


@pytest.mark.parametrize(
    "bad",
    [
        "sqlite:////nowhere/at/all/study.db",
        "postgresql+nothing://u:secret@h/db",
        "mysql+pymysql://u:secret@127.0.0.1:1/db",
        "not a url",
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(bad):
    with pytest.raises(InputError, match="--storage") as refused:
        study(bad)
    assert "secret" not in str(refused.value)


def test_a_database_with_braces_in_its_url_is_refused_in_words():
    with pytest.raises(InputError, match="%7B"):
        check_storage("{query: value}")
