"""What the server does, without HTTP: admit, find the adapter, tokenise, queue, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.data.encoding import EncodedSplit, encode_split
from lorabert.data.reading import far_above
from lorabert.data.sources import Split
from lorabert.errors import InputError, MismatchError
from lorabert.evidence.metrics import softmax
from lorabert.shipping import manifests
from lorabert.shipping.serving.catalogue import NameTaken, Place, UnknownAdapter
from lorabert.shipping.serving.loading import Served
from lorabert.shipping.serving.metrics import Metrics
from lorabert.shipping.serving.problems import Problem, busy
from lorabert.shipping.serving.registry import Registry
from lorabert.shipping.serving.scheduler import Scheduler
from lorabert.shipping.serving.settings import Settings
from lorabert.shipping.serving.traffic import Access, Traffic

log = logging.getLogger(__name__)
# Texts tokenised before another request has its turn.
_TURN = 16
# A request looks so often whether the server's end has moved its deadline.
_LOOK_SECONDS = 0.5
# Of an adapter's fixed texts the first are of a few words: enough to prove that it was read as it was saved.
_SHORT = 2


@dataclass(frozen=True)
class Answers:
    """A request's answers.

    Attributes:
        served: the adapter that gave them.
        probabilities: (n, C) float32.
        tokens: that were read.
        truncated: texts that were cut.
    """

    served: Served
    probabilities: np.ndarray
    tokens: int
    truncated: int


@dataclass
class Read:
    """What was read of a request: its tokens, the unknown ones among them, texts that were cut, texts unlike those trained on."""

    tokens: int = 0
    unknown: int = 0
    truncated: int = 0
    unfamiliar: int = 0


class Service:
    """Classifies texts with the registry's adapters; its methods run on the event loop.

    Args:
        settings: limits.
        registry: the adapters.
        scheduler: the model.
        metrics: what is counted.
        tolerance: how far an adapter's answers may be from the recorded ones, as a share of the largest logit.
    """

    def __init__(self, settings: Settings, registry: Registry, scheduler: Scheduler, metrics: Metrics, tolerance: float) -> None:
        self.settings, self.registry, self.scheduler, self.metrics = settings, registry, scheduler, metrics
        self._tolerance = tolerance
        self.traffic = Traffic()
        self._proved: set[str] = set()  # a sha256 an adapter, evicted or not
        self._tokeniser = ThreadPoolExecutor(1, "lorabert-tokeniser")
        metrics.queue_texts.set_function(lambda: self.traffic.waiting)

    async def classify(self, access: Access, client: str, model: str | None, texts: list[str], pairs: list[str] | None
                       ) -> Answers:  # fmt: skip
        """Label texts with an adapter.

        Args:
            access: is told the adapter and the tokens.
            client: whose turn it takes in the queue.
            model: the adapter's name; None where only one is served.
            texts: n texts.
            pairs: n second texts, or None.

        Raises:
            Problem: 404 no such adapter, 409 it cannot be used, 422 it does not take these texts, 429 the queue is full,
                503 the time was up.
        """
        waiting = self.traffic.waiting
        with self.traffic.admitted(client, len(texts), self.settings.max_queue) as admitted:
            if not admitted:
                raise busy(429, f"{waiting} texts are waiting already", self._wait_seconds())
            return await self._in_time(self._classify(access, client, model, texts, pairs))

    async def _in_time(self, work: Coroutine[Any, Any, Answers]) -> Answers:
        """What work gives, unless the request's time is up before, or the server's.

        Raises:
            Problem: 503 it is up.
        """
        deadline = time.monotonic() + self.settings.timeout_seconds
        task = asyncio.ensure_future(work)
        try:
            while (left := self.traffic.seconds_left(deadline)) > 0:
                done, _ = await asyncio.wait({task}, timeout=min(left, _LOOK_SECONDS))
                if done:
                    return task.result()
            stopping = "The server stopped before it was computed"
            raise busy(503, stopping if self.traffic.draining else f"No answer within {self.settings.timeout_seconds:g} seconds",
                       self._wait_seconds())  # fmt: skip
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})  # it cancels its pieces

    def _wait_seconds(self) -> int:
        """Whole seconds until what is queued now will have been computed, at the recent pace."""
        return min(60, 1 + int(self.traffic.waiting * self.scheduler.seconds_per_text))

    async def _classify(self, access: Access, client: str, model: str | None, texts: list[str], pairs: list[str] | None
                        ) -> Answers:  # fmt: skip
        served = await self._found(model)
        access.model = served.id
        if served.pairs != (pairs is not None):
            takes = 'pairs: "input": [["first", "second"], ...]' if served.pairs else 'texts: "input": ["text", ...]'
            raise Problem(422, f"The adapter {served.id} takes {takes}")
        logits, read = await self._logits(client, served, texts, pairs)
        access.tokens, access.unknown = read.tokens, read.unknown
        self.metrics.texts.labels(served.id).inc(len(texts))
        self.metrics.tokens.labels(served.id).inc(read.tokens)
        self.metrics.unknown.labels(served.id).inc(read.unknown)
        self.metrics.unfamiliar.labels(served.id).inc(read.unfamiliar)
        return Answers(served, softmax(logits), read.tokens, read.truncated)

    async def _found(self, model: str | None) -> Served:
        """The adapter of a name, in memory; one that this process has not met before proves itself on short texts first."""
        try:
            served = await self.registry.get(await self.registry.only() if model is None else model)
            if served.sha256 not in self._proved:
                await self.check_answers(served, _SHORT)
            return served
        except (InputError, OSError) as error:
            raise problem_of(error) from None

    async def _logits(self, client: str, served: Served, texts: Sequence[str], pairs: Sequence[str] | None
                      ) -> tuple[np.ndarray, Read]:  # fmt: skip
        """Logits (n, C) float32, and what was read."""
        pieces: list[asyncio.Future[np.ndarray]] = []
        read = Read()
        try:
            for start in range(0, len(texts), _TURN):
                part = slice(start, start + _TURN)
                split, unknown, tokens = await self._encode(served, texts[part], pairs[part] if pairs else None)
                pieces += map(asyncio.wrap_future, self.scheduler.submit(client, served.adapter, split))
                read.tokens, read.truncated = read.tokens + len(split.ids), read.truncated + split.truncated
                read.unknown += int(unknown.sum())
                read.unfamiliar += int(far_above(unknown, tokens, served.unknown_share).sum())
            logits = np.concatenate(await asyncio.gather(*pieces))
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # the scheduler has logged it
            raise Problem(409, f"The adapter {served.id} cannot compute this text ({type(error).__name__})") from error
        finally:
            for piece in pieces:
                piece.cancel()
        if logits.shape != (len(texts), len(served.labels)) or not np.isfinite(logits).all():
            raise Problem(409, f"The adapter {served.id} does not give one finite number for each of its labels")
        return logits, read

    async def _encode(self, served: Served, texts: Sequence[str], pairs: Sequence[str] | None
                      ) -> tuple[EncodedSplit, np.ndarray, np.ndarray]:  # fmt: skip
        """Texts as tokens, and each one's unknown tokens and tokens."""
        split = Split(list(texts), list(pairs) if pairs else None, np.zeros(len(texts), np.int64))

        def work() -> tuple[EncodedSplit, np.ndarray, np.ndarray]:
            try:
                encoded = encode_split(split, served.tokenizer, served.max_length, quiet=True)
                return encoded, *served.vocabulary.counts(encoded)
            except BaseException as error:  # a panic in a tokenizer's Rust is no Exception
                log.warning("the tokenizer of %s failed: %r", ascii(served.id), error)
                raise Problem(422, f"The tokenizer of {served.id} cannot read this text ({type(error).__name__})") from None

        return await asyncio.get_running_loop().run_in_executor(self._tokeniser, work)

    async def load(self, name: str, folder: Path | None) -> tuple[Place, bool]:
        """Put an adapter into service, once it has given the answers that were recorded with it.

        Returns:
            Where it lies, and whether it was not in memory before.

        Raises:
            Problem: it cannot be used; what was served before is as it was.
        """
        catalogue = self.registry.catalogue
        try:
            place = await self.registry.disk(lambda: catalogue.candidate(name, folder))
            new = not self.registry.loaded(place.id)
            served = await self.registry.read(place)
            await self.check_answers(served)
        except (InputError, OSError) as error:
            raise problem_of(error) from None
        catalogue.admit(place)
        self.registry.keep(served)
        return place, new

    async def check_answers(self, served: Served, most: int | None = None) -> None:
        """Let an adapter answer the fixed texts whose logits were recorded when it was saved, or the first of them.

        Raises:
            MismatchError: the answers differ, or there are none.
        """
        try:
            logits, _ = await self._logits("", served, served.texts[:most], None)
        except Problem:
            raise
        except Exception as error:
            log.warning("the adapter %s cannot answer: %r", ascii(served.id), error)
            raise MismatchError(f"The adapter {served.id}", [f"it cannot answer ({type(error).__name__})"]) from error
        largest = float(np.abs(logits - served.logits[:most]).max())
        if largest > self._tolerance * np.abs(served.logits).max():
            raise MismatchError(f"The adapter {served.id}", [f"its logits differ from the recorded ones by up to {largest:.3g}"])
        self._proved.add(served.sha256)

    async def described(self, name: str) -> tuple[Place, dict[str, Any]]:
        """Where an adapter in service lies, and its manifest; nothing is loaded.

        Raises:
            Problem: 404 there is none, 409 it is damaged.
        """

        def read() -> tuple[Place, dict[str, Any]]:
            place = self.registry.catalogue.find(name)
            return place, manifests.manifest_of(place.folder)

        try:
            return await self.registry.disk(read)
        except (InputError, OSError) as error:
            raise problem_of(error) from None

    async def unload(self, name: str) -> Place:
        """Take an adapter out of service; what was accepted for it is answered.

        Raises:
            Problem: 404 there is none.
        """
        try:
            place = await self.registry.disk(lambda: self.registry.catalogue.find(name))
        except (InputError, OSError) as error:
            raise problem_of(error) from None
        self.registry.unload(place)
        return place

    def close(self) -> None:
        """Compute what is queued, then stop the threads."""
        self.registry.close()
        self._tokeniser.shutdown(wait=False, cancel_futures=True)
        self.scheduler.close()


def problem_of(error: InputError | OSError) -> Problem:
    """404 for what is not there; 409 for what is damaged, of another base or taken; 422 for what the engine does not know; 503
    where the disk fails.
    """
    if isinstance(error, OSError):
        log.warning("an adapter cannot be read: %r", error)
        return busy(503, f"The adapter cannot be read ({error.strerror or type(error).__name__})")
    conflict = isinstance(error, (MismatchError, NameTaken))
    return Problem(404 if isinstance(error, UnknownAdapter) else 409 if conflict else 422, str(error))
