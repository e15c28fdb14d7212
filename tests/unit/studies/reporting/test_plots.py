"""Plots: the same bytes every time, real text, the page's colours, hostile names harmless, every number in the table."""

import itertools
import re
from xml.etree import ElementTree

import pytest

import comparisons
from lorabert.evidence.calibration import Bin
from lorabert.evidence.statistics import Estimate
from lorabert.studies.reporting.plots import comparison, drawing, run

HOSTILE = "</text><script>alert(1)</script> $x_{$ \x08\x00 url(#a) #010101 \ud800"
ESTIMATE = {"value": 0.8, "low": 0.75, "high": 0.84, "n": 100}
EVENTS = [
    {"step": 10, "epoch": 0.5, "event": "train", "loss": 0.7, "learning_rate": 1e-3},
    {"step": 20, "epoch": 1.0, "event": "train", "loss": 0.4, "learning_rate": 5e-4},
    {"step": 20, "epoch": 1.0, "event": "validation", "loss": 0.5},
]


def every_plot(name="lora"):
    scores = dict.fromkeys(("accuracy", "f1_macro", "mcc"), ESTIMATE)
    bins = [Bin(0.5, 0.6, 0.55, Estimate(0.5, 0.2, 0.8, 6)), Bin(0.9, 1.0, 0.97, Estimate(0.9, 0.85, 0.95, 94))]
    task = comparisons.document(systems=(name, "full", "head"))["tasks"][0]
    found = comparison.plots("task-1", task)
    return [*run.curves(EVENTS), run.beside_baselines([(name, scores), ("majority", scores)]), run.reliability(bins, 0.1, 2),
            *(found[key] for key in ("seeds", "differences", "parameters", "seconds", "tuning"))]  # fmt: skip


def test_the_same_numbers_give_the_same_bytes_and_others_do_not(drawn):
    assert [plot.svg for plot in drawn] == [plot.svg for plot in every_plot()]
    other = [{**EVENTS[0], "loss": 0.6}, *EVENTS[1:]]
    assert run.curves(other)[0].svg != run.curves(EVENTS)[0].svg


def test_a_plot_does_not_depend_on_the_users_matplotlib_settings():
    import matplotlib

    before = run.curves(EVENTS)[0].svg
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert run.curves(EVENTS)[0].svg == before
        assert matplotlib.rcParams["font.size"] == 30


@pytest.fixture(scope="module")
def drawn():
    return every_plot()


@pytest.mark.parametrize("place", range(9))
def test_every_plot_is_named_described_and_coloured_by_the_page(drawn, place):
    plot = drawn[place]
    root = ElementTree.fromstring(plot.svg)
    named = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert root.get("role") == "img"
    assert [named[key] for key in root.get("aria-labelledby").split()] == [plot.title, plot.description]
    assert len(plot.description) > 30
    assert len(list(root.iter("{http://www.w3.org/2000/svg}text"))) > 3
    assert not re.search(r"#[0-9a-f]{6}", " ".join(element.get("style", "") for element in root.iter()))
    assert "font-family" not in plot.svg
    assert "width" not in root.attrib
    assert len(plot.rows) > 0
    assert all(len(row) == len(plot.header) for row in plot.rows)


def test_ids_are_a_plots_own_and_every_reference_is_met(drawn):
    ids = [found for plot in drawn for found in re.findall(r' id="([^"]+)"', plot.svg)]
    assert len(ids) == len(set(ids))
    for plot in drawn:
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', plot.svg)
        assert used
        assert set(used) <= set(ids)


def test_hostile_names_stay_text():
    for plot in every_plot(HOSTILE):
        root = ElementTree.fromstring(plot.svg.encode("utf-8"))
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert tags <= {"svg", "title", "desc", "g", "path", "use", "text", "tspan", "defs", "clipPath", "rect"}, plot.key


def test_long_names_are_cut_in_the_middle():
    assert drawing.shown("short") == "short"
    assert drawing.shown("a" * 30 + "z") == "a" * 14 + "…" + "a" * 5 + "z"


def test_many_points_are_thinned_evenly_and_the_last_one_is_kept():
    events = [{"step": n, "epoch": n / 100, "event": "train", "loss": 1.0, "learning_rate": 1e-3} for n in range(1, 5001)]
    rows = run.curves(events)[1].rows
    assert 250 <= len(rows) <= 300
    assert rows[-1][0] == 5000
    assert len({later[0] - earlier[0] for earlier, later in itertools.pairwise(rows)}) == 1


def test_a_step_that_a_resumed_run_logged_again_counts_once():
    again = [*EVENTS, {**EVENTS[1], "loss": 0.3}]
    assert [row[3] for row in run.curves(again)[0].rows] == ["0.7000", "0.3000", "0.5000"]


def test_nothing_logged_gives_no_curves_and_no_training_loss_gives_no_rate():
    assert run.curves([]) == []
    assert [plot.title for plot in run.curves(EVENTS[2:])] == ["Loss"]


def test_far_baselines_do_not_squeeze_the_systems_but_are_told():
    task = comparisons.document()["tasks"][0]
    plot = comparison.plots("t", task)["seeds"]
    assert "not drawn: majority class (49.5)" in plot.caption
    assert "TF-IDF + logistic regression" in plot.svg


@pytest.mark.parametrize(
    "options", [{"seeds": 1}, {"tuned": False}, {"failing": "full"}, {"failing": "lora"}, {"systems": ("lora",)}]
)
def test_whatever_is_missing_the_rest_is_drawn(options):
    task = comparisons.document(**options)["tasks"][0]
    found = comparison.plots("t", task)
    assert (found["tuning"] is None) == (options.get("tuned") is False)
    assert (found["differences"] is None) == (not task["differences"])
    assert found["seeds"] is not None
