"""What of a training gets a line on the screen; metrics.jsonl has everything."""

from __future__ import annotations

import math

_MOST_LINES = 10


def tells(epoch: float, epochs: int) -> bool:
    """Whether the validation loss after an epoch gets a line: of many epochs ten do, the last among them."""
    each = math.ceil(epochs / _MOST_LINES)
    return round(epoch) % each == 0 or round(epoch) == epochs
