"""Lines for people: what is said about data, models and values."""

from __future__ import annotations

from typing import Any

from lorabert.data.encoding import Encoded
from lorabert.data.leaks import Shared
from lorabert.data.sources import SPLITS, Splits
from lorabert.models.bases import LoadedBase
from lorabert.naming import shortened

_LONGEST_LABEL = 24


def data_line(splits: Splits) -> str:
    """Where the examples come from, how many there are, and what was decided on the way."""
    sizes = ", ".join(f"{len(getattr(splits, name)):,} {name}" for name in SPLITS)
    labels = ", ".join(shortened(splits.label_names[:8], _LONGEST_LABEL)) + (", …" if len(splits.label_names) > 8 else "")
    lines = [
        f"Data: {splits.origin}: {sizes}; {len(splits.label_names)} classes ({labels})",
        f"Columns: {splits.columns.named()}",
    ]
    return "\n".join([*lines, *(f"  {note}" for note in splits.notes)])


def new_tensors_line(new_tensors: list[str], method: str) -> str:
    """Explain the newly initialised weights, which Transformers warns of and which frighten people."""
    if not new_tensors:
        return "The base brings its own classification head; it is trained on."
    return (
        f"Newly initialised: {', '.join(new_tensors)}. This is as it should be: the base was trained to read, not to tell "
        f"your labels apart, so these tensors start random, are trained with the {method} weights and are saved in the adapter."
    )


def leftovers_lines(loaded: LoadedBase) -> list[str]:
    """What of the base is not used, a sentence a kind."""
    lines = []
    if loaded.unused_tensors:
        lines.append(f"Not used: {_some(loaded.unused_tensors)}: the base has these weights outside of its encoder, and this "
                     "classifier has no place for them.")  # fmt: skip
    if loaded.unread_settings:
        lines.append(f"Not read: {_some(loaded.unread_settings)}: the base's config.json has these settings, which the installed "
                     f"Transformers does not know for a {loaded.model.config.model_type}.")  # fmt: skip
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def leak_lines(found: list[Shared]) -> list[str]:
    """The texts that stand in several splits, a line for each two."""
    return [
        f"Shared texts: {one.sentence()}; {one.second} has {one.of:,}, and its figures are better than the truth" for one in found
    ]


def reading_line(unknown: dict[str, float]) -> str:
    """How much of the texts the base's vocabulary does not know."""
    return f"Unknown to the base's vocabulary: {', '.join(f'{share:.1%} of {name}' for name, share in unknown.items())}"


def truncation_line(encoded: Encoded, max_length: int) -> str:
    """How many training texts were cut at max_length, and what share of the tokens' room padding would take."""
    train = encoded.train
    share = train.truncated / len(train)
    hint = "; raise --model.max_length to keep them whole" if share > 0.05 else ""
    return (
        f"Tokens: {train.lengths.mean():.1f} a text on average, {int(train.lengths.max())} at most; "
        f"{train.truncated:,} of {len(train):,} training texts ({share:.1%}) cut at {max_length}{hint}"
    )


def percent(estimate: dict[str, Any]) -> str:
    """A share as points with its interval: 82.1 [80.5, 83.6]."""
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"
