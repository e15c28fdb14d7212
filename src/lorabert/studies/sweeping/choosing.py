"""How Optuna chooses: the values of the next trial, and which trials are not worth finishing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lorabert.studies.sweeping.space import Choices, Dimension, Range

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "median", "halving"]


def stored(value: Any) -> Any:
    """The value as a database of Optuna takes it: lists become JSON."""
    return json.dumps(value) if isinstance(value, list) else value


def restored(dimension: Dimension, value: Any) -> Any:
    """The option's value that `stored` made a database's."""
    if isinstance(dimension, Range):
        return value
    return next(choice for choice in dimension.values if stored(choice) == value)


def suggest(trial: optuna.Trial, dimension: Dimension) -> None:
    """Give a trial a value for one option; one that it has already stays."""
    if isinstance(dimension, Choices):
        trial.suggest_categorical(dimension.key, [stored(value) for value in dimension.values])
    elif isinstance(dimension.low, int):
        trial.suggest_int(dimension.key, dimension.low, int(dimension.high), log=dimension.log)
    else:
        trial.suggest_float(dimension.key, dimension.low, dimension.high, log=dimension.log)


def pruner(name: Pruner) -> optuna.pruners.BasePruner:
    """Optuna's pruner of that name."""
    from optuna import pruners

    # Runs have few epochs: halve at 1, 2, 4 and so on.
    made = {"none": pruners.NopPruner, "median": pruners.MedianPruner}
    return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2) if name == "halving" else made[name]()


def sampler(name: Sampler, seed: int, dimensions: Sequence[Dimension]) -> optuna.samplers.BaseSampler:
    """A sampler that starts each trial with a generator of its own.

    What it proposes then depends on the seed, the trial's number and the trials before it, and not on how often the sweep
    was stopped: a resumed sweep proposes what the undisturbed one would have.
    """
    from optuna import samplers

    class ByNumber(samplers.BaseSampler):
        """Hands each trial to a new sampler, seeded with the trial's number."""

        def __init__(self) -> None:
            self.inner = self.make(0)

        def make(self, number: int) -> samplers.BaseSampler:
            own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            if name == "grid":
                values = {each.key: [stored(value) for value in each.values] for each in dimensions if isinstance(each, Choices)}
                return samplers.GridSampler(values, seed=seed)
            return samplers.RandomSampler(seed=own) if name == "random" else samplers.TPESampler(seed=own, constant_liar=True)

        def before_trial(self, study: Any, trial: Any) -> None:
            self.inner = self.make(trial.number)
            self.inner.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return self.inner.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
            return self.inner.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return self.inner.sample_independent(study, trial, param_name, param_distribution)

    return ByNumber()
