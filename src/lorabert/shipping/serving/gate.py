"""What every request passes before the application: draining, host, token, size, time; and the log line after it.

The whole body is read here, within the limits, so a request that is too large, too slow or not allowed never reaches a
parser; and from then on the only thing a client can still say is that it has left, which stops the work for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorabert.shipping.serving import bodies
from lorabert.shipping.serving.admission import Admission
from lorabert.shipping.serving.bodies import ClientLeft
from lorabert.shipping.serving.metrics import UNKNOWN
from lorabert.shipping.serving.problems import Problem, busy
from lorabert.shipping.serving.service import Service
from lorabert.shipping.serving.traffic import Access

_CLIENT_LEFT = 499  # as nginx logs it
# While the server stops, a client that is refused has so long to finish what it is sending.
_LAST_SECONDS = 2.0

log = logging.getLogger(__name__)


class Gate:
    """An ASGI middleware.

    Args:
        app: what comes behind.
        service: whose settings, traffic and metrics these are.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._settings, self._traffic, self._metrics = service.settings, service.traffic, service.metrics
        self._admission = Admission(service.settings, service.traffic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        access = scope["access"] = Access()
        head = scope["method"] == "HEAD"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                access.status = message["status"]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        self._traffic.requests += 1
        try:
            # HEAD is GET without the body, whatever the path.
            await self._pass({**scope, "method": "GET"} if head else scope, receive, sending, access)
        finally:
            self._traffic.requests -= 1
            self._count(scope, access, time.perf_counter() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, access: Access) -> None:
        try:
            self._admission.check(scope)
            body = await bodies.whole(receive, self._settings.max_body_bytes, self._settings.timeout_seconds)
            await self._answered(scope, body, receive, send, access)
        except ClientLeft:
            access.status = _CLIENT_LEFT
        except Problem as problem:
            await self._refuse(problem, scope, receive, send)
        except MemoryError:
            await busy(503, "There is no memory left for this").response()(scope, receive, send)
        except Exception:
            log.exception("a request failed")
            if access.status is None:
                await Problem(500, "This is a bug in lorabert; its log has the lines").response()(scope, receive, send)

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once; where the connection closes behind the answer, only after the client has stopped sending."""
        closing = problem.status != 408 and problem.headers.get("Connection") == "close"

        async def sending(message: Message) -> None:
            if closing and message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                await bodies.discard(receive, _LAST_SECONDS if self._traffic.draining else self._settings.timeout_seconds)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await problem.response()(scope, receive, sending)

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
                "unknown": access.unknown,
                "ms": round(1000 * seconds, 2),
                "status": access.status or _CLIENT_LEFT,
            }
            sys.stderr.write(json.dumps(line) + "\n")


async def _left(receive: Receive) -> Message:
    """Wait until the client leaves; after the body nothing else can come."""
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message
