"""Reading a request's body: whole and within limits, or not at all."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from starlette.types import Receive

from lorabert.shipping.serving.problems import Problem, too_large

# Who is silent for so long while he should be sending has stopped.
_SILENT_SECONDS = 2.0


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


async def whole(receive: Receive, most: int, seconds: float) -> bytes:
    """A request's body.

    Args:
        receive: the request's.
        most: bytes that it may have.
        seconds: that it may take.

    Raises:
        Problem: 408 it came too slowly, 413 it is too large.
        ClientLeft: before it was whole.
    """
    try:
        return await asyncio.wait_for(_read(receive, most), seconds)
    except asyncio.TimeoutError:
        raise Problem(408, "The request came too slowly", headers={"Connection": "close"}) from None


async def _read(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise too_large(most)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def discard(receive: Receive, seconds: float) -> None:
    """Read on what will not be used, until the client has sent it all, falls silent, or the time is up.

    Where a connection is closed while the client still sends, the system resets it, and the reset can overtake the answer:
    many clients read no answer before they have sent everything.
    """
    until = time.monotonic() + seconds
    with suppress(asyncio.TimeoutError):
        while (left := until - time.monotonic()) > 0:
            message = await asyncio.wait_for(receive(), min(left, _SILENT_SECONDS))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
