"""How fast one classifier trains on a GPU: the fast engine against Trainer + PEFT, whole runs from the first step to the last.

    python benchmarks/training_on_gpu.py [--steps 600] [--rounds 3] [--record]
    python benchmarks/training_on_gpu.py --device cpu --layers 2 --steps 20 --rounds 1        tries the script itself

LoRA on query and value of BERT-base's shapes with random weights, batches of 16 texts whose lengths spread like the quickstart's,
in the precision that `auto` takes there. The rival has random batches, and batches of like length. Time is the run's own: with
recording what ours records, without building the model. Before anything is timed both train twenty steps without dropout, and
their losses are compared. Neither a data set nor a hub is needed. It has not been run on a GPU yet.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Turn, matrix_flops, race, ratio, record, show

from lorabert import hardware
from lorabert.config import LoraConfig, TrainConfig
from lorabert.data import batching
from lorabert.data.batching import BatchPlan
from lorabert.data.encoding import EncodedSplit
from lorabert.engine import reference
from lorabert.engine.training import fit
from lorabert.hardware import Placement
from lorabert.models import methods
from lorabert.models.bases import LoadedBase

BATCH = 16
OURS = "fast engine, random batches"


def main() -> None:
    """Check, time, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--steps", type=int, default=600, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/training_on_gpu.json")
    options = parser.parse_args()
    placement = hardware.placed(options.device, "auto")
    split = _texts(BATCH * (options.steps + 100))
    exact, model = _model(options.layers, dropout=0.0), _model(options.layers, dropout=0.1)
    difference = _check_agreement(exact, split, placement)
    sys.stdout.write(f"{placement.device}, {placement.precision}: losses of twenty steps agree to {difference:.1e}\n")
    turns = {
        "Trainer + PEFT, random batches": _turn(reference.fit, model, split, placement, options.steps),
        "Trainer + PEFT, grouped by length": _turn(reference.fit, model, split, placement, options.steps, grouped=True),
        OURS: _turn(fit, model, split, placement, options.steps),
    }
    speeds = race(turns, options.rounds)
    show(speeds)
    ratios = {theirs: ratio(speeds, OURS, theirs) for theirs in list(speeds)[:-1]}
    for theirs, found in ratios.items():
        sys.stdout.write(f"  {found['median']:.2f} times {theirs} ({found['least']:.2f} to {found['greatest']:.2f})\n")
    flops = matrix_flops(8192, model.config.hidden_size, _dtype(placement), options.device)
    used = statistics.median(speeds[OURS]) * _flops_per_example(model.config, float(split.lengths.mean()))
    sys.stdout.write(
        f"  {used / 1e12:.2f} TFLOP/s in products that somebody needs, {used / flops:.1%} of what F.linear reaches\n"
    )
    if options.record:
        record("training_on_gpu", {
            "steps": options.steps, "placement": vars(placement), "difference": difference, "examples_per_second": speeds,
            "ours": OURS, "ratios": ratios, "linear_flops": flops, "used_flops": used, "model_flops_utilisation": used / flops,
        })  # fmt: skip


def _texts(count: int) -> EncodedSplit:
    """Random words; lengths as the quickstart's texts have them: 27 tokens in the mean, a few of 60."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.normal(27, 11, count).round().astype(np.int64), 4, 128)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = random.integers(1000, 30000, offsets[-1]).astype(np.int32)
    return EncodedSplit(ids, offsets, None, random.integers(0, 2, count), 0)


def _model(layers: int, *, dropout: float) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(num_hidden_layers=layers, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    loaded = LoadedBase(BertForSequenceClassification(config), [])
    return methods.apply(loaded, "lora", LoraConfig(lora_dropout=dropout))


def _train(engine: Callable[..., Any], model: Any, split: EncodedSplit, placement: Placement, plan: BatchPlan) -> list[float]:
    """A run's losses, of every ten steps."""
    settings = TrainConfig(learning_rate=1e-4, num_train_epochs=1, save_strategy="no", logging_steps=10)
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        engine(model, split, split.rows(np.arange(8)), plan, settings, placement, pad_id=0, checkpoints=Path(folder),
               resume=False, log=lambda event: losses.append(event["loss"]))  # fmt: skip
    return losses


def _few(split: EncodedSplit, first: int, steps: int, *, grouped: bool = False) -> BatchPlan:
    plan = batching.plan(split.lengths, batch_size=BATCH, num_epochs=1, seed=first, group_by_length=grouped)
    return BatchPlan([plan.epochs[0][:steps]])


def _check_agreement(model: Any, split: EncodedSplit, placement: Placement) -> float:
    plan = _few(split, 0, 20)
    found = [_train(engine, copy.deepcopy(model), split, placement, plan) for engine in (reference.fit, fit)]
    difference = float(np.abs(np.subtract(*found)).max())
    if not difference < 2e-2:  # half precision rounds otherwise in other shapes
        raise SystemExit(f"Engine and rival end with losses that differ by {difference:.1e}: nothing to time")
    return difference


def _turn(
    engine: Callable[..., Any], model: Any, split: EncodedSplit, placement: Placement, steps: int, *, grouped: bool = False
) -> Turn:
    own = copy.deepcopy(model)

    def work(number: int) -> int:
        _train(engine, own, split, placement, _few(split, number, steps, grouped=grouped))
        return steps * BATCH

    return work


def _dtype(placement: Placement) -> torch.dtype:
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(placement.precision, torch.float32)


def _flops_per_example(settings: Any, tokens: float) -> float:
    """Products of a training step per example that somebody needs: forward and dX, as in training_speed.py."""
    weights = settings.hidden_size**2 * (12 * (settings.num_hidden_layers - 1) + 2)
    return 2 * 2 * weights * tokens


if __name__ == "__main__":
    main()
