"""Twice the requests that the server can answer, for ten minutes: what it answers, how long that takes, and whether memory grows.

    python benchmarks/serving_overload.py ADAPTER [--minutes 10] [--times 2] [--record]

What it can answer is measured first, with 64 clients that wait for their answers. Then requests come as a Poisson process at
`--times` that rate, whether or not earlier ones were answered; each asks for one text of the quickstart's test split. Server and
clients share the machine. The record holds the count of every status, the waits of what was accepted, and the server's resident
size every half minute.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from harness import record

from lorabert import config
from lorabert.data import sources

CLIENTS, PORT = 64, 8110
URL = f"http://127.0.0.1:{PORT}"


def main() -> None:
    """Start the server, find its pace, overload it, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--times", type=float, default=2)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/serving_overload.json")
    options = parser.parse_args()
    split = sources.load(config.load(config.preset_path("quickstart")).data).test
    serve = [sys.executable, "-m", "lorabert.cli", "serve", "--access_log", "false", "--port", str(PORT)]
    process = subprocess.Popen([*serve, f"one={options.adapter}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        result = asyncio.run(_measure(process.pid, split.texts, 60 * options.minutes, options.times))
        process.terminate()
        result["exit_after_sigterm"] = process.wait(60)
    finally:
        process.kill()
    for name, value in result.items():
        sys.stdout.write(f"{name}: {value}\n")
    if options.record:
        record("serving_overload", result)


async def _measure(server: int, texts: list[str], seconds: float, times: float) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(timeout=120, limits=limits, base_url=URL) as client:
        await _ready(client)
        pace = await _pace(client, texts, 20)
        started = psutil.Process(server).memory_info().rss
        return {"answered_per_second": pace, "resident_bytes_before": started,
                **await _overload(client, server, texts, times * pace, seconds)}  # fmt: skip


async def _ready(client: httpx.AsyncClient) -> None:
    for _ in range(300):
        with contextlib.suppress(httpx.HTTPError):
            if (await client.get("/ready")).is_success:
                return
        await asyncio.sleep(0.2)
    raise SystemExit("the server did not start")


async def _pace(client: httpx.AsyncClient, texts: list[str], seconds: float) -> float:
    """Requests a second when sixty-four clients wait for their answers."""
    until = time.perf_counter() + seconds
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        random = np.random.default_rng([0, number])
        while time.perf_counter() < until:
            (await _ask(client, texts[random.integers(len(texts))])).raise_for_status()
            done += 1

    await asyncio.gather(*(one(number) for number in range(CLIENTS)))
    return done / seconds


async def _overload(client: httpx.AsyncClient, server: int, texts: list[str], rate: float, seconds: float) -> dict[str, Any]:
    random = np.random.default_rng(1)
    statuses: collections.Counter[str] = collections.Counter()
    waits: dict[str, list[float]] = {"200": [], "refused": []}
    memory: list[int] = []
    running: set[asyncio.Task[None]] = set()

    async def one(text: str) -> None:
        began = time.perf_counter()
        try:
            status = str((await _ask(client, text)).status_code)
        except httpx.HTTPError as error:
            status = type(error).__name__
        statuses[status] += 1
        waits["200" if status == "200" else "refused"].append(time.perf_counter() - began)

    began = due = time.perf_counter()
    while due < began + seconds:
        if len(memory) <= (due - began) / 30:
            memory.append(psutil.Process(server).memory_info().rss)
        task = asyncio.create_task(one(texts[random.integers(len(texts))]))
        running.add(task)
        task.add_done_callback(running.discard)
        due += random.exponential(1 / rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    sent = time.perf_counter() - began
    await asyncio.gather(*running)
    memory.append(psutil.Process(server).memory_info().rss)
    return {
        "asked_per_second": sum(statuses.values()) / sent,
        "wanted_per_second": rate,
        "seconds": sent,
        "statuses": dict(statuses),
        "accepted_seconds": _quantiles(waits["200"]),
        "refused_seconds": _quantiles(waits["refused"]),
        "resident_bytes": memory,
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{100 * q:g}": float(np.quantile(seconds, q)) for q in (0.5, 0.99, 1.0)} if seconds else {}


async def _ask(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post("/classify", json={"model": "one", "input": text})


if __name__ == "__main__":
    main()
