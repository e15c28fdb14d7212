"""How sure a value is, and what may be said about a difference: an interval for every number that is printed.

docs/statistics.md explains each of them to a reader of comparisons.
"""

from lorabert.evidence.statistics.decisions import Equivalence, PairedTest, equivalence, holm, mcnemar, paired_test
from lorabert.evidence.statistics.estimate import Estimate
from lorabert.evidence.statistics.intervals import bootstrap_interval, estimates, wilson_interval
from lorabert.evidence.statistics.seeds import mean_over_seeds, paired_difference

__all__ = [
    "Equivalence",
    "Estimate",
    "PairedTest",
    "bootstrap_interval",
    "equivalence",
    "estimates",
    "holm",
    "mcnemar",
    "mean_over_seeds",
    "paired_difference",
    "paired_test",
    "wilson_interval",
]
