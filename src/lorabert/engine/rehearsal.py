"""A base as a classifier, tried on two texts before anything is written: computed right, or refused in one paragraph."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch

from lorabert.data.batching import padded_batch
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.packed import adapter_in
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, Unsupported

# Sums in another order differ by millionths of the largest logit; what is beyond a thousandth is another function.
_SAME = 1e-3
# Longer texts take memory by the square of their length, and find nothing that these do not.
_LONG = 1024


def rehearse(classifier: Classifier, split: EncodedSplit, base: str, precision: str) -> None:
    """Check that a classifier answers a text of its longest length and a short one, together as apart, and learns from them.

    Args:
        classifier: a PEFT model with its tokenizer, on the CPU; it is left there, in eval mode.
        split: real texts, of which there is at least one.
        base: the base's name, for the message.
        precision: of the training to come.

    Raises:
        InputError: its forward or a step of its own training fails, its logits are not finite, the padding of a batch changes
            them, or the packed forward computes something else.
    """
    texts = _short_and_long(split, classifier.max_length)
    try:
        together = classifier.plain_logits(texts, batch_size=2)
        apart = np.concatenate([classifier.plain_logits(texts.rows(np.array([row])), batch_size=1) for row in (0, 1)])
        packed = classifier.logits_of(texts, batch_size=2)
        if not _is_packed(classifier):
            _step(classifier, texts, precision)
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


def _is_packed(classifier: Classifier) -> bool:
    try:
        adapter_in(classifier.model)
    except Unsupported:
        return False
    return True


def _step(classifier: Classifier, texts: EncodedSplit, precision: str) -> None:
    """A step of the model's own training, which leaves no trace: nothing is changed, no random number is taken."""
    batch = padded_batch(texts, np.array([0, 1]), classifier.tokenizer.pad_token_id)
    arithmetic = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
    model = classifier.model.train()
    with torch.random.fork_rng(devices=[]), arithmetic:
        model(**{name: torch.from_numpy(values) for name, values in batch.items()}).loss.backward()
    model.zero_grad(set_to_none=True)
    model.eval()


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
