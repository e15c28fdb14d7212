"""Sentences on a comparison say what its intervals say."""

import pytest

from lorabert.studies.reporting import findings

BASE = {"system": "lora", "against": "full", "metric": "accuracy", "n": 12, "n_seeds": 2, "margin": 0.005}


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict", "said"),
    [
        (0.001, -0.002, 0.004, "equivalent", "lora and full are equivalent: with 2 seeds"),
        (-0.02, -0.03, -0.01, "different", "lora is 2.00 points of accuracy below full"),
        (0.02, 0.01, 0.03, "different", "above full (+1.00 to +3.00, 2 seeds)"),
        (0.001, -0.01, 0.02, "undecided", "can be anything from -1.00 to +2.00 points"),
        (0.0, 0.0, 0.0, "undecided", "12 test texts are too few"),
    ],
)
def test_a_verdict_is_told_with_its_interval(value, low, high, verdict, said):
    found = {**BASE, "value": value, "low": low, "high": high, "verdict": verdict}
    assert said in findings.of_task({"differences": [found]})[0]


def test_a_run_that_diverged_is_said_to_have_diverged_and_where():
    def runs(*ends):
        failures = [{"seed": seed, "why": why} for seed, (status, why) in enumerate(ends) if status != "done"]
        return {"runs": [{"seed": seed, "status": status} for seed, (status, _) in enumerate(ends)], "failures": failures}

    diverged = ("diverged", "The training diverged: the loss of step 12 is not a finite number. Lower the rate.")
    task = {"task": "films", "systems": {"lora": runs(diverged, ("done", ""), ("failed", "no memory"), diverged)}}
    first, second = findings._failures(task)
    assert first.startswith("On films, 2 runs of lora diverged: The training diverged: the loss of step 12")
    assert second == "On films, 1 run of lora failed: no memory."
