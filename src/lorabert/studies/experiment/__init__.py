"""One run, from configuration to record; and an evaluation of what it left."""

from lorabert.studies.experiment.evaluating import adapter_of, evaluate
from lorabert.studies.experiment.origins import Changed, digest
from lorabert.studies.experiment.running import Begun, Stopped, Watch, begin, follow, train
from lorabert.studies.experiment.scoring import cheap_baselines, score

__all__ = [
    "Begun",
    "Changed",
    "Stopped",
    "Watch",
    "adapter_of",
    "begin",
    "cheap_baselines",
    "digest",
    "evaluate",
    "follow",
    "score",
    "train",
]
