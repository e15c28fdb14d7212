"""The queue before the model: clients in turn, different adapters in one forward, cut by tokens.

client a   [piece][piece][piece]         a piece: some texts of one request, all for one adapter
client b   [piece]                ──►    one forward: a's first, b's first, a's second ... up to batch_tokens
client c   [piece][piece]
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lorabert import hardware
from lorabert.data.encoding import EncodedSplit
from lorabert.shipping.serving.metrics import Metrics

# One forward: the logits of each request, (n_i, C_i) float32.
Answer = Callable[[Sequence[tuple[Any, EncodedSplit]]], list[np.ndarray]]
# Clients take turns by pieces: small enough that several fit into a forward, large enough to be worth handling.
_PIECES_IN_A_BATCH = 8
# Weight of the last forward in the recent pace.
_RECENT = 0.2
# Under load the C library's heaps fill with holes, some three megabytes a minute without an end that was seen.
_GIVE_BACK_SECONDS = 15.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Piece:
    adapter: Any
    split: EncodedSplit
    future: Future[np.ndarray] = field(default_factory=Future)

    @property
    def tokens(self) -> int:
        return len(self.split.ids)


class Scheduler:
    """Pieces in, logits out; one thread computes.

    Args:
        answer: computes one forward; only ever called by the worker thread.
        batch_tokens: most tokens in a forward; a piece that is larger by itself goes alone.
        metrics: where forwards are counted.

    Attributes:
        seconds_per_text: the recent pace; 0 before the first forward.
    """

    def __init__(self, answer: Answer, batch_tokens: int, metrics: Metrics) -> None:
        self._answer, self._batch_tokens, self._metrics = answer, batch_tokens, metrics
        self._waiting: OrderedDict[str, deque[_Piece]] = OrderedDict()
        self._filled = threading.Condition()
        self._closed = False
        self.seconds_per_text = 0.0
        self._worker = threading.Thread(target=self._work, name="lorabert-worker", daemon=True)
        self._worker.start()

    @property
    def alive(self) -> bool:
        """Whether the worker still works."""
        return self._worker.is_alive()

    def submit(self, client: str, adapter: Any, split: EncodedSplit) -> list[Future[np.ndarray]]:
        """Queue texts; the logits of their pieces in order, each (n_i, C). A cancelled piece is dropped unless it is computed."""
        pieces = [_Piece(adapter, part) for part in cut(split, self._batch_tokens // _PIECES_IN_A_BATCH)]
        with self._filled:
            if self._closed:
                raise RuntimeError("the scheduler is closed")
            self._waiting.setdefault(client, deque()).extend(pieces)
            self._filled.notify()
        return [piece.future for piece in pieces]

    def close(self) -> None:
        """Compute what is queued, then stop."""
        with self._filled:
            self._closed = True
            self._filled.notify()
        self._worker.join()

    def _work(self) -> None:
        given_back = time.monotonic()
        while True:
            with self._filled:
                self._filled.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                batch = self._take()
            if batch:
                self._compute(batch)
            if time.monotonic() - given_back > _GIVE_BACK_SECONDS:
                hardware.give_back()
                given_back = time.monotonic()

    def _take(self) -> list[_Piece]:
        """The next forward's pieces: one a client and turn, as many as fit, the cancelled dropped on the way."""
        batch: list[_Piece] = []
        tokens = 0
        while self._waiting:
            client, pieces = next(iter(self._waiting.items()))
            if batch and tokens + pieces[0].tokens > self._batch_tokens:
                break
            piece = pieces.popleft()
            self._waiting.move_to_end(client)
            if not pieces:
                del self._waiting[client]
            if piece.future.set_running_or_notify_cancel():
                batch.append(piece)
                tokens += piece.tokens
            else:
                self._metrics.dropped.inc()
        return batch

    def _compute(self, batch: list[_Piece]) -> None:
        try:
            answered = list(zip(batch, self._timed(batch), strict=True))
        except Exception as error:
            log.exception("a forward of %d pieces failed", len(batch))
            self._one_by_one(batch, error)
            return
        for piece, logits in answered:
            piece.future.set_result(logits)

    def _timed(self, batch: list[_Piece]) -> list[np.ndarray]:
        """Logits of each piece; pieces of one adapter go through it as one."""
        groups: dict[int, list[int]] = {}
        for number, piece in enumerate(batch):
            groups.setdefault(id(piece.adapter), []).append(number)
        start = time.perf_counter()
        found = self._answer([(batch[numbers[0]].adapter, joined([batch[number].split for number in numbers]))
                              for numbers in groups.values()])  # fmt: skip
        seconds = time.perf_counter() - start
        answers: list[Any] = [None] * len(batch)
        for numbers, logits in zip(groups.values(), found, strict=True):
            ends = np.cumsum([len(batch[number].split) for number in numbers])
            for number, rows in zip(numbers, np.split(logits, ends[:-1]), strict=True):
                answers[number] = rows
        self.seconds_per_text += _RECENT * (seconds / sum(len(piece.split) for piece in batch) - self.seconds_per_text)
        self._metrics.forward_seconds.observe(seconds)
        self._metrics.batch_tokens.observe(sum(piece.tokens for piece in batch))
        self._metrics.batch_adapters.observe(len(groups))
        return answers

    def _one_by_one(self, batch: list[_Piece], error: Exception) -> None:
        """After a failure each piece alone, so that one adapter's trouble is not its neighbours'."""
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for piece in batch:
            self._compute([piece])


def cut(split: EncodedSplit, tokens: int) -> Iterator[EncodedSplit]:
    """Cut texts, in order, into parts of at most so many tokens, or of one text."""
    begin = 0
    for end in range(1, len(split) + 1):
        if end == len(split) or split.offsets[end + 1] - split.offsets[begin] > tokens:
            yield split if end - begin == len(split) else split.rows(np.arange(begin, end))
            begin = end


def joined(splits: Sequence[EncodedSplit]) -> EncodedSplit:
    """Texts of several splits as one, in order."""
    if len(splits) == 1:
        return splits[0]
    segments = None
    if any(split.segments is not None for split in splits):
        segments = np.concatenate([np.zeros(len(split.ids), np.uint8) if split.segments is None else split.segments
                                   for split in splits])  # fmt: skip
    return EncodedSplit(
        np.concatenate([split.ids for split in splits]),
        np.cumsum([0, *np.concatenate([split.lengths for split in splits])]),
        segments,
        np.concatenate([split.labels for split in splits]),
        0,
    )
