"""Adapters to serve and servers to call: tiny classifiers of different ranks, targets and labels on one base."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import torch

from lorabert.config import LoraConfig, ModelConfig
from lorabert.engine.prediction import Classifier
from lorabert.files import sha256_of
from lorabert.models import bases, methods
from lorabert.shipping import adapters
from lorabert.shipping.manifests import MANIFEST, sealed
from lorabert.shipping.serving.app import build
from lorabert.shipping.serving.settings import Settings
from lorabert.shipping.serving.starting import base_of, load_first, service_of, targets_of

KINDS = {
    "mood": (["sad", "glad"], {"r": 2}),
    "topic": (["sport", "business", "science", "world"], {"r": 8, "target_modules": "all-linear"}),
    "tone": (["calm", "<b>loud</b>", "dry"], {"r": 4, "lora_alpha": 8, "target_modules": ["query", "dense"]}),
}


def save_adapter(
    folder: Path,
    base_folder: Path,
    labels: list[str],
    *,
    seed: int = 0,
    pairs: bool = False,
    method: str = "lora",
    **lora: object,
) -> Path:
    """An adapter whose trained weights have all moved, far enough that no two give the same answers."""
    torch.manual_seed(seed)
    base = bases.find(ModelConfig(name=str(base_folder)))
    loaded = bases.load(base, labels)
    model = methods.apply(loaded, method, LoraConfig(**lora)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    classifier = Classifier(model, bases.load_tokenizer(base.folder), labels, 32)
    columns = {"text": "text", "text_pair": "second" if pairs else None, "label": "label"}
    facts = {"method": method, "seed": seed, "data": {"columns": columns}}
    adapters.save(folder, classifier, base, loaded, lambda _: (facts, "# Card\n"))
    return folder


def save_kinds(folder: Path, base_folder: Path) -> dict[str, Path]:
    """The adapters of `KINDS`, by name."""
    return {
        name: save_adapter(folder / name, base_folder, labels, seed=seed, **lora)
        for seed, (name, (labels, lora)) in enumerate(KINDS.items())
    }


def sign(folder: Path) -> bool:
    """Write a manifest that fits what lies there; not possible where the manifest itself is no longer one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        manifest["files"] = {path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size}
                             for path in sorted(folder.iterdir()) if path.name != MANIFEST}  # fmt: skip
        (folder / MANIFEST).write_bytes(sealed(manifest))
    except (ValueError, TypeError, OSError, RecursionError):
        return False
    return True


def later(awaitable: Any) -> asyncio.Future[Any]:
    """Begin something, and go on."""
    return asyncio.ensure_future(awaitable)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that is about to happen on this loop."""
    for _ in range(int(seconds * 200)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


class Held:
    """A model whose forwards wait; `busy` is set when the first has begun."""

    def __init__(self, scheduler: Any) -> None:
        self.go, self.busy, self._answer = threading.Event(), threading.Event(), scheduler._answer
        scheduler._answer = self

    def __call__(self, requests: Any) -> Any:
        self.busy.set()
        assert self.go.wait(60)
        return self._answer(requests)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()

    async def until_busy(self) -> None:
        assert await anyio.to_thread.run_sync(self.busy.wait, 60)


class Client(httpx.AsyncClient):
    """An HTTP client of a server; `service` is the one behind it, where it runs in this process."""

    service: Any = None

    def of(self, address: str) -> Client:
        """Another client, at another address, of the same server."""
        other = Client(transport=httpx.ASGITransport(self._transport.app, client=(address, 1)), base_url=self.base_url)
        other.service = self.service
        return other

    def hold(self) -> Held:
        """Keep the model from answering until it is let go."""
        return Held(self.service.scheduler)

    async def classify(self, model: str, given: object, **options: Any) -> httpx.Response:
        return await self.post("/classify", json={"model": model, "input": given}, **options)


@contextlib.asynccontextmanager
async def serve(*words: object, base: str | None = None, **settings: object) -> AsyncIterator[Client]:
    """The whole application on these words, called without a socket."""
    targets = targets_of([str(word) for word in words])
    service = service_of(targets, base_of(targets, base), Settings(**{"access_log": False} | settings).resolved())
    app = build(service)
    transport = httpx.ASGITransport(app, client=("10.0.0.1", 1), raise_app_exceptions=False)
    try:
        await load_first(service, targets)
        async with Client(transport=transport, base_url="http://127.0.0.1:8000") as client:
            client.service = service
            yield client
    finally:
        await anyio.to_thread.run_sync(service.close)
