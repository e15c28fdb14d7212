"""How fast one classifier trains: the packed engine against Transformers + PEFT, each as good as it can be on this machine.

    python benchmarks/training_speed.py [--work qv all-linear full bert-base as-written] [--rounds 5] [--steps 20] [--record]

Every work is the quickstart's texts in batches of 16, in bf16 where the processor multiplies in it, else in fp32. Engine and
rival are first checked to compute the same loss and gradients. The rival is padded to the longest of a batch, with random
batches and with batches of like length (group_by_length), its attention the faster of Transformers' two here; ours has random
batches. `as-written` is the course's script: padded to 128, fp32, random batches. The optimizer's step is in the time. Beside
the speeds stands the matrix products' own speed in the same rounds, from which the roofline follows: of the products that
somebody needs. Peak memory is what twenty steps need beyond the loaded model, each in a process of its own
(Linux only).
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# oneDNN keeps this many kernels by default, for a process; here the contestants share one process.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(4 * 1024))

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from harness import Turn, matrix_flops, race, ratio, record, show

from lorabert import config, hardware
from lorabert.config import LoraConfig, Method, TrainConfig
from lorabert.data import batching, encoding, packing, sources
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.packed import Bits, PackedClassifier
from lorabert.engine.training.vocabulary import Vocabulary
from lorabert.models import bases, methods
from lorabert.models.bases import LoadedBase
from lorabert.models.wrapped import part

Compute = Callable[[EncodedSplit, np.ndarray], torch.Tensor]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PRECISION = "bf16" if hardware.cpu_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


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
    parser.add_argument("--steps", type=int, default=20, help="steps of each contestant in a round")
    parser.add_argument(
        "--record", action="store_true", help="write benchmarks/records/training_speed_WORK.json, _fp32 where there is no bf16"
    )
    parser.add_argument("--child", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(WORKS[options.work[0]], options.steps, options.child)
        return
    for name in options.work:
        result = _measure(name, WORKS[name], options.rounds, options.steps)
        if options.record:
            without = "" if PRECISION == "bf16" else f"_{PRECISION}"
            record(f"training_speed_{name}{without}", {"steps_per_round": options.steps, **result})


def _measure(name: str, work: Work, rounds: int, steps: int) -> dict[str, Any]:
    model, split, pad_id = _prepare(work)
    differences = {
        precision: _check_agreement(
            model, split, _packed(model, DTYPES[precision]), _padded(model, pad_id, precision, None), tolerance
        )
        for precision, tolerance in (("fp32", 5e-5), ("bf16", 0.1))
    }
    flops: list[float] = []

    def products(_: int) -> int:
        flops.append(matrix_flops(432, model.config.hidden_size, DTYPES[PRECISION]))
        return 1

    contestants = _contestants(model, copy.deepcopy(model), split, pad_id, work, steps)
    speeds = race({**contestants, "matrix products": products}, rounds)
    speeds.pop("matrix products")
    sys.stdout.write(f"\n{name}: engine and rival agree to {differences}\n")
    show(speeds)
    *rivals, ours = speeds
    limit = statistics.median(flops[1:]) / _flops_per_example(model.config, work.method, float(split.lengths.mean()))
    ratios = {theirs: ratio(speeds, ours, theirs) for theirs in rivals}
    for theirs, found in ratios.items():
        sys.stdout.write(f"  {found['median']:.2f} times {theirs} ({found['least']:.2f} to {found['greatest']:.2f})\n")
    share = statistics.median(speeds[ours]) / limit
    sys.stdout.write(f"  limit of the products in {PRECISION} {limit:.0f} /s, of which {share:.0%} is reached\n")
    peaks = {who: _peak(name, who) for who in ("ours", "theirs")}
    sys.stdout.write(f"  peak MiB { ({who: round(peak / 2**20) for who, peak in peaks.items()}) }\n")
    return {"differences": differences, "precision": PRECISION, "examples_per_second": speeds, "ours": ours, "ratios": ratios,
            "flops": flops[1:], "limit_examples_per_second": limit, "share_of_limit": share, "peak_bytes": peaks}  # fmt: skip


def _contestants(model: Any, own: Any, split: EncodedSplit, pad_id: int, work: Work, steps: int) -> dict[str, Turn]:
    """Each does so many steps a turn; ours on a model of its own, whose words are those of the texts, as in training."""
    few = Vocabulary(part(own, "base_model.model.bert.embeddings.word_embeddings"), [split], TrainConfig()).renumber(split)
    ours = {f"packed, {PRECISION}, random batches": _turn(own, few, _packed(own, DTYPES[PRECISION]), steps)}
    if work.pad_to:
        written = _padded(model, pad_id, "fp32", work.pad_to)
        return {f"PEFT, padded to {work.pad_to}, fp32, random batches": _turn(model, split, written, steps), **ours}
    theirs = _padded(model, pad_id, PRECISION, None)
    return {
        f"PEFT, padded, {PRECISION}, random batches": _turn(model, split, theirs, steps),
        f"PEFT, padded, {PRECISION}, grouped by length": _turn(model, split, theirs, steps, grouped=True),
        **ours,
    }


def _peak(name: str, who: str) -> int:
    """What twenty steps need at most, beyond what the process held before them, in bytes."""
    command = [sys.executable, __file__, "--work", name, "--steps", "20", "--child", who]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _child(work: Work, steps: int, who: str) -> None:
    model, split, pad_id = _prepare(work)
    own = model if who == "ours" else copy.deepcopy(model)
    before, status = psutil.Process().memory_info().rss, Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # Linux forgets the peak so far
    turns = _contestants(model, own, split, pad_id, work, steps)
    turns[list(turns)[-1 if who == "ours" else -2]](0)
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{int(peak.split()[1]) * 1024 - before}\n")


def _prepare(work: Work) -> tuple[Any, EncodedSplit, int]:
    settings = config.load(config.preset_path("quickstart"))
    splits = sources.load(settings.data)
    base = bases.find(settings.model)
    torch.manual_seed(0)
    loaded, tokenizer = bases.load(base, splits.label_names), bases.load_tokenizer(base.folder)
    if work.base == "bert-base":
        from transformers import BertConfig, BertForSequenceClassification

        loaded = LoadedBase(BertForSequenceClassification(BertConfig()), [])
    if not work.pad_to:
        loaded.model.config._attn_implementation = "eager"  # a few percent faster than sdpa here; ours does not look at it
    model = methods.apply(loaded, work.method, LoraConfig(target_modules=work.targets))
    return model, encoding.encode(splits, tokenizer, settings.model.max_length).train, tokenizer.pad_token_id


def _packed(model: Any, dtype: torch.dtype) -> Compute:
    classifier, bits = PackedClassifier(model, dtype), Bits(0)

    def loss(split: EncodedSplit, rows: np.ndarray) -> torch.Tensor:
        batch = packing.pack(split, rows)
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


def _turn(model: Any, split: EncodedSplit, compute: Compute, steps: int, *, grouped: bool = False) -> Turn:
    batches = batching.plan(split.lengths, batch_size=16, num_epochs=1, seed=0, group_by_length=grouped).epochs[0]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)

    def work(number: int) -> int:
        model.train()
        some = batches[(number + 3) * steps : (number + 4) * steps] if number else batches[: 4 * steps]  # warming up takes longer
        for rows in some:
            compute(split, rows).backward()
            optimizer.step()
            optimizer.zero_grad()
        return sum(map(len, some))

    return work


def _flops_per_example(settings: Any, method: Method, tokens: float) -> float:
    """Products of a training step per example that somebody needs: forward and dX, and dW where weights are trained.

    A layer is 12 h^2 weights; past the last layer's keys and values (2 h^2) only the first token counts.
    """
    weights = settings.hidden_size**2 * (12 * (settings.num_hidden_layers - 1) + 2)
    return (3 if method == "full" else 2) * 2 * weights * tokens


if __name__ == "__main__":
    main()
