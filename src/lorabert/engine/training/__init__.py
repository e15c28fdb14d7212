"""The fast engine: the Trainer's mathematics on packed batches."""

from lorabert.engine.training.fitting import fit

__all__ = ["fit"]
