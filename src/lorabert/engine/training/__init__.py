"""The fast engine: the Trainer's mathematics on packed batches, of one adapter or of many on one base."""

from lorabert.engine.training.fitting import fit, fit_together, refuse_unproven
from lorabert.engine.training.pacing import pace
from lorabert.engine.training.run import Job

__all__ = ["Job", "fit", "fit_together", "pace", "refuse_unproven"]
