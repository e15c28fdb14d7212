"""A base as a classifier, tried on two texts before anything is written: computed right, or refused in one paragraph."""

from __future__ import annotations

import numpy as np

from lorabert.data.encoding import EncodedSplit
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError

# Sums in another order differ by millionths of the largest logit; what is beyond a thousandth is another function.
_SAME = 1e-3
# Longer texts take memory by the square of their length, and find nothing that these do not.
_LONG = 1024


def rehearse(classifier: Classifier, split: EncodedSplit, base: str) -> None:
    """Check that a classifier answers a text of its longest length and a short one, together as apart.

    Args:
        classifier: a PEFT model with its tokenizer, on the CPU; it is left there, in eval mode.
        split: real texts, of which there is at least one.
        base: the base's name, for the message.

    Raises:
        InputError: its forward fails, its logits are not finite, the padding of a batch changes them, or the packed forward
            computes something else.
    """
    texts = _short_and_long(split, classifier.max_length)
    try:
        together = classifier.plain_logits(texts, batch_size=2)
        apart = np.concatenate([classifier.plain_logits(texts.rows(np.array([row])), batch_size=1) for row in (0, 1)])
        packed = classifier.logits_of(texts, batch_size=2)
    except InputError:
        raise
    except Exception as error:  # a base can be wrong in as many ways as there are architectures
        raise _refused(base, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}",
                       f"an encoder that reads texts of up to {classifier.max_length} tokens") from error  # fmt: skip
    if not np.isfinite(apart).all():
        raise _refused(base, "answers that are not finite numbers before any training", "weights that are")
    for found, what in ((together, "what shares a text's batch changes its answer"),
                        (packed, "the engine's forward gives other answers than Transformers'")):  # fmt: skip
        difference = float(np.abs(found - apart).max())
        if not difference <= _SAME * float(np.abs(apart).max()):
            raise _refused(base, f"{what}: logits differ by {difference:.2g}", "one answer to a text")


def _refused(base: str, got: str, expected: str) -> InputError:
    return InputError(f"The base '{base}' cannot be computed with as it is", got=got, expected=expected,
                      fix="Name another base, or lower --model.max_length if the base reads less")  # fmt: skip


def _short_and_long(split: EncodedSplit, max_length: int) -> EncodedSplit:
    """The shortest of some texts, and the longest repeated until it has as many tokens as a text may have."""
    lengths = split.lengths
    short, long = (split.rows(np.array([row])) for row in (lengths.argmin(), lengths.argmax()))
    wanted = min(max_length, max(len(long.ids), _LONG))
    ids = [short.ids, np.resize(long.ids, wanted)]
    segments = None
    if short.segments is not None and long.segments is not None:
        segments = np.concatenate([short.segments, np.resize(long.segments, wanted)])
    offsets = np.cumsum([0, *map(len, ids)])
    return EncodedSplit(np.concatenate(ids), offsets, segments, np.zeros(2, np.int64), 0)
