"""What is said about data, models and records: lines for people, the model card, and one HTML page (`page`)."""

from lorabert.studies.reporting.card import model_card
from lorabert.studies.reporting.lines import (
    data_line,
    leak_lines,
    leftovers_lines,
    new_tensors_line,
    percent,
    reading_line,
    truncation_line,
)

__all__ = [
    "data_line",
    "leak_lines",
    "leftovers_lines",
    "model_card",
    "new_tensors_line",
    "percent",
    "reading_line",
    "truncation_line",
]
