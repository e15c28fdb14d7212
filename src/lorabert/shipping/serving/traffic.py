"""What is going on: requests in progress, texts that wait by client, and what the log will say of a request."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Access:
    """What the log says of a request; filled in on its way.

    Attributes:
        model: the adapter that answered.
        n: texts.
        tokens: that were read.
        unknown: tokens that the base's vocabulary does not know.
        status: of the answer.
    """

    model: str | None = None
    n: int | None = None
    tokens: int | None = None
    unknown: int | None = None
    status: int | None = None


@dataclass
class Traffic:
    """The state that requests share; it lives on the event loop.

    Attributes:
        drained_by: on the monotonic clock: nothing new is accepted, and what was has until then; None while the server runs.
        requests: in progress.
        texts: accepted and not answered, by client; a client without any is not in it.
    """

    drained_by: float | None = None
    requests: int = 0
    texts: Counter[str] = field(default_factory=Counter)

    @property
    def draining(self) -> bool:
        """Whether nothing new is accepted."""
        return self.drained_by is not None

    def drain(self, seconds: float) -> None:
        """Accept nothing new; what was accepted has so many seconds."""
        self.drained_by = time.monotonic() + seconds

    def seconds_left(self, deadline: float) -> float:
        """What a request that was to be answered by then has left; the end of the server moves it, to either side."""
        return (deadline if self.drained_by is None else self.drained_by) - time.monotonic()

    @property
    def waiting(self) -> int:
        """Texts accepted and not answered."""
        return self.texts.total()

    @contextmanager
    def admitted(self, client: str, n: int, most: int) -> Iterator[bool]:
        """A place for n texts among at most so many, of which one client gets half; False where there is none."""
        admitted = self.waiting + n <= most and self.texts[client] + n <= most // 2
        self.texts[client] += n if admitted else 0
        try:
            yield admitted
        finally:
            self.texts[client] -= n if admitted else 0
            if not self.texts[client]:
                del self.texts[client]
