"""How fast one classifier trains: the packed engine against Transformers + PEFT, each as good as it can be on this machine.

    python benchmarks/training_speed.py [--work qv all-linear full bert-base as-written] [--rounds 5] [--steps 6] [--record]

Every work is the quickstart's texts in batches of 16. Engine and rival are first checked to compute the same loss and gradients.
The rival is padded to the longest of a batch, with random batches and with batches of like length (group_by_length); `as-written`
pads to 128, as the course's script does. The optimizer's step is in the time. Beside the speeds stands the matrix products' own
speed in the same rounds, from which the roofline follows: of the products that somebody needs, in fp32.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from harness import Turn, matrix_flops, race, ratio, record, show

from lorabert import config, hardware
from lorabert.config import LoraConfig, Method
from lorabert.data import batching, encoding, sources
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.packed import Bits, PackedClassifier
from lorabert.models import bases, methods
from lorabert.models.bases import LoadedBase

Compute = Callable[[EncodedSplit, np.ndarray], torch.Tensor]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Work:
    """What is trained: on which base, by which method, and how the rival pads."""

    base: str = "minilm"
    method: Method = "lora"
    targets: str = "auto"
    pad_to: int | None = None


WORKS = {
    "qv": Work(),
    "as-written": Work(pad_to=128),
    "all-linear": Work(targets="all-linear"),
    "full": Work(method="full"),
    "bert-base": Work(base="bert-base"),
}


def main() -> None:
    """Check, time, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps of each contestant in a round")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/training_speed_WORK.json")
    options = parser.parse_args()
    for name in options.work:
        result = _measure(name, WORKS[name], options.rounds, options.steps)
        if options.record:
            record(f"training_speed_{name}", {"steps_per_round": options.steps, **result})


def _measure(name: str, work: Work, rounds: int, steps: int) -> dict[str, Any]:
    model, split, pad_id = _prepare(work)
    contestants: dict[str, Turn] = {}
    differences = {}
    for precision in ["fp32", *(["bf16"] if hardware.cpu_flags() & {"avx512_bf16", "amx_bf16"} else [])]:
        engine, rival = _packed(model, DTYPES[precision]), _padded(model, pad_id, precision, work.pad_to)
        differences[precision] = _check_agreement(model, split, engine, rival, 5e-5 if precision == "fp32" else 0.1)
        contestants |= _turns(model, split, {f"PEFT, padded, {precision}": rival, f"packed, {precision}": engine}, steps)
    flops: list[float] = []
    width = model.config.hidden_size

    def products(_: int) -> int:
        flops.append(matrix_flops(432, width))
        return 1

    speeds = race({**contestants, "matrix products": products}, rounds)
    speeds.pop("matrix products")
    sys.stdout.write(f"\n{name}: engine and rival agree to {differences}\n")
    show(speeds)
    limit = statistics.median(flops[1:]) / _flops_per_example(model.config, work.method, float(split.lengths.mean()))
    ours = max((name for name in speeds if name.startswith("packed")), key=lambda name: statistics.median(speeds[name]))
    ratios = {theirs: ratio(speeds, ours, theirs) for theirs in speeds if theirs.startswith("PEFT")}
    for theirs, found in ratios.items():
        sys.stdout.write(f"  {found['median']:.2f} times {theirs} ({found['least']:.2f} to {found['greatest']:.2f})\n")
    sys.stdout.write(f"  fp32 limit {limit:.0f} /s\n")
    return {"differences": differences, "examples_per_second": speeds, "fastest_of_ours": ours, "ratios": ratios,
            "fp32_flops": flops[1:], "fp32_limit_examples_per_second": limit}  # fmt: skip


def _prepare(work: Work) -> tuple[Any, EncodedSplit, int]:
    settings = config.load(config.preset_path("quickstart"))
    splits = sources.load(settings.data)
    base = bases.find(settings.model)
    torch.manual_seed(0)
    loaded, tokenizer = bases.load(base, splits.label_names), bases.load_tokenizer(base.folder)
    if work.base == "bert-base":
        from transformers import BertConfig, BertForSequenceClassification

        loaded = LoadedBase(BertForSequenceClassification(BertConfig()), [])
    model = methods.apply(loaded, work.method, LoraConfig(target_modules=work.targets))
    return model, encoding.encode(splits, tokenizer, settings.model.max_length).train, tokenizer.pad_token_id


def _packed(model: Any, dtype: torch.dtype) -> Compute:
    classifier, bits = PackedClassifier(model, dtype), Bits(0)

    def loss(split: EncodedSplit, rows: np.ndarray) -> torch.Tensor:
        batch = batching.pack(split, rows)
        return F.cross_entropy(classifier(batch, bits if model.training else None), torch.from_numpy(batch.labels))

    return loss


def _padded(model: Any, pad_id: int, precision: str, pad_to: int | None) -> Compute:
    def loss(split: EncodedSplit, rows: np.ndarray) -> torch.Tensor:
        batch = {name: torch.from_numpy(values) for name, values in batching.padded_batch(split, rows, pad_id).items()}
        if pad_to:
            room = (0, pad_to - batch["input_ids"].shape[1])
            batch["input_ids"] = F.pad(batch["input_ids"], room, value=pad_id)
            batch["attention_mask"] = F.pad(batch["attention_mask"], room)
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            return model(**batch).loss

    return loss


def _check_agreement(model: Any, split: EncodedSplit, engine: Compute, rival: Compute, tolerance: float) -> float:
    """The largest difference in loss and gradients without dropout, relative to the largest gradient."""
    model.eval()
    found = []
    for compute in (engine, rival):
        model.zero_grad()
        loss = compute(split, np.arange(16))
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append(torch.cat([gradients / gradients.abs().max(), loss.detach().view(1)]))
    model.zero_grad()
    difference = float((found[0] - found[1]).abs().max())
    if not difference < tolerance:
        raise SystemExit(f"Engine and rival disagree by {difference:.1e}: nothing to time")
    return difference


def _turns(model: Any, split: EncodedSplit, contestants: dict[str, Compute], steps: int) -> dict[str, Turn]:
    """Each contestant on random batches and on batches of like length, some steps a turn."""
    plans = {
        kind: batching.plan(split.lengths, batch_size=16, num_epochs=1, seed=0, group_by_length=grouped).epochs[0]
        for kind, grouped in (("random batches", False), ("grouped by length", True))
    }
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)
    model.train()

    def turn(compute: Compute, batches: list[np.ndarray]) -> Turn:
        def work(number: int) -> int:
            some = batches[number * steps : (number + 1) * steps]
            for rows in some:
                compute(split, rows).backward()
                optimizer.step()
                optimizer.zero_grad()
            return sum(map(len, some))

        return work

    return {f"{name}, {kind}": turn(compute, batches) for name, compute in contestants.items() for kind, batches in plans.items()}


def _flops_per_example(settings: Any, method: Method, tokens: float) -> float:
    """Products of a training step per example that somebody needs: forward and dX, and dW where weights are trained.

    A layer is 12 h^2 weights; past the last layer's keys and values (2 h^2) only the first token counts.
    """
    weights = settings.hidden_size**2 * (12 * (settings.num_hidden_layers - 1) + 2)
    return (3 if method == "full" else 2) * 2 * weights * tokens


if __name__ == "__main__":
    main()
