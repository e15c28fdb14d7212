"""Optuna, asked and told: which trials there are, which come next, and what became of them.

The study lies in a database, SQLite in the sweep's folder unless a URL names another that several machines share. A trial is
in it before it trains, with the worker that took it, so that a killed sweep finds its own unfinished trials again.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lorabert import runs
from lorabert.errors import InputError
from lorabert.studies.experiment import Stopped
from lorabert.studies.sweeping.choosing import pruner, restored, sampler, stored, suggest
from lorabert.studies.sweeping.space import Dimension

if TYPE_CHECKING:
    import optuna

_PLAN, _WORKER, _RESULT = "lorabert.plan", "lorabert.worker", "lorabert.result"


def need_optuna() -> None:
    """Check that the libraries of a sweep are installed.

    Raises:
        InputError: one of them is not.
    """
    try:
        import matplotlib  # noqa: F401
        import optuna  # noqa: F401
    except ImportError as missing:
        raise InputError(
            f"A sweep needs {missing.name}, which is not installed", fix="pip install 'lorabert[sweep]' (optuna, matplotlib)"
        ) from None


class Study:
    """The trials of one sweep.

    Attributes:
        url: the database, without its password.
        name: the study's name in it.
    """

    def __init__(self, url: str, name: str, worker: str, dimensions: Sequence[Dimension], plan: dict[str, Any],
                 *, first: dict[str, Any] | None, alone: bool) -> None:  # fmt: skip
        """Open the study, or make it.

        Args:
            url: a database that SQLAlchemy opens.
            name: the study's name in it.
            worker: who asks; unfinished trials of the same worker are handed out again.
            dimensions: what is searched over.
            plan: what all workers of the study must agree on; `sampler`, `pruner`, `seed` and `direction` are read from it.
            first: values of the first trial, where the sampler is not to choose them.
            alone: whether nobody else uses the database, so that a trial without a worker's name is ours too.

        Raises:
            InputError: the database cannot be opened, or its study has another plan.
        """
        import optuna

        _be_quiet()
        self.name, self.worker, self.alone, self.dimensions, self._url = name, worker, alone, dimensions, url
        with _storage_errors(self._url):
            self.url = _without_password(url)
            self._study = optuna.create_study(
                storage=url, study_name=name, load_if_exists=True, direction=plan["direction"],
                sampler=sampler(plan["sampler"], plan["seed"], dimensions), pruner=pruner(plan["pruner"]),
            )  # fmt: skip
            self._agree(plan, first)

    def _agree(self, plan: dict[str, Any], first: dict[str, Any] | None) -> None:
        """Write the plan down, or check that it is the one that was written down."""
        plan = json.loads(json.dumps(plan))
        known = self._study.user_attrs.get(_PLAN)
        if known is None:
            if first is not None:
                self._study.enqueue_trial({key: stored(value) for key, value in first.items()}, skip_if_exists=True)
            self._study.set_user_attr(_PLAN, plan)
        elif changed := [key for key in plan if _by_content(known, key) != _by_content(plan, key) and key in known]:
            raise InputError(
                f"The study '{self.name}' in {self.url} was begun with another {' and '.join(changed)}",
                got="; ".join(phrase for key in changed for phrase in _changes(known[key], plan[key], key)),
                fix="Bring back what has changed, or start anew with another --out or --storage",
            )

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Every trial that was started, by any worker, in order."""
        from optuna.trial import TrialState

        with _storage_errors(self._url):
            return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def mine(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether this worker took a trial; where it is alone, also one that a kill left without a name."""
        return trial.user_attrs.get(_WORKER, self.worker if self.alone else None) == self.worker

    def ask(self, most: int, total: int) -> list[optuna.Trial]:
        """The next trials: first this worker's unfinished ones, then new ones while there are fewer than `total`.

        Args:
            most: how many at once.
            total: how many there may be in all, of all workers.
        """
        import optuna

        known = self.trials()
        unfinished = [trial for trial in known if not trial.state.is_finished() and self.mine(trial)]
        with _storage_errors(self._url):
            asked = [self._complete(optuna.Trial(self._study, trial._trial_id)) for trial in unfinished[:most]]
            while len(asked) < most and len(self.trials()) < total:
                asked.append(self._complete(self._study.ask()))
        return asked

    def _complete(self, trial: optuna.Trial) -> optuna.Trial:
        """Note who has taken a trial, and give a value to every option that has none yet."""
        trial.set_user_attr(_WORKER, self.worker)
        for dimension in self.dimensions:
            suggest(trial, dimension)
        return trial

    def values(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> dict[str, Any]:
        """The options of a trial, in their own types."""
        return {dimension.key: restored(dimension, trial.params[dimension.key]) for dimension in self.dimensions
                if dimension.key in trial.params}  # fmt: skip

    def watch(self, trial: optuna.Trial) -> Callable[[dict[str, Any]], None]:
        """What the pruner is shown of a trial's training: its validation loss after each epoch."""
        import optuna

        sign = -1 if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else 1

        def seen(event: dict[str, Any]) -> None:
            if event["event"] != "validation" or not math.isfinite(event["loss"]):
                return
            epoch = round(event["epoch"])
            with _storage_errors(self._url):
                trial.report(sign * event["loss"], epoch)
                if trial.should_prune():
                    raise Stopped(f"Pruned after epoch {epoch}: a validation loss of {event['loss']:.4f} promised too little")

        return seen

    def tell(self, trial: optuna.Trial, value: float | None, result: dict[str, Any]) -> None:
        """Note what became of a trial: a value, or None where it failed or was pruned, and whatever else is known of it."""
        from optuna.trial import TrialState

        unfinished = TrialState.PRUNED if result.get("pruned") else TrialState.FAIL
        with _storage_errors(self._url):
            trial.set_user_attr(_RESULT, result)
            self._study.tell(trial, value, state=unfinished if value is None else None)

    @staticmethod
    def result(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        """What `tell` noted of a trial; empty while it runs."""
        return trial.user_attrs.get(_RESULT, {})

    def importances(self) -> dict[str, float]:
        """The share of the values' variance that each option explains, largest first.

        A random forest is fitted to the finished trials and its variance taken apart (fANOVA: Hutter, Hoos and
        Leyton-Brown 2014).
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        with _storage_errors(self._url):
            shares = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {key: float(share) for key, share in shares.items()}


def _by_content(plan: dict[str, Any], key: str) -> Any:
    """What a plan says under a key, but for where the data and the base lie: their content stands under keys of their own."""
    if key != "config":
        return plan.get(key)
    return {
        section: {name: value for name, value in knobs.items() if not runs.is_place(section, name)}
        for section, knobs in plan[key].items()
    }


def _changes(before: Any, now: Any, at: str = "") -> Iterator[str]:
    """What differs between two plans, one phrase each."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before | now:
            yield from _changes(before.get(key), now.get(key), f"{at}.{key}".lstrip("."))
    elif before != now:
        yield f"{at} was {before} and is {now}"


def check_storage(url: str) -> None:
    """Open a database once, before anything else is done.

    Raises:
        InputError: it cannot be opened.
    """
    from optuna.storages import RDBStorage

    _be_quiet()
    if "{" in url or "}" in url:  # Optuna fills in what stands in braces
        raise InputError("The sweep's database cannot be used", got="a URL with braces in --storage",
                         expected="a URL such as sqlite:///sweep.db", fix="Write { as %7B and } as %7D")  # fmt: skip
    with _storage_errors(url):
        RDBStorage(url)


def _be_quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    """Turn what a database says when it cannot be used into an InputError."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        raise InputError(
            "The sweep's database cannot be used",
            got=f"{_without_password(url)}: {str(cause).strip().splitlines()[0]}",
            expected="a URL such as sqlite:///sweep.db or postgresql+psycopg2://user:password@host/database",
            fix="Check --storage, that the server answers and that its driver is installed; "
            "what was finished is kept, and the same command goes on from it",
        ) from None


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    try:
        return make_url(url).render_as_string(hide_password=True)
    except Exception:  # not a URL; there is no telling where its password is
        return url.partition(":")[0]
