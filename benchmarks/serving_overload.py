"""Twice the requests that the server can answer, for minutes or hours: what it answers, how long that takes, and what grows.

    python benchmarks/serving_overload.py ADAPTER [--minutes 10] [--times 2] [--record]

What it can answer is measured first, with 64 clients that wait for their answers. Then requests come as a Poisson process at
`--times` that rate, whether or not earlier ones were answered; each asks for one text of the quickstart's test split. Server and
client are a process each and share the machine, so the client does next to nothing: its requests are encoded before the clock
starts, its connections are kept, and of an answer it reads the status and the length. The record holds the pace that was offered,
how late the client itself was and what part of a core it took, the count of every status, the waits of what was accepted from the
moment it was due, and the server's resident size and open descriptors, those of its clients' connections left out, which are the
clients' to close (a hundred times, or every half minute), with their growth a minute and its interval.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from client import HOST, Client, encoded
from flatness import slope
from harness import record

from lorabert import config
from lorabert.data import sources

CLIENTS, PORT = 64, 8110


def main() -> None:
    """Start the server, find its pace, overload it, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--times", type=float, default=2)
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/serving_overload.json")
    options = parser.parse_args()
    split = sources.load(config.load(config.preset_path("quickstart")).data).test
    requests = [encoded("POST", "/classify", {"model": "one", "input": text}) for text in split.texts]
    serve = [sys.executable, "-m", "lorabert.cli", "serve", "--access_log", "false", "--host", HOST, "--port", str(PORT)]
    process = subprocess.Popen([*serve, f"one={options.adapter}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        result = asyncio.run(_measure(process.pid, requests, 60 * options.minutes, options.times))
        process.terminate()
        result["exit_after_sigterm"] = process.wait(60)
    finally:
        process.kill()
    for name, value in result.items():
        sys.stdout.write(f"{name}: {value}\n")
    if options.record:
        record("serving_overload", result)


async def _measure(server: int, requests: list[bytes], seconds: float, times: float) -> dict[str, Any]:
    client = Client(PORT)
    await client.ready(encoded("GET", "/ready"))
    pace = await _pace(client, requests, min(20.0, seconds / 4))
    started = psutil.Process(server).memory_info().rss
    return {"answered_per_second": pace, "resident_bytes_before": started,
            **await _overload(client, server, requests, pace, times, seconds)}  # fmt: skip


async def _pace(client: Client, requests: list[bytes], seconds: float) -> float:
    """Requests a second when sixty-four clients wait for their answers."""
    until = time.perf_counter() + seconds
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        random = np.random.default_rng([0, number])
        while time.perf_counter() < until:
            status, _ = await client.ask(requests[random.integers(len(requests))])
            if status != "200":
                raise SystemExit(f"the server answers {status} before it is overloaded")
            done += 1

    await asyncio.gather(*(one(number) for number in range(CLIENTS)))
    return done / seconds


async def _overload(
    client: Client, server: int, requests: list[bytes], pace: float, times: float, seconds: float
) -> dict[str, Any]:
    random = np.random.default_rng(1)
    statuses: collections.Counter[str] = collections.Counter()
    waits: dict[str, list[float]] = {"200": [], "refused": []}
    late: list[float] = []
    memory: list[int] = []
    descriptors: list[int] = []
    watched, every = psutil.Process(server), min(30.0, seconds / 100)
    running: set[asyncio.Task[None]] = set()

    async def one(due: float, request: bytes) -> None:
        late.append(time.perf_counter() - due)
        status, _ = await client.ask(request)
        statuses[status] += 1
        # From when it was due: a client that falls behind must not make the server look quick.
        waits["200" if status == "200" else "refused"].append(time.perf_counter() - due)

    worked, began = time.process_time(), time.perf_counter()
    due = began
    while due < began + seconds:
        if len(memory) <= (due - began) / every:
            memory.append(watched.memory_info().rss)
            descriptors.append(_own_descriptors(watched))
        task = asyncio.create_task(one(due, requests[random.integers(len(requests))]))
        running.add(task)
        task.add_done_callback(running.discard)
        due += random.exponential(1 / (times * pace))
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    growth = {"resident_bytes_a_minute": slope(memory, every / 60), "descriptors_a_minute": slope(descriptors, every / 60)}
    sent = time.perf_counter() - began
    worked = time.process_time() - worked
    asked = len(late) / sent
    patience = time.perf_counter() + 120
    while running and time.perf_counter() < patience:
        await asyncio.sleep(0.1)
    memory.append(watched.memory_info().rss)
    return {
        "asked_per_second": asked,
        "wanted_per_second": times * pace,
        "asked_over_answered": asked / pace,
        "asked_late_seconds": _quantiles(late),
        "client_cores": worked / sent,
        "seconds": sent,
        "statuses": dict(statuses),
        "unanswered": len(running),
        "accepted_seconds": _quantiles(waits["200"]),
        "refused_seconds": _quantiles(waits["refused"]),
        "resident_bytes": memory,
        "descriptors": descriptors,
        **{what: found._asdict() for what, found in growth.items()},
    }


def _own_descriptors(server: psutil.Process) -> int:
    """Open descriptors that are no client's connection."""
    return server.num_fds() - sum(one.status != psutil.CONN_LISTEN for one in server.net_connections("tcp"))


def _quantiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{100 * q:g}": float(np.quantile(seconds, q)) for q in (0.5, 0.99, 1.0)} if seconds else {}


if __name__ == "__main__":
    main()
