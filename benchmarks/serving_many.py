"""Fifty adapters and a thousand: mixed batches against PEFT's, memory against merged models, and what loading costs.

    python benchmarks/serving_many.py ADAPTER [--rounds 5] [--batch 16] [--record]

ADAPTER is a trained one on the asset base. Mixed batches: each text for one of fifty adapters drawn uniformly, by the server's
own forward (ranks 4, 8 and 16, query and value or all linear layers, two to ten labels), and by PEFT's `adapter_names` with the
same ranks and targets, which needs two labels everywhere and pads. Both get encoded texts; PEFT's logits are compared with ours
where both can. Memory: the resident size of a process with the base and one adapter, with fifty, with fifty merged models, and
with PEFT's fifty. Loading: every one of a thousand adapters, whose files the system has cached, read once, with memory for two
hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fleet import variant
from harness import race, ratio, record, show

from lorabert import config
from lorabert.config import ModelConfig
from lorabert.data import sources
from lorabert.data.batching import padded_batch
from lorabert.data.encoding import encode_split
from lorabert.models import bases
from lorabert.shipping import adapters, manifests
from lorabert.shipping.serving import starting
from lorabert.shipping.serving.settings import Settings

OURS, ONE, THEIRS = "lorabert, 50 adapters", "lorabert, 1 adapter", "PEFT adapter_names, 50 adapters"
MANY, THOUSAND, KEPT = 50, 1000, 200


def main() -> None:
    """Make the adapters, compare, time, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16, help="texts a forward, as many as the server has clients")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/serving_many.json")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child[0], Path(options.child[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(MANY):
            variant(options.adapter, folder / f"a{number}", number)
            variant(options.adapter, folder / "two" / f"a{number}", number, labels=2)
        result = {
            "batch": options.batch,
            **_mixed(folder, options.batch, options.rounds),
            "resident_bytes": _memory(folder),
            "loading": _measured("thousand", folder),
        }
    for kind, size in result["resident_bytes"].items():
        sys.stdout.write(f"  {kind}: {size / 2**20:.0f} MiB\n")
    sys.stdout.write(f"  {THOUSAND} adapters: {result['loading']}\n")
    if options.record:
        record("serving_many", result)


def _served(folder: Path, count: int) -> tuple[Any, list[Any]]:
    """The server's forward, and so many adapters in memory."""
    targets = starting.Targets([], {f"a{number}": folder / f"a{number}" for number in range(count)})
    service = starting.service_of(targets, starting.base_of(targets, None), Settings().resolved())
    return service, [asyncio.run(service.registry.get(f"a{number}")) for number in range(count)]


def _peft(folder: Path) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    base = bases.find(ModelConfig(name=manifests.manifest_of(folder / "a0")["base"]["name"]))
    model = AutoModelForSequenceClassification.from_pretrained(base.folder, num_labels=2, trust_remote_code=False)
    for number in range(MANY):
        if number == 0:
            model = PeftModel.from_pretrained(model, folder / "a0", adapter_name="a0")
        else:
            model.load_adapter(folder / f"a{number}", adapter_name=f"a{number}")
    return model.eval()


def _mixed(folder: Path, size: int, rounds: int) -> dict[str, Any]:
    settings = config.load(config.preset_path("quickstart"))
    service, served = _served(folder, MANY)
    two, same = _served(folder / "two", MANY)
    split = encode_split(sources.load(settings.data).test, served[0].tokenizer, settings.model.max_length, quiet=True)
    random = np.random.default_rng(0)
    batches = [random.choice(len(split), size, replace=False) for _ in range(20)]
    drawn = [random.integers(MANY, size=size) for _ in batches]
    model = _peft(folder / "two")

    def ours(scheduled: Any, known: list[Any], rows: np.ndarray, which: np.ndarray) -> np.ndarray:
        asked = [(known[number].adapter, split.rows(rows[which == number])) for number in np.unique(which)]
        answers = iter(scheduled.scheduler._answer(asked))
        found: list[Any] = [None] * len(rows)
        for number in np.unique(which):
            for row, logits in zip(np.flatnonzero(which == number), next(answers), strict=True):
                found[row] = logits
        return np.array(found, dtype=object)

    @torch.inference_mode()
    def theirs(rows: np.ndarray, which: np.ndarray) -> np.ndarray:
        batch = {name: torch.from_numpy(value) for name, value in padded_batch(split, rows, 0).items() if name != "labels"}
        return np.asarray(model(**batch, adapter_names=[f"a{number}" for number in which]).logits.numpy())

    furthest = max(
        np.abs(np.stack(ours(two, same, rows, which)) - theirs(rows, which)).max()
        for rows, which in zip(batches[:5], drawn[:5], strict=True)
    )
    if furthest > 1e-4:
        raise SystemExit(f"PEFT's mixed batches differ from ours by {furthest:.1e}: nothing to time")

    def turn(answer: Any) -> Any:
        return lambda _: sum(len(answer(rows, which)) for rows, which in zip(batches, drawn, strict=True))

    speeds = race(
        {
            ONE: turn(lambda rows, which: ours(service, served, rows, np.zeros_like(which))),
            OURS: turn(lambda rows, which: ours(service, served, rows, which)),
            THEIRS: turn(theirs),
        },
        rounds,
    )
    show(speeds)
    ratios = {"fifty over one": ratio(speeds, OURS, ONE), "fifty over PEFT": ratio(speeds, OURS, THEIRS)}
    for name, one in ratios.items():
        sys.stdout.write(f"  {name}: {one['median']:.2f} ({one['least']:.2f} to {one['greatest']:.2f})\n")
    return {"texts_per_second": speeds, "ratios": ratios, "largest_difference": float(furthest)}


def _memory(folder: Path) -> dict[str, int]:
    return {kind: _measured(kind, folder)["bytes"] for kind in ("one", "fifty", "peft", "merged")}


def _measured(kind: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), str(folder), "--child", kind, str(folder)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def _child(kind: str, folder: Path) -> None:
    import psutil

    if kind == "thousand":
        sys.stdout.write(json.dumps(_thousand(folder)) + "\n")
        return
    if kind == "merged":
        held: Any = [adapters.load(folder / f"a{number}")[0].model.merge_and_unload() for number in range(MANY)]
    elif kind == "peft":
        held = _peft(folder / "two")
    else:
        held = _served(folder, 1 if kind == "one" else MANY)
    sys.stdout.write(json.dumps({"bytes": psutil.Process().memory_info().rss, "held": str(type(held))}) + "\n")
    sys.stdout.flush()
    import os

    os._exit(0)  # the service's threads wait for requests


def _thousand(folder: Path) -> dict[str, Any]:
    """Seconds of every load, and memory as it grows, with room for KEPT adapters."""
    import os

    import psutil

    each = sum(file.stat().st_size for file in folder.glob("a[0-9]*/adapter_model.safetensors")) / MANY
    targets = starting.Targets([], {f"n{number}": folder / f"a{number % MANY}" for number in range(THOUSAND)})
    base = starting.base_of(starting.Targets([], {"a0": folder / "a0"}), None)
    service = starting.service_of(targets, base, Settings(adapter_mebibytes=KEPT * each / 2**20).resolved())

    async def touch() -> tuple[list[float], list[int]]:
        taken, memory = [], []
        for number in range(THOUSAND):
            started = time.perf_counter()
            await service.registry.get(f"n{number}")
            taken.append(time.perf_counter() - started)
            memory.append(psutil.Process().memory_info().rss)
        return taken, memory

    taken, memory = asyncio.run(touch())
    found = {
        "median_milliseconds": 1e3 * statistics.median(taken[1:]),
        "p99_milliseconds": 1e3 * float(np.quantile(taken[1:], 0.99)),
        "first_milliseconds": 1e3 * taken[0],
        "resident_bytes_after": {str(count): memory[count - 1] for count in (1, KEPT, THOUSAND // 2, THOUSAND)},
        "kept": len(service.registry._loaded),
        "mean_adapter_bytes": each,
    }
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
