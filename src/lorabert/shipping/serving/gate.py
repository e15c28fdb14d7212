"""What every request passes before the application: draining, token, size, time; and the log line after it.

The whole body is read here, within the limits, so a request that is too large, too slow or not allowed never reaches a
parser; and from then on the only thing a client can still say is that it has left, which stops the work for it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sys
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorabert.shipping.serving.metrics import UNKNOWN
from lorabert.shipping.serving.problems import Problem, busy
from lorabert.shipping.serving.service import Service
from lorabert.shipping.serving.traffic import Access

# What a browser or a probe must see before it can have a token.
_OPEN = {"/", "/health", "/ready", "/openapi.json"}
_PAGE = "/page/"
_PROBES = {"/health", "/ready", "/metrics"}
_CLIENT_LEFT = 499  # as nginx logs it
_LOOPBACK_NAMES = {"127.0.0.1", "localhost", "[::1]"}

log = logging.getLogger(__name__)


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class Gate:
    """An ASGI middleware.

    Args:
        app: what comes behind.
        service: whose settings, traffic and metrics these are.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._settings, self._traffic, self._metrics = service.settings, service.traffic, service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        access = scope["access"] = Access()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                access.status = message["status"]
            await send(message)

        self._traffic.requests += 1
        try:
            await self._pass(scope, receive, sending, access)
        finally:
            self._traffic.requests -= 1
            self._count(scope, access, time.perf_counter() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, access: Access) -> None:
        try:
            self._check(scope)
            body = await self._body(receive)
            await self._answered(scope, body, receive, send, access)
        except ClientLeft:
            access.status = _CLIENT_LEFT
        except Problem as problem:
            if problem.status == 413:
                await _discard(receive)
            await problem.response()(scope, receive, send)
        except Exception:
            log.exception("a request failed")
            if access.status is None:
                await Problem(500, "This is a bug in lorabert; its log has the lines").response()(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Refuse what can be refused by method, path and headers.

        Raises:
            Problem: 401, 403, 413 or 503.
        """
        path, headers = scope["path"], Headers(scope=scope)
        if path not in _PROBES:
            if self._traffic.draining:
                raise Problem(503, "The server is stopping", headers={"Retry-After": "1", "Connection": "close"})
            if self._traffic.requests > self._settings.max_requests:
                raise busy(503, f"{self._settings.max_requests} requests are in progress already")
        self._authorise(scope["method"], path, headers)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.max_body_bytes:
            raise self._too_large()

    def _authorise(self, method: str, path: str, headers: Headers) -> None:
        """Everything needs the token where there is one; without one, management is for this machine alone."""
        if path in _OPEN or path.startswith(_PAGE):
            return
        if self._settings.token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._settings.token.encode())
            if scheme.lower() != "bearer" or not same:
                raise Problem(401, "This needs `Authorization: Bearer TOKEN`", headers={"WWW-Authenticate": "Bearer"})
        elif path.startswith("/v1/models") and method not in ("GET", "HEAD") and not self._from_here(headers):
            raise Problem(403, "Without a token adapters are loaded and unloaded from the server's own machine only; "
                               "start it with one: LORABERT_TOKEN=... lorabert serve")  # fmt: skip

    def _from_here(self, headers: Headers) -> bool:
        """Whether the server listens on loopback alone and nothing points to a proxy or to a page of another site."""
        host = headers.get("host", "").rsplit(":", 1)[0] if not headers.get("host", "").endswith("]") else headers["host"]
        proxied = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"))
        foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        return self._settings.loopback and host in _LOOPBACK_NAMES and not proxied and not foreign

    async def _body(self, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            Problem: 408 it came too slowly, 413 it is too large.
            ClientLeft: before it was whole.
        """
        try:
            return await asyncio.wait_for(self._read(receive), self._settings.timeout_seconds)
        except asyncio.TimeoutError:
            raise Problem(408, "The request came too slowly", headers={"Connection": "close"}) from None

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._settings.max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> Problem:
        return Problem(413, f"The request has more than {self._settings.max_body_bytes} bytes", headers={"Connection": "close"})

    async def _answered(self, scope: Scope, body: bytes, receive: Receive, send: Send, access: Access) -> None:
        """Run the application on the body; stop it when the client leaves."""
        given = False
        left = asyncio.ensure_future(_left(receive))

        async def give() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await asyncio.shield(left)

        work = asyncio.ensure_future(self._app(scope, give, send))
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and access.status is None:
                raise ClientLeft
            await work
        finally:
            left.cancel()
            work.cancel()
            await asyncio.wait({work})  # it gives back its place in the queue

    def _count(self, scope: Scope, access: Access, seconds: float) -> None:
        if scope["path"] == "/classify":
            self._metrics.requests.labels(access.model or UNKNOWN, str(access.status or _CLIENT_LEFT)).inc()
            self._metrics.request_seconds.observe(seconds)
        if self._settings.access_log:
            line = {
                "time": round(time.time(), 3),
                "method": scope["method"],
                "path": scope["path"][:200],
                "model": access.model,
                "n": access.n,
                "tokens": access.tokens,
                "ms": round(1000 * seconds, 2),
                "status": access.status or _CLIENT_LEFT,
            }
            sys.stderr.write(json.dumps(line) + "\n")


async def _discard(receive: Receive, most: int = 2**24, seconds: float = 2.0) -> None:
    """Read on for a while what will not be used: an answer to a client that is still sending can be lost in the reset."""

    async def read() -> None:
        left = most
        while left > 0 and (message := await receive())["type"] != "http.disconnect" and message.get("more_body", False):
            left -= len(message.get("body", b""))

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(read(), seconds)


async def _left(receive: Receive) -> Message:
    """Wait until the client leaves; after the body nothing else can come."""
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message
