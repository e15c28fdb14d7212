"""k adapters trained together on one base against the same k one after the other, and their memory against k processes.

    python benchmarks/training_together.py [--many 1 2 4 8 16 32] [--steps 40] [--record]

Quickstart texts, MiniLM, LoRA on query and value, batches of 16, in bf16 where the processor
multiplies in it; each adapter with a seed of its own. Each measurement is a
process of its own, as peak memory is a process's; together and alone take turns. Agreement is shown by
tests/parity/engine/test_trained_together.py; here the losses are compared once more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import record


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--many", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--steps", type=int, default=40, help="of each adapter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/training_together.json")
    parser.add_argument("--child", choices=["together", "alone"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.many[0], options.steps, together=options.child == "together")
        return
    process = _measure("alone", 1, options.steps)["peak_bytes"]
    results = [_compare(many, options.steps, options.rounds, process) for many in options.many]
    if options.record:
        record("training_together", {"steps": options.steps, "process_peak_bytes": process, "results": results})


def _compare(many: int, steps: int, rounds: int, process: int) -> dict[str, Any]:
    turns = [{kind: _measure(kind, many, steps) for kind in ("alone", "together")} for _ in range(rounds)]
    pairs = [pair for turn in turns for pair in zip(turn["alone"]["losses"], turn["together"]["losses"], strict=True)]
    difference = max(abs(alone - together) for alone, together in pairs)
    if not difference < 2e-2:  # bf16 rounds otherwise in other shapes
        raise SystemExit(f"together and alone end with losses that differ by {difference:.1e}: nothing to time")
    times = [turn["together"]["seconds"] / turn["alone"]["seconds"] for turn in turns]
    memory = statistics.median(turn["together"]["peak_bytes"] for turn in turns) / (many * process)
    speed = statistics.median(many * steps * 16 / turn["together"]["seconds"] for turn in turns)
    sys.stdout.write(
        f"{many:3d} adapters: {statistics.median(times):.3f} of the time one after the other ({min(times):.3f} to "
        f"{max(times):.3f}), {memory:.2f} of the memory of as many processes, {speed:.1f} examples/s, "
        f"losses within {difference:.1e}\n"
    )
    sys.stdout.flush()
    return {"adapters": many, "time_ratios": times, "time_ratio": statistics.median(times), "memory_ratio": memory,
            "examples_per_second": speed, "turns": turns}  # fmt: skip


def _measure(kind: str, many: int, steps: int) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), "--child", kind, "--many", str(many), "--steps", str(steps)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def _child(many: int, steps: int, *, together: bool) -> None:
    import numpy as np
    import torch

    from lorabert import config, hardware
    from lorabert.data import batching, encoding, sources
    from lorabert.data.batching import BatchPlan
    from lorabert.engine.training import Job, fit_together
    from lorabert.models import bases, methods

    settings = config.load(config.preset_path("quickstart"), ["--train.logging_steps", str(steps), "--train.save_strategy", "no"])
    splits = sources.load(settings.data)
    base = bases.find(settings.model)
    tokenizer = bases.load_tokenizer(base.folder)
    encoded = encoding.encode(splits, tokenizer, settings.model.max_length)
    frozen: dict[str, Any] = {}
    losses: list[float] = []
    jobs = []
    for seed in range(many):
        torch.manual_seed(seed)
        loaded = bases.load(base, splits.label_names)
        bases.share(loaded, frozen)
        frozen = frozen or dict(loaded.model.named_parameters())
        plan = batching.plan(encoded.train.lengths, batch_size=16, num_epochs=1, seed=seed)
        few = BatchPlan([plan.epochs[0][:steps]])
        job = Job(methods.apply(loaded, "lora", settings.lora), encoded.train, encoded.validation.rows(np.arange(8)), few,
                  settings.train, hardware.placed("cpu", "auto"), Path(f"checkpoints-{seed}"), resume=False,
                  log=lambda event: losses.append(event["loss"]))  # fmt: skip
        jobs.append(job)
    started = time.perf_counter()
    if together:
        list(fit_together(jobs, concurrent=many))
    else:
        for job in jobs:
            list(fit_together([job], concurrent=1))
    seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_bytes": hardware.peak_bytes(), "losses": sorted(losses)}) + "\n")


if __name__ == "__main__":
    main()
