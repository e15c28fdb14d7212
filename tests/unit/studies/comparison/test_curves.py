"""Learning curves: one data set's tasks together, what a doubling brings, and from where on a system is above what is cheap."""

import pytest

from lorabert import config
from lorabert.errors import InputError
from lorabert.studies.comparison import curves, request

SETTINGS = config.RunConfig().with_values({"data.train": "films.csv"}).resolved()


def estimate(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 100}


def tasks(own, cheap):
    return [{"metric": "accuracy", "systems": {"lora": {"metrics": value and {"accuracy": estimate(value)}}},
             "baselines": {"embedding_linear": {"accuracy": estimate(low)}, "majority class": {"accuracy": estimate(0.4)}}}
            for value, low in zip(own, cheap, strict=True)]  # fmt: skip


def of(own, cheap, sizes="50,200,800"):
    return curves.of(request.plan(SETTINGS, methods="lora", seeds=2, sizes=sizes), tasks(own, cheap))


def test_sizes_make_tasks_and_every_seed_draws_its_own_texts():
    plan = request.plan(SETTINGS, methods="lora,head", seeds=3, sizes="200,50")
    assert [task.name for task in plan.tasks] == ["films 50", "films 200"]
    drawn = [plan.run_config(plan.tasks[0], plan.systems[0], seed).data for seed in plan.seeds]
    assert [data.draw_seed for data in drawn] == list(plan.seeds)
    assert {data.train_limit for data in drawn} == {50}
    assert {data.split_seed for data in drawn} == {SETTINGS.data.split_seed}  # one test split for all
    several = request.plan(SETTINGS, methods="lora", seeds=1, tasks="r8,bbc-news", sizes=[20, 40])
    assert [task.name for task in several.tasks] == ["r8 20", "r8 40", "bbc-news 20", "bbc-news 40"]
    assert several.run_config(several.tasks[2], several.systems[0], 0).data.name == "bbc-news"


@pytest.mark.parametrize("sizes", ["", "5", "50,many", "50,-3", "1e3", "50.5", [], True])
def test_what_is_no_size_is_refused(sizes):
    with pytest.raises(InputError, match="--sizes cannot be read"):
        request.plan(SETTINGS, methods="lora", seeds=1, sizes=sizes)


def test_without_sizes_there_is_no_curve():
    assert curves.of(request.plan(SETTINGS, methods="lora", seeds=1), tasks([0.8], [0.7])) == []


def test_a_curve_has_every_system_and_baseline_by_size():
    (curve,) = of([0.6, 0.7, 0.8], [0.65, 0.68, 0.7])
    assert (curve["name"], curve["metric"], curve["sizes"]) == ("films", "accuracy", [50, 200, 800])
    assert [value["value"] for value in curve["systems"]["lora"]] == [0.6, 0.7, 0.8]
    assert [value["value"] for value in curve["baselines"]["frozen base + linear head"]] == [0.65, 0.68, 0.7]
    doubling, passes = curve["says"]
    assert "each doubling brought +5.0 points" in doubling  # ten points in two doublings
    assert "about +2.5 to +5.0" in doubling
    assert passes == "lora passes the best cheap baseline between 50 and 200 labelled texts."


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ([0.7, 0.7, 0.8], "is above the best cheap baseline from 50 labelled texts on, the fewest that were tried"),
        ([0.6, 0.6, 0.6], "does not pass the best cheap baseline with up to 800 labelled texts"),
        ([0.7, 0.6, 0.8], "passes the best cheap baseline between 200 and 800 labelled texts"),
    ],
)
def test_where_a_system_passes_what_is_cheap_is_where_it_stays_above(own, says):
    assert says in of(own, [0.65, 0.68, 0.7])[0]["says"][-1]


def test_a_size_at_which_every_run_failed_is_a_gap():
    (curve,) = of([None, 0.7, 0.8], [0.65, 0.68, 0.7])
    assert curve["systems"]["lora"][0] is None
    assert len(curve["says"]) == 1
