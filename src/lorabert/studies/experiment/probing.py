"""What the frozen base gives for texts before any training, and the head that starts as a linear probe of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lorabert.data.encoding import EncodedSplit
from lorabert.data.splitting import sample
from lorabert.engine.states import States, states
from lorabert.evidence import probes
from lorabert.models import attention, heads
from lorabert.studies.experiment.foreseeing import FROZEN_BASE_TEXTS
from lorabert.studies.experiment.preparing import Prepared


def read(ready: Prepared, split: EncodedSplit, *, evenly: bool = False) -> States:
    """What the base, as long as nothing has been trained, gives for a split."""
    return states(ready.model.get_base_model(), split, pad_id=ready.tokenizer.pad_token_id, evenly=evenly,
                  batch_size=ready.settings.train.per_device_eval_batch_size, placement=ready.placement)  # fmt: skip


def frozen_states(ready: Prepared) -> tuple[np.ndarray, States]:
    """The rows of some training texts, and what the base gives for them; read once, before training."""
    if ready.frozen is None:
        some = np.array(sample(len(ready.splits.train), FROZEN_BASE_TEXTS, seed=0))
        evenly = ready.settings.train.head_init == "probe" and attention.can_attend_evenly(ready.model)
        ready.frozen = some, read(ready, ready.encoded.train.rows(some), evenly=evenly)
    return ready.frozen


def word_means(ready: Prepared, split: EncodedSplit) -> np.ndarray:
    """The mean of each text's word embeddings, (n, width) float32: no word knows its neighbours."""
    table = ready.model.get_base_model().get_input_embeddings().weight.detach().float().numpy()
    texts = zip(split.offsets, split.offsets[1:], strict=False)
    return np.stack([table[split.ids[start:end]].mean(0) for start, end in texts])


@dataclass(frozen=True)
class Start:
    """How a head that starts as a probe starts.

    Attributes:
        attends: where the last layer has the first token look: `evenly` at all tokens, or as the `base` has it.
        log_loss: of a probe on held-out training texts, by where the first token looks; empty where there is nothing to choose.
    """

    attends: str
    log_loss: dict[str, float]

    def __str__(self) -> str:
        """A sentence for people."""
        looks = "evenly at all tokens" if self.attends == "evenly" else "where the base has it look"
        losses = [f"{loss:.3f} {name}" for name, loss in self.log_loss.items()]
        why = f" (log loss of a probe on texts held out of the training split: {', '.join(losses)})" if losses else ""
        return f"Head: a linear probe of the first token, which starts by looking {looks}{why}."


def start_head(ready: Prepared, model: Any = None, rows: np.ndarray | None = None) -> Start | None:
    """Let the head begin as a linear probe of the frozen base, where the recipe says so.

    The first token looks evenly at all tokens in the last layer where that is within reach of what is trained and classifies
    training texts better, by cross-validation.

    Args:
        ready: the run.
        model: a fold's, instead of the run's own.
        rows: the training texts that may be looked at; all of them where none are named.
    """
    if ready.settings.train.head_init != "probe":
        return None
    model = ready.model if model is None else model
    some, found = frozen_states(ready)
    if rows is not None:
        allowed = np.isin(some, rows)
        some, found = some[allowed], found.rows(allowed)
    if not len(some):
        return None
    labels, classes = ready.splits.train.labels[some], len(ready.splits.label_names)
    reached = {"base": heads.reached(model, found.first)}
    if found.even is not None:
        reached["evenly"] = heads.reached(model, found.even)
    losses = {name: probes.log_loss(features, labels) for name, features in reached.items()} if len(reached) > 1 else {}
    known = {name: loss for name, loss in losses.items() if loss is not None}
    better = not known or known["evenly"] <= known["base"]
    attends = "evenly" if "evenly" in reached and better else "base"
    if attends == "evenly":
        assert found.entering is not None
        attention.attend_evenly(model, found.entering)
    heads.start_from_probe(model, probes.fit(reached[attends], labels, classes))
    return Start(attends, known)
