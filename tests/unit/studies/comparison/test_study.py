"""A study's folder goes on with its own plan, grows, and takes nothing else."""

import json

import pytest

from lorabert.config import RunConfig, TrainConfig
from lorabert.errors import InputError
from lorabert.studies.comparison import request, study

DATA = {"r8": "f8", "r52": "f52"}


def _plan(settings=None, **words):
    return request.plan((settings or RunConfig()).resolved(), **{"methods": "lora,full", "tasks": "r8", "seeds": 2, **words})


def _begin(folder, plan, data=DATA):
    return study.begin(folder, plan, {task.name: data[task.name] for task in plan.tasks})


@pytest.fixture
def folder(tmp_path):
    _begin(tmp_path / "study", _plan())
    return tmp_path / "study"


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"seeds": 5},
        {"methods": "head,full,lora"},
        {"tasks": "r52,r8"},
        {"seeds": 3, "methods": "lora,full,bitfit", "tasks": "r8,r52"},
        {"against": "lora"},
        {"margin": 0.01},
        {"metric": "mcc"},
        {"methods": "lora,full", "vary": []},
    ],
    ids=str,
)
def test_the_same_plan_and_a_larger_one_go_on(folder, words):
    _begin(folder, _plan(**words))
    assert json.loads((folder / "study.json").read_text())["plan"] == json.loads(json.dumps(_plan(**words).to_dict()))


@pytest.mark.parametrize(
    ("settings", "words", "data", "said"),
    [
        (RunConfig(train=TrainConfig(num_train_epochs=9)), {}, DATA, "train.num_train_epochs was None and is 9"),
        (None, {"seeds": 1}, DATA, "seed 43 missing"),
        (None, {"methods": "lora"}, DATA, "system 'full' is missing"),
        (None, {"tasks": "r52"}, DATA, "task 'r8' is missing"),
        (None, {"tasks": {"r8": {"model.max_length": 64}}}, DATA, "task 'r8' had"),
        (None, {"methods": {"lora": {"lora.r": 2}, "full": {}}}, DATA, "system 'lora' had"),
        (None, {"rate": 1e-3}, DATA, "the learning rate was the default and is 0.001"),
        (None, {"tune_rates": True}, DATA, "not tuned and now are"),
        (None, {}, {"r8": "another"}, "the data of 'r8' have changed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_plan_is_refused_with_every_difference(folder, settings, words, data, said):
    before = (folder / "study.json").read_bytes()
    with pytest.raises(InputError, match="another comparison") as refused:
        _begin(folder, _plan(settings, **words), data)
    assert said in str(refused.value)
    assert "--out" in str(refused.value)
    assert (folder / "study.json").read_bytes() == before


def test_another_grid_is_refused(tmp_path):
    _begin(tmp_path / "tuned", _plan(tune_rates="1e-4,1e-3"))
    _begin(tmp_path / "tuned", _plan(tune_rates="1e-3,1e-4", methods="lora,full,head"))
    with pytest.raises(InputError, match="the rates tried for lora were"):
        _begin(tmp_path / "tuned", _plan(tune_rates="1e-4,1e-2", methods="lora,full,head"))
    with pytest.raises(InputError, match="up to 0 rates beyond the grid were tried and now up to 1"):
        _begin(tmp_path / "tuned", _plan(tune_rates="1e-4,1e-3", more_rates=1))


def test_all_differences_are_named_at_once(folder):
    with pytest.raises(InputError) as refused:
        _begin(folder, _plan(RunConfig(train=TrainConfig(warmup=0.5)), methods="head", seeds=1))
    for said in ("train.warmup", "'lora' is missing", "'full' is missing", "seed 43"):
        assert said in str(refused.value)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="no comparison"):
        _begin(tmp_path / "mine", _plan())
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": 99}'])
def test_a_damaged_study_is_an_input_error(folder, content):
    (folder / "study.json").write_text(content)
    with pytest.raises(InputError, match=r"study\.json"):
        _begin(folder, _plan())


def test_the_default_folder_stays_when_a_plan_grows_and_changes_when_it_changes():
    small, grown = _plan(), _plan(seeds=5, methods="lora,full,head", tasks="r8,r52")
    assert study.default_path(small) == study.default_path(grown)
    assert study.default_path(small) != study.default_path(_plan(RunConfig(train=TrainConfig(seed=1))))
    assert study.default_path(small) != study.default_path(_plan(tune_rates=True))
    assert study.default_path(small) != study.default_path(_plan(rate=1e-3))


def test_a_plan_that_another_command_is_writing_is_no_reason_to_refuse(tmp_path):
    """Two commands begun at once: the first one's file lies there under its temporary name."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / ".study.json.0a1b2c3d.partial").write_text("{")
    _begin(tmp_path / "study", _plan())
    assert study.read(tmp_path / "study" / "study.json", study.PLANNED)["plan"] == json.loads(json.dumps(_plan().to_dict()))
