"""Requests a second of `lorabert serve` beside servers of one merged model, with 16 clients that send texts of mixed lengths.

    python benchmarks/serving_speed.py ADAPTER [--seconds 10] [--rounds 3] [--record]

ADAPTER is a trained one of the quickstart's data. Contestants: this server with that adapter alone, in fp32 and in bf16; with
fifty adapters of mixed ranks, targets and label counts, each request for one drawn uniformly; and behind the barest FastAPI
application, one text a request, a Transformers pipeline, and ONNX Runtime in fp32 and int8 with one session. Each answers the
same texts; labels are compared before anything is timed. Servers and clients share the machine, and take turns of some seconds.
Memory is the servers' resident size. Requests are encoded before the clock starts, and of an answer the clients read the status
and the length.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from client import Client, encoded, labels
from fleet import variant
from harness import ratio, record, show
from pydantic import BaseModel

from lorabert import config
from lorabert.data import sources

CLIENTS = 16
OURS, FIFTY, HALF = "lorabert serve, 1 adapter", "lorabert serve, 50 adapters", "lorabert serve, 1 adapter, bf16"


class Asked(BaseModel):
    """What the bare servers are asked."""

    model: str
    input: str


def main() -> None:
    """Start the servers, compare, time, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/serving_speed.json")
    parser.add_argument("--plain", nargs=2, metavar=("KIND", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        _plain_server(options.plain[0], options.adapter, int(options.plain[1]))
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        result = _measure(_started(options.adapter, Path(name), stack), options.seconds, options.rounds)
    if options.record:
        record("serving_speed", {"clients": CLIENTS, "seconds_per_turn": options.seconds, **result})


def _started(adapter: Path, folder: Path, stack: contextlib.ExitStack) -> dict[str, tuple[int, int, list[str]]]:
    """Of each contestant: port, process and the names of its models."""
    from lorabert.shipping.exporting import export

    for kind in ("merged", "onnx", "onnx-int8"):
        export(adapter, folder / kind, kind, allow_drift=True, say=lambda _: None)
    many = [variant(adapter, folder / f"a{number}", number) for number in range(50)]
    here = [sys.executable, str(Path(__file__)), str(folder)]
    serve = [sys.executable, "-m", "lorabert.cli", "serve", "--access_log", "false", "--port"]
    commands: dict[str, tuple[list[str], list[str]]] = {
        OURS: ([*serve, "8101", f"one={adapter}"], ["one"]),
        FIFTY: ([*serve, "8102", *(f"{place.name}={place}" for place in many)], [place.name for place in many]),
        HALF: ([*serve, "8103", "--precision", "bf16", f"one={adapter}"], ["one"]),
        "FastAPI + pipeline": ([*here, "--plain", "merged", "8104"], ["one"]),
        "FastAPI + ONNX Runtime fp32": ([*here, "--plain", "onnx", "8105"], ["one"]),
        "FastAPI + ONNX Runtime int8": ([*here, "--plain", "onnx-int8", "8106"], ["one"]),
    }
    started = {}
    for port, (name, (command, models)) in enumerate(commands.items(), 8101):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.kill)
        started[name] = (port, process.pid, models)
    return started


def _plain_server(kind: str, folder: Path, port: int) -> None:
    """The barest application around one merged model: one text a request, one forward a text."""
    import uvicorn
    from fastapi import FastAPI

    from lorabert.shipping import loading

    answer: Callable[[str], str]
    if kind == "merged":
        from transformers import pipeline

        piped = pipeline("text-classification", model=str(folder / kind), device="cpu")
        answer = lambda text: str(piped(text, truncation=True, max_length=128)[0]["label"])  # noqa: E731
    else:
        classifier, _ = loading.load(folder / kind)
        answer = lambda text: classifier.predict([text])[0].label  # noqa: E731
    app = FastAPI()

    @app.post("/classify")
    def classify(asked: Asked) -> dict[str, Any]:
        return {"data": [{"label": answer(asked.input)}]}

    uvicorn.run(app, port=port, log_level="error")


def _measure(servers: dict[str, tuple[int, int, list[str]]], seconds: float, rounds: int) -> dict[str, Any]:
    settings = config.load(config.preset_path("quickstart"))
    split = sources.load(settings.data).test
    texts = [split.texts[row] for row in np.random.default_rng(0).permutation(len(split))]
    speeds: dict[str, list[float]] = {name: [] for name in servers}
    waits: dict[str, list[float]] = {name: [] for name in servers}
    asyncio.run(_check(servers, texts[:50]))
    for number in range(rounds + 1):
        for name, (port, _, models) in servers.items():
            found = asyncio.run(_load(port, models, texts, seconds if number else 2, number))
            if number:
                speeds[name].append(len(found) / seconds)
                waits[name] += found
    memory = {name: psutil.Process(process).memory_info().rss for name, (_, process, _) in servers.items()}
    show(speeds)
    ratios = {ours: {theirs: ratio(speeds, ours, theirs) for theirs in speeds if theirs != ours} for ours in (OURS, HALF)}
    for ours, against in ratios.items():
        for theirs, one in against.items():
            sys.stdout.write(f"  {ours} is {one['median']:.2f} times {theirs} ({one['least']:.2f} to {one['greatest']:.2f})\n")
    milliseconds = {name: {"p50": 1e3 * statistics.median(found), "p99": 1e3 * float(np.quantile(found, 0.99))}
                    for name, found in waits.items()}  # fmt: skip
    for name, size in memory.items():
        sys.stdout.write(f"  {name}: {size / 2**20:.0f} MiB, p50 {milliseconds[name]['p50']:.0f} ms, "
                         f"p99 {milliseconds[name]['p99']:.0f} ms\n")  # fmt: skip
    return {"requests_per_second": speeds, "ratios": ratios, "milliseconds": milliseconds, "resident_bytes": memory}


async def _check(servers: dict[str, tuple[int, int, list[str]]], texts: list[str]) -> None:
    """All servers are there, and those of the one adapter give the same labels; int8 and bf16 may differ on one text in ten."""
    found = {}
    for name, (port, _, models) in servers.items():
        client = Client(port)
        await client.ready(_asking(models[0], "ok"))
        if len(models) == 1:
            found[name] = [labels((await client.ask(_asking(models[0], text)))[1]) for text in texts]
        client.close()
    for name, theirs in found.items():
        other = sum(mine != their for mine, their in zip(found[OURS], theirs, strict=True))
        if other > (len(texts) // 10 if "int8" in name or name == HALF else 0):
            raise SystemExit(f"{name} gives {other} other labels of {len(texts)}: nothing to time")


async def _load(port: int, models: list[str], texts: list[str], seconds: float, seed: int) -> list[float]:
    """Seconds that each request took, of as many as sixteen clients could make one after the other."""
    requests = [[_asking(model, text) for text in texts] for model in models]
    client, taken = Client(port), list[float]()
    until = time.perf_counter() + seconds

    async def one(number: int) -> None:
        random = np.random.default_rng([seed, number])
        while (started := time.perf_counter()) < until:
            status, body = await client.ask(requests[random.integers(len(models))][random.integers(len(texts))])
            if status != "200":
                raise SystemExit(f"the server on port {port} answers {status}: {body!r}")
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(one(number) for number in range(CLIENTS)))
    client.close()
    return taken


def _asking(model: str, text: str) -> bytes:
    return encoded("POST", "/classify", {"model": model, "input": text})


if __name__ == "__main__":
    main()
