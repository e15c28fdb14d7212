"""Steps of the packed forward compiled for this processor. Nothing needs them: without a compiler the same steps are PyTorch's.

What is drawn and computed is the same either way, up to rounding; tests hold the two against each other.
"""

from lorabert.engine.kernels.building import State, state
from lorabert.engine.kernels.calls import (
    Prepared,
    Texts,
    add_norm,
    add_norm_backward,
    attention,
    attention_backward,
    column_sums,
    dropout,
    low_rank,
    low_rank_backward,
    low_ranks,
    norm_parameters,
    usable,
)

__all__ = [
    "Prepared",
    "State",
    "Texts",
    "add_norm",
    "add_norm_backward",
    "attention",
    "attention_backward",
    "column_sums",
    "dropout",
    "low_rank",
    "low_rank_backward",
    "low_ranks",
    "norm_parameters",
    "state",
    "usable",
]
