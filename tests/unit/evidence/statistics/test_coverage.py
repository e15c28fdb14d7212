"""By simulation: intervals over seeds hold the truth as often as they say, tests reject no more often than they should."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lorabert.evidence.metrics import METRICS, confusion_matrix

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
KINDS = [f"{kind}, {metric}" for kind in ("mean over seeds", "paired difference") for metric in ("accuracy", "f1_macro")]


@pytest.fixture(scope="module")
def simulation():
    source = importlib.util.spec_from_file_location("statistics_coverage", BENCHMARKS / "statistics_coverage.py")
    module = importlib.util.module_from_spec(source)
    sys.modules[source.name] = module  # dataclasses look their module up
    source.loader.exec_module(module)
    yield module
    del sys.modules[source.name]


@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_the_truth_is_what_many_examples_show(simulation, name):
    world = simulation.World("large", 200_000, (0.6, 0.3, 0.1), (0.9, 0.7), own_seed=0.3)
    study = simulation.simulate(world, 2, np.random.default_rng(0))
    seen = [[METRICS[name](confusion_matrix(study.labels, run, 3)) for run in runs] for runs in study[1:3]]
    expected = simulation.truths(world, study.effects, name)
    np.testing.assert_allclose(seen, expected, atol=0.004)  # three standard errors
    assert np.ptp(expected, axis=1).min() > 0.01  # seeds of this world differ by more than that
    np.testing.assert_allclose(simulation.truth(world, "accuracy"), (0.9, 0.7), atol=0.002)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("index", [0, 2])
def test_intervals_over_five_seeds_cover(simulation, index):
    kinds = simulation.coverage(simulation.WORLDS[index], 5, studies=600, resamples=400)
    covered = {kind: each["covered"] for kind, each in kinds.items()}
    assert all(0.93 <= covered[kind] <= 0.98 for kind in KINDS), covered  # 97% and a standard error and a half
    assert covered["rival: bootstrap of seeds, then of examples in each"] < 0.93
    assert covered["rival: Student's t over seeds"] < 0.93


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_paired_test_rejects_equal_methods_rarely(simulation):
    same = simulation.NO_DIFFERENCE[0]
    for seeds in (6, 10):
        assert simulation.false_positives(same, seeds, studies=1000)["paired_test"] <= 0.06
    # It knows nothing of new examples: where each method has examples of its own, these very examples decide.
    assert simulation.false_positives(simulation.NO_DIFFERENCE[1], 10, studies=500)["paired_test"] > 0.1


def test_the_record_shows_what_the_document_claims(simulation):
    record = json.loads(simulation.RECORD.read_text(encoding="utf-8"))
    document = (BENCHMARKS.parent / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert simulation.table(record) in document, "paste what python benchmarks/statistics_coverage.py --table prints"
    noise = 2 * np.sqrt(0.05 * 0.95 / record["studies"])
    for row in record["coverage"]:
        covered = {kind: row["intervals"][kind]["covered"] for kind in KINDS}
        if row["seeds"] >= 5:
            assert all(0.93 <= share <= 0.97 + noise for share in covered.values()), (row["world"], covered)
        if row["seeds"] == 3:
            assert all(0.93 <= share <= 0.98 + noise for share in covered.values()), (row["world"], covered)
    same = [row["rejected_at_5_percent"]["paired_test"] for row in record["false_positives"] if "same" in row["world"]]
    assert len(same) == 4
    assert max(same) <= 0.06
