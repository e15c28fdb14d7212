"""Losses shown elsewhere as they come: TensorBoard, Weights & Biases, MLflow or Trackio, through accelerate's trackers.

metrics.jsonl holds the same events whether or not anybody tracks them, so a tracker that breaks down stops no training.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from lorabert.errors import InputError
from lorabert.runs import RunFolder

PROJECT = "lorabert"


def check(name: str) -> None:
    """Check that a tracker is installed; `none` needs nothing.

    Raises:
        InputError: it is not.
    """
    if name != "none" and find_spec(name) is None:
        raise InputError(f"{name} is not installed", got=f"--train.report_to {name}", fix=f"pip install {name}, or leave it out")


class Tracker:
    """One run as a tracker shows it: train/loss, train/learning_rate and validation/loss by step.

    TensorBoard's files lie in the run folder; the others have a project `lorabert`, where the run has its folder's name.
    """

    def __init__(self, name: str, run: RunFolder) -> None:
        """Begin to track a run.

        Raises:
            InputError: the tracker cannot be started: it is not logged in, or its server does not answer.
        """
        from accelerate.state import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # accelerate's trackers ask it whether this is the main process
        options: dict[str, dict[str, Any]] = {
            "tensorboard": {"run_name": "tensorboard", "logging_dir": str(run.path)},
            "mlflow": {"experiment_name": PROJECT, "run_name": run.path.name},
            # Runs that train together are open at the same time.
            "wandb": {"run_name": PROJECT, "name": run.path.name, "reinit": "create_new"},
            "trackio": {"run_name": PROJECT, "name": run.path.name, "embed": False},
        }
        self.name = name
        self._tracker: Any = LOGGER_TYPE_TO_CLASS[name](**options[name])
        try:
            self._tracker.start()
        except Exception as error:
            raise InputError(f"{name} cannot be started", got=str(error).strip().splitlines()[0] if str(error) else repr(error),
                             fix="Set it up, or leave --train.report_to out") from error  # fmt: skip

    def log(self, event: dict[str, Any]) -> None:
        """Show an event of metrics.jsonl: its numbers, at its step."""
        numbers = {f"{event['event']}/{key}": value for key, value in event.items() if key not in ("event", "step")}
        self._attempt(lambda: self._tracker.log(numbers, step=event["step"]))

    def finish(self) -> None:
        """End the tracking of the run; a second time does nothing."""
        self._attempt(lambda: self._tracker.finish())
        self._tracker = None

    def _attempt(self, action: Callable[[], None]) -> None:
        if self._tracker is None:
            return
        try:
            action()
        except Exception as error:
            self._tracker = None
            warnings.warn(f"{self.name} stopped tracking: {error}", stacklevel=3)
