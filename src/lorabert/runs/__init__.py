"""Run folders: the record and the files of one training, who works in it, and how it is found again."""

from lorabert.runs.finding import RUNS, all_runs, differing, find, is_place, make, newest, start, unlike
from lorabert.runs.folder import SCHEMA_VERSION, Fit, Log, RunFolder, hold

__all__ = [
    "RUNS", "SCHEMA_VERSION", "Fit", "Log", "RunFolder", "all_runs", "differing", "find", "hold", "is_place", "make", "newest",
    "start", "unlike",
]  # fmt: skip
