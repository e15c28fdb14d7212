"""Search for the options that suit a task, on its validation split only."""

from lorabert.studies.sweeping.searching import Sweep, run

__all__ = ["Sweep", "run"]
