"""How fast one LoRA adapter trains: the packed engine against padded PEFT, on MiniLM and the quickstart's texts.

    python benchmarks/training_speed.py [--rounds 5] [--steps 6] [--record]

Contestants take turns in one process, a few steps each round, so that whatever else the machine does hits all of them. Each is
first checked to compute the same logits and gradients. Reported: the median over the rounds, with the fastest and the slowest,
and the matrix products' own speed in the same rounds, from which the roofline follows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lorabert import config, hardware
from lorabert.data import batching, encoding, sources
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.packed import PackedClassifier
from lorabert.models import bases, methods

Compute = Callable[[EncodedSplit, np.ndarray], torch.Tensor]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Check, time, print a table, and record."""
    options = _options()
    model, split, pad_id = _prepare()
    precisions = ["fp32", *(["bf16"] if hardware.cpu_flags() & {"avx512_bf16", "amx_bf16"} else [])]
    contestants: dict[str, tuple[Compute, bool]] = {}
    for precision in precisions:
        engine, rival = _packed(model, DTYPES[precision]), _padded(model, pad_id, precision)
        difference = _check_agreement(model, split, engine, rival, 2e-5 if precision == "fp32" else 0.1)
        sys.stdout.write(f"{precision}: engine and rival agree on logits and gradients (largest difference {difference:.1e})\n")
        contestants[f"Transformers + PEFT, padded, {precision}, random batches"] = (rival, False)
        contestants[f"Transformers + PEFT, padded, {precision}, grouped by length"] = (rival, True)
        contestants[f"packed, {precision}, random batches"] = (engine, False)
        contestants[f"packed, {precision}, grouped by length"] = (engine, True)
    result = _race(model, split, contestants, options.rounds, options.steps)
    _show(result)
    if options.record:
        _record(result)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps of each contestant in a round")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/training_speed.json")
    return parser.parse_args()


def _prepare() -> tuple[Any, EncodedSplit, int]:
    settings = config.load(config.preset_path("quickstart"))
    splits = sources.load(settings.data)
    base = bases.find(settings.model)
    torch.manual_seed(0)
    loaded, tokenizer = bases.load(base, splits.label_names), bases.load_tokenizer(base.folder)
    model = methods.apply(loaded, "lora", settings.lora)
    return model, encoding.encode(splits, tokenizer, settings.model.max_length).train, tokenizer.pad_token_id


def _packed(model: Any, dtype: torch.dtype) -> Compute:
    classifier, generator = PackedClassifier(model, dtype), torch.Generator().manual_seed(0)

    def loss(split: EncodedSplit, rows: np.ndarray) -> torch.Tensor:
        batch = batching.pack(split, rows)
        return F.cross_entropy(classifier(batch, generator if model.training else None), torch.from_numpy(batch.labels))

    return loss


def _padded(model: Any, pad_id: int, precision: str) -> Compute:
    def loss(split: EncodedSplit, rows: np.ndarray) -> torch.Tensor:
        batch = {name: torch.from_numpy(values) for name, values in batching.padded_batch(split, rows, pad_id).items()}
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


def _race(
    model: Any, split: EncodedSplit, contestants: dict[str, tuple[Compute, bool]], rounds: int, steps: int
) -> dict[str, Any]:
    """Examples per second of each contestant in each round, and of the matrix products beside them."""
    plans = {
        grouped: batching.plan(split.lengths, batch_size=16, num_epochs=1, seed=0, group_by_length=grouped).epochs[0]
        for grouped in (False, True)
    }
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    model.train()
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    flops: list[float] = []
    for number in range(rounds + 1):
        for name, (compute, grouped) in contestants.items():
            batches = plans[grouped][number * steps : (number + 1) * steps]
            started = time.perf_counter()
            for rows in batches:
                compute(split, rows).backward()
                optimizer.step()
                optimizer.zero_grad()
            speeds[name].append(sum(map(len, batches)) / (time.perf_counter() - started))
        flops.append(_matrix_flops())
    # The first round warms up.
    return {"examples_per_second": {name: values[1:] for name, values in speeds.items()}, "fp32_flops": flops[1:],
            "flops_per_example": _flops_per_example(model.config, float(split.lengths.mean()))}  # fmt: skip


def _matrix_flops(tokens: int = 432, width: int = 384) -> float:
    """What F.linear reaches on the feed-forward's shape."""
    x, weight = torch.randn(tokens, width), torch.randn(4 * width, width)
    started = time.perf_counter()
    for _ in range(20):
        F.linear(x, weight)
    return 20 * 2 * tokens * 4 * width * width / (time.perf_counter() - started)


def _flops_per_example(settings: Any, tokens: float) -> float:
    """Useful products of a training step per example: forward and dX, without those that nobody reads.

    A layer is 12 h^2 weights; past the last layer's keys and values (2 h^2) only the first token counts.
    """
    weights = settings.hidden_size**2 * (12 * (settings.num_hidden_layers - 1) + 2)
    return 2 * 2 * weights * tokens


def _show(result: dict[str, Any]) -> None:
    limit = statistics.median(result["fp32_flops"]) / result["flops_per_example"]
    for name, values in result["examples_per_second"].items():
        sys.stdout.write(
            f"{name:60s} {statistics.median(values):7.1f} examples/s ({min(values):.1f} to {max(values):.1f})"
            f"{f'  {100 * statistics.median(values) / limit:3.0f}% of the fp32 limit' if 'fp32' in name else ''}\n"
        )
    sys.stdout.write(
        f"fp32 matrix products: {statistics.median(result['fp32_flops']) / 1e9:.0f} GFLOP/s, {limit:.0f} examples/s\n"
    )


def _record(result: dict[str, Any]) -> None:
    path = Path(__file__).parent / "records" / "training_speed.json"
    facts = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "hardware": hardware.describe(),
        "versions": hardware.package_versions(),
    }
    path.write_text(json.dumps({**facts, **result}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"Recorded: {path}\n")


if __name__ == "__main__":
    main()
