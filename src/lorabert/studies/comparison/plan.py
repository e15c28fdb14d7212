"""What a comparison compares: systems x tasks x seeds, as a value that every run's configuration follows from."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from lorabert.config import RunConfig

Overrides = dict[str, Any]
# Tuning happens on seeds that no reported run has, so that no reported run was selected.
TUNING_SEED_OFFSET = 1_000


@dataclass(frozen=True)
class System:
    """One of the things compared: a method, and the options in which it differs from what all runs share."""

    name: str
    overrides: Overrides

    @property
    def method(self) -> str:
        """lora, full, bitfit or head."""
        return str(self.overrides["train.method"])


@dataclass(frozen=True)
class Task:
    """A data set, the options that hold for it alone, and the metric that decides on it."""

    name: str
    overrides: Overrides
    metric: str = "accuracy"

    @property
    def size(self) -> int | None:
        """How many labelled texts it may use, where that is limited."""
        size: int | None = self.overrides.get("data.train_limit")
        return size


@dataclass(frozen=True)
class Plan:
    """Everything that is asked of a comparison.

    Attributes:
        settings: what all runs share; `data.split_seed` is fixed, so that all seeds share one test split.
        rate: the learning rate of every run, None for each method's default.
        systems: what is compared.
        tasks: on what.
        seeds: of the runs, the same for every system.
        rates: the grid of learning rates of each method when they are tuned, None when they are not.
        more_rates: how many may be tried beyond an end of the grid, one by one while the best so far is that end.
        against: name of the system that the others are compared with.
        margin: two systems whose difference lies within it for certain are equivalent.
    """

    settings: RunConfig
    rate: float | None
    systems: tuple[System, ...]
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    rates: dict[str, list[float]] | None = None
    more_rates: int = 0
    against: str = ""
    margin: float = 0.005

    @property
    def tuning_seed(self) -> int:
        """The seed of the runs that the learning rate is chosen by."""
        return (self.settings.train.seed + TUNING_SEED_OFFSET) % 2**32

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "settings": self.settings.to_dict(),
            "learning_rate": self.rate,
            "systems": [dataclasses.asdict(system) for system in self.systems],
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "seeds": list(self.seeds),
            "tuning": {"rates": self.rates, "more_rates": self.more_rates, "seed": self.tuning_seed} if self.rates else None,
            "against": self.against,
            "margin": self.margin,
        }

    def run_config(self, task: Task, system: System, seed: int, rate: float | None = None) -> RunConfig:
        """The configuration of one run.

        What all runs share, then what holds for the task, then for the system, then the seed and the learning rate. The
        cheap baselines are the task's and not the run's, so runs of a comparison do not fit them.

        Raises:
            InputError: the options do not go together.
        """
        changes = {"train.learning_rate": self.rate, **task.overrides, **system.overrides}
        changes |= {"train.seed": seed, "train.baselines": False}
        if task.size is not None:  # each seed has texts of its own, so that the interval over seeds is over draws too
            changes["data.draw_seed"] = seed
        if rate is not None:
            changes["train.learning_rate"] = rate
        return self.settings.with_values(changes).resolved()

    def rate_from(self, task: Task, system: System) -> str:
        """Where a system's learning rate comes from: tuned, varied, given or default."""
        if self.rates:
            return "tuned"
        if "train.learning_rate" in system.overrides:
            return "varied"
        return "default" if self.rate is None and "train.learning_rate" not in task.overrides else "given"


def slug(name: str) -> str:
    """A folder's name for a system or a task; names that differ never share one, not even where case does not count."""
    plain = re.sub(r"[^a-z0-9._=+-]+", "-", name.lower().replace(" ", "+")).strip("-.")
    if plain and plain == name.replace(" ", "+") and "+" not in name and len(plain) <= 60:
        return plain
    return f"{plain[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
