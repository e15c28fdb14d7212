"""A trained classifier made about as sure as it is right, by a temperature from texts outside of its training, in its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lorabert.engine.prediction import Classifier
from lorabert.evidence import calibration
from lorabert.evidence.metrics import softmax
from lorabert.models import heads
from lorabert.shipping import fingerprints
from lorabert.studies.experiment.folding import OutOfFold
from lorabert.studies.experiment.preparing import Prepared

# Of the largest logit: what float32 loses on its way through a head.
_TOLERANCE = 1e-3
# A temperature so near to one is no lean to speak of.
_LEVEL = 0.05


@dataclass(frozen=True)
class Calibrated:
    """How a classifier was calibrated.

    Attributes:
        temperature: what its logits were divided by, in the weights of its head: what it gives is calibrated as it is.
        on: the texts that say so: the validation split, or all folds.
        n: how many.
    """

    temperature: float
    on: str
    n: int

    def __str__(self) -> str:
        """A sentence for people."""
        lean = "overconfident" if self.temperature > 1 else "underconfident"
        found = lean if abs(self.temperature - 1) >= _LEVEL else "about as sure as it is right"
        texts = f"{self.n:,} {self.on} text{'s' if self.n != 1 else ''}"
        return f"Calibration: {found} on {texts}; its logits are divided by {self.temperature:.3g}."

    def errors(self, labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The expected calibration error of calibrated answers, and what it would have been before."""
        shown = {"ece_before": logits * self.temperature, "ece": logits}
        return {
            name: calibration.expected_calibration_error(calibration.reliability(softmax(scores), labels))
            for name, scores in shown.items()
        }


def calibrate(ready: Prepared, folds: OutOfFold | None) -> Calibrated | None:
    """Divide a trained classifier's logits by the temperature that fits texts it was not trained on.

    That is done in the head, so that plain PEFT, exports and servers give calibrated probabilities and know nothing of it.

    Args:
        ready: the run, trained; its validation split is asked where there are no folds.
        folds: answers out of folds, on the scale of training.

    Returns:
        None where calibration was not asked for, or where there are no texts, no finite logits or no layer to do it in.
    """
    if ready.settings.train.calibration != "temperature":
        return None
    trained = ready.classifier()
    if folds:
        on, labels, logits = "out-of-fold", folds.labels, folds.logits
    else:
        on, labels = "validation", ready.encoded.validation.labels
        size = ready.settings.train.per_device_eval_batch_size
        logits = trained.logits_of(ready.encoded.validation, batch_size=size)
    if not len(labels) or not np.isfinite(logits).all():
        return None
    found = calibration.temperature(logits, labels)
    before = _fixed(trained)
    if not heads.divide_logits(trained.model, found):
        return None
    if np.abs(_fixed(trained) * found - before).max() > _TOLERANCE * np.abs(before).max():
        heads.divide_logits(trained.model, 1 / found)  # a head whose last layer is not what gives the logits
        return None
    return Calibrated(found, on, len(labels))


def _fixed(trained: Classifier) -> Any:
    """Logits of a few fixed texts, by the model's own forward."""
    return np.array(fingerprints.taken(trained)["logits"])
