"""What the frozen base gives for texts before any training, and the head that starts as a linear probe of it."""

from __future__ import annotations

import numpy as np

from lorabert.data.encoding import EncodedSplit
from lorabert.data.splitting import sample
from lorabert.engine.prediction import States, states
from lorabert.evidence import probes
from lorabert.models import heads
from lorabert.studies.experiment.foreseeing import FROZEN_BASE_TEXTS
from lorabert.studies.experiment.preparing import Prepared


def read(ready: Prepared, split: EncodedSplit) -> States:
    """What the base, as long as nothing has been trained, gives for a split."""
    return states(ready.model.get_base_model(), split, pad_id=ready.tokenizer.pad_token_id,
                  batch_size=ready.settings.train.per_device_eval_batch_size, placement=ready.placement)  # fmt: skip


def frozen_states(ready: Prepared) -> tuple[np.ndarray, States]:
    """The rows of some training texts, and what the base gives for them; read once, before training."""
    if ready.frozen is None:
        some = np.array(sample(len(ready.splits.train), FROZEN_BASE_TEXTS, seed=0))
        ready.frozen = some, read(ready, ready.encoded.train.rows(some))
    return ready.frozen


def start_head(ready: Prepared) -> None:
    """Let the head begin as a linear probe of the frozen base, where the recipe says so."""
    if ready.settings.train.head_init == "probe":
        some, found = frozen_states(ready)
        labels, classes = ready.splits.train.labels[some], len(ready.splits.label_names)
        heads.start_from_probe(ready.model, found.first, lambda reached: probes.fit(reached, labels, classes))
