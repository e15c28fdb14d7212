"""From words to a plan: what is multiplied out, what is refused, and what every run's configuration is."""

import pytest

from lorabert.config import DataConfig, RunConfig, TrainConfig
from lorabert.errors import InputError
from lorabert.studies.comparison import request
from lorabert.studies.comparison.plan import slug


def _plan(settings=None, **words):
    settings = (settings or RunConfig()).resolved()
    return request.plan(settings, **{"tasks": "r8", "seeds": 3, **words})


def test_systems_are_methods_times_variations():
    plan = _plan(methods="lora,full", vary=["lora.r=1,8", "train.warmup=0,0.1"])
    assert [system.name for system in plan.systems] == [
        "lora r=1 warmup=0", "lora r=1 warmup=0.1", "lora r=8 warmup=0", "lora r=8 warmup=0.1", "full warmup=0",
        "full warmup=0.1",
    ]  # fmt: skip
    assert plan.systems[1].overrides == {"train.method": "lora", "lora.r": 1, "train.warmup": 0.1}
    assert plan.against == "full warmup=0"


def test_values_may_be_lists_and_names_are_readable():
    plan = _plan(methods="lora", vary=["lora.target_modules=auto,all-linear,[query,value]"])
    assert [system.name for system in plan.systems] == [
        "lora target_modules=auto", "lora target_modules=all-linear", "lora target_modules=query,value",
    ]  # fmt: skip
    assert plan.systems[2].overrides["lora.target_modules"] == ["query", "value"]
    assert plan.against == "lora target_modules=auto"


def test_keys_of_one_name_keep_their_sections():
    plan = _plan(methods="head", vary=["model.name=a,b", "data.name=r8,r52"])
    assert plan.systems[0].name == "head model.name=a data.name=r8"


def test_modules_to_save_vary_every_method():
    plan = _plan(methods="head", vary=["lora.modules_to_save=null,[pooler]"])
    assert len(plan.systems) == 2


def test_a_study_file_names_systems_and_tasks_with_options_of_their_own():
    plan = _plan(
        methods={"lora": None, "lora everywhere": {"lora.target_modules": "all-linear"}, "slow": {"train.method": "full"}},
        tasks={"r8": {"model.max_length": 256, "metric": "f1_macro"}, "ours": {"data.train": "a.csv", "data.test": "b.csv"}},
    )
    assert [(system.name, system.method) for system in plan.systems] == [
        ("lora", "lora"),
        ("lora everywhere", "lora"),
        ("slow", "full"),
    ]
    assert plan.against == "slow"
    r8, ours = plan.tasks
    assert r8.metric == "f1_macro"
    assert ours.metric == "accuracy"
    settings = plan.run_config(r8, plan.systems[1], 43)
    assert (settings.model.max_length, settings.data.name, settings.lora.target_modules) == (256, "r8", "all-linear")
    assert plan.run_config(ours, plan.systems[0], 42).data == DataConfig(train="a.csv", test="b.csv", split_seed=42)


def test_a_system_wins_over_a_task_and_a_task_over_the_rest():
    settings = RunConfig(train=TrainConfig(num_train_epochs=1))
    plan = _plan(
        settings,
        methods={"lora": {}, "full": {"train.num_train_epochs": 7}},
        tasks={"r8": {"train.num_train_epochs": 5}, "r52": {}},
    )
    epochs = [plan.run_config(task, system, 42).train.num_train_epochs for task in plan.tasks for system in plan.systems]
    assert epochs == [5, 7, 1, 7]


def test_every_seed_has_the_same_split_and_every_method_its_own_rate():
    plan = _plan(RunConfig(train=TrainConfig(seed=7)), methods="lora,full")
    runs = [plan.run_config(plan.tasks[0], system, seed) for system in plan.systems for seed in plan.seeds]
    assert [run.train.seed for run in runs] == [7, 8, 9, 7, 8, 9]
    assert {run.data.split_seed for run in runs} == {7}
    assert [run.train.learning_rate for run in runs[::3]] == [5e-4, 5e-5]
    assert not any(run.train.baselines for run in runs)


def test_a_given_rate_holds_for_all_and_is_said_to_be_given():
    plan = _plan(methods="lora,full", rate=1e-3)
    assert {plan.run_config(plan.tasks[0], system, 42).train.learning_rate for system in plan.systems} == {1e-3}
    assert {plan.rate_from(plan.tasks[0], system) for system in plan.systems} == {"given"}
    assert _plan().rate_from(plan.tasks[0], plan.systems[0]) == "default"
    varied = _plan(methods="lora", vary=["train.learning_rate=1e-3,1e-4"])
    assert [system.name for system in varied.systems] == ["lora learning_rate=0.001", "lora learning_rate=0.0001"]
    assert varied.rate_from(varied.tasks[0], varied.systems[0]) == "varied"


def test_hub_ids_files_and_assets_are_tasks(tmp_path):
    plan = _plan(tasks=f"r8,nyu-mll/glue:sst2,stanfordnlp/sst2,{tmp_path / 'mine.tsv'}")
    assert [task.name for task in plan.tasks] == ["r8", "nyu-mll/glue:sst2", "stanfordnlp/sst2", "mine"]
    assert plan.tasks[1].overrides == {"data.name": "nyu-mll/glue", "data.subset": "sst2", "data.train": None}
    assert plan.tasks[3].overrides["data.train"] == str(tmp_path / "mine.tsv")


def test_without_tasks_the_data_are_the_task():
    assert _plan(RunConfig(data=DataConfig(train="x/mine.csv")), tasks=None).tasks[0].name == "mine"
    assert _plan(RunConfig(data=DataConfig(name="r52")), tasks=None).tasks[0].name == "r52"


def test_every_method_gets_the_same_number_of_rates():
    plan = _plan(methods="lora,full,head", tune_rates=True)
    assert plan.rates == {"lora": [2e-4, 5e-4, 1e-3, 2e-3], "full": [2e-5, 5e-5, 1e-4, 2e-4], "head": [4e-3, 1e-2, 2e-2, 4e-2]}
    assert plan.tuning_seed not in plan.seeds
    assert _plan(methods="lora,full", tune_rates="1e-3,1e-4").rates == {"lora": [1e-4, 1e-3], "full": [1e-4, 1e-3]}
    assert _plan(methods="lora", tune_rates={"lora": [0.001], "full": [1]}).rates == {"lora": [1e-3]}


def test_the_default_grid_grows_and_named_rates_do_not_unless_asked_to():
    assert _plan(tune_rates=True).more_rates == 2
    assert _plan(tune_rates="1e-3,1e-4").more_rates == _plan().more_rates == _plan(tune_rates=True, more_rates=0).more_rates == 0
    assert _plan(tune_rates="1e-3,1e-4", more_rates=3).more_rates == 3


def test_the_tuning_seed_stays_when_seeds_are_added():
    assert _plan(seeds=2, tune_rates=True).tuning_seed == _plan(seeds=900, tune_rates=True).tuning_seed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"methods": "lora,ful"}, ["no method 'ful'", "'full'"]),
        ({"methods": ""}, ["Nothing to compare"]),
        ({"methods": {"fast": {}}}, ["no method 'fast'"]),
        ({"seeds": 0}, ["--seeds", "0"]),
        ({"seeds": 1000}, ["--seeds", "999"]),
        ({"tasks": "r9"}, ["no task 'r9'", "r8"]),
        ({"tasks": "minilm-l6,r8,r8x"}, ["no task 'r8x'"]),
        ({"tasks": ""}, ["names no task"]),
        ({"tasks": None}, ["no task to compare on"]),
        ({"tasks": "a/x.csv,b/x.csv"}, ["Two tasks have one name", "x"]),
        ({"tasks": {"r8": {"model.maxlength": 3}}}, ["model.max_length"]),
        ({"tasks": {"r8": 128}}, ["options of 'r8'"]),
        ({"tasks": {"r8": {"train.seed": 3}}}, ["train.seed"]),
        ({"tasks": {"r8": {"metric": "f1"}}}, ["no metric 'f1'", "f1_macro"]),
        ({"metric": "acc"}, ["no metric 'acc'", "accuracy"]),
        ({"vary": ["lora.rr=1,2"]}, ["lora.rr", "Did you mean `lora.r`"]),
        ({"vary": ["r=1,2"]}, ["'r'", "section.key"]),
        ({"vary": ["lora.r"]}, ["--vary cannot be read", "lora.r"]),
        ({"vary": ["lora.r="]}, ["--vary cannot be read"]),
        ({"vary": ["lora.r=one"]}, ["lora.r", "one"]),
        ({"vary": ["lora.r=0,8"]}, ["lora.r 0", "at least 1"]),
        ({"vary": ["train.seed=1,2"]}, ["train.seed", "--seeds"]),
        ({"vary": ["train.method=lora,full"]}, ["train.method", "--methods"]),
        ({"against": "fill"}, ["no system 'fill'", "full"]),
        ({"margin": 0.0}, ["--margin"]),
        ({"tune_rates": "0.1,2"}, ["--tune_rates", "2"]),
        ({"tune_rates": {"lora": [1e-3]}}, ["leaves out", "full"]),
        ({"more_rates": 2}, ["--more_rates", "2", "--tune"]),
        ({"tune_rates": True, "more_rates": -1}, ["--more_rates", "-1"]),
        ({"tune_rates": True, "rate": 1e-3}, ["both tuned and given"]),
        ({"tune_rates": True, "vary": ["train.learning_rate=1e-3,1e-4"]}, ["both tuned and given"]),
        ({"tune_rates": True, "tasks": {"r8": {"train.learning_rate": 1e-3}}}, ["'r8' has a learning rate"]),
        ({"settings": RunConfig(train=TrainConfig(method="full"))}, ["--methods"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else ",".join(map(str, value)),
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_with_what_to_do(words, said):
    with pytest.raises(InputError) as refused:
        _plan(**words)
    for part in said:
        assert part in str(refused.value)


def test_folder_names_are_readable_and_never_collide():
    names = ["a b", "a-b", "a+b", "a/b", "a:b", "../a", "..", "", "lora r=8", "é", "a" * 300, "a" * 301, "A b", "A"]
    slugs = [slug(name) for name in names]
    assert slug("lora r=8") == "lora+r=8"
    assert slug("r8") == "r8"
    assert not any(part in name for name in slugs for part in "/\\: ")
    assert not any(name.startswith(".") or len(name) > 80 for name in slugs)
    assert len({name.lower() for name in slugs}) == len(names)
