"""uvicorn around the application: one process, stopped by SIGTERM without dropping what it accepted."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from lorabert.errors import InputError
from lorabert.shipping.serving.app import build
from lorabert.shipping.serving.service import Service
from lorabert.shipping.serving.settings import Settings

_BACKLOG = 2048
# libuv, below uvloop, accepts one connection of a listening socket in each turn of the loop (since 1.45), which under load takes
# longer than the queue of those that wait takes to fill: they are turned away by the system, or try again for minutes. So many
# descriptors of the one socket accept as many a turn.
_ACCEPTED_A_TURN = 16
# Longer than proxies keep a connection (nginx 60 s): the side that closes first never sends into a connection that is gone.
_KEEP_SECONDS = 75
# For the answers that are on their way when the time to drain is up.
_LAST_SECONDS = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen(settings: Settings) -> socket.socket:
    """Take the address before anything is loaded; nobody can connect yet.

    Raises:
        InputError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        # Where a name stands for both, most clients try IPv4.
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        taken = socket.socket(family, socket.SOCK_STREAM)
        try:
            if hasattr(socket, "SO_REUSEPORT"):  # not on Windows, where SO_REUSEADDR means something else
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
        except BaseException:
            taken.close()
            raise
    except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
        raise InputError(f"The server cannot listen on {settings.host} port {settings.port}",
                         got=getattr(error, "strerror", None) or str(error),
                         fix="Name another with --host and --port; --port 0 takes a free one") from None  # fmt: skip
    return taken


def address_of(listening: socket.socket) -> str:
    """The URL that a browser on this machine would open."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Drains before it stops: from the first signal new requests get 503, and it ends when the accepted ones are answered."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._traffic, self._drain_seconds = service.traffic, service.settings.drain_seconds

    def stop(self) -> None:
        """Drain; a second signal is the system's, and ends the process wherever it is."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._traffic.drain(self._drain_seconds)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `run` has them

    async def on_tick(self, counter: int) -> bool:
        drained = self._traffic.draining and not self._traffic.requests
        # What was accepted has been told so by then; this is for a client that does not take its answer.
        over = self._traffic.draining and self._traffic.seconds_left(0) < -_LAST_SECONDS
        self.should_exit = self.should_exit or drained or over
        return await super().on_tick(counter)


def run(service: Service, listening: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until a signal comes and the accepted requests are answered.

    Args:
        service: what answers.
        listening: from `listen`.
        announce: called once nobody who connects is turned away, and a signal ends the server in order.
    """
    config = uvicorn.Config(
        build(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    server = _Server(config, service)
    before = {number: signal.signal(number, lambda *_: server.stop()) for number in _SIGNALS}
    try:
        listening.listen(_BACKLOG)
        announce()
        server.run(sockets=[listening, *(listening.dup() for _ in range(_ACCEPTED_A_TURN - 1))])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
