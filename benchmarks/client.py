"""A client that costs next to nothing, for servers that share the machine with it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

HOST = "127.0.0.1"
# A server closes a connection that was idle for long (ours after 75 s), perhaps just as something is sent into it.
_STALE_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def encoded(method: str, path: str, asked: dict[str, str] | None = None) -> bytes:
    """A whole request, to be made before the clock starts."""
    body = json.dumps(asked).encode() if asked else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """Asks over connections that are kept: as many as there are requests under way, the one used last first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Send an encoded request and wait for its answer: the status, or what befell the connection, and the body."""
        try:
            reader, writer = self._kept() or await asyncio.open_connection(HOST, self._port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError) as error:
            return type(error).__name__, b""
        self._idle.append((reader, writer, time.monotonic()))
        return head.split(maxsplit=2)[1].decode(), body

    async def ready(self, request: bytes, seconds: float = 300) -> None:
        """Wait until the server answers a request.

        Raises:
            SystemExit: it does not, for so many seconds.
        """
        status = ""
        for _ in range(int(5 * seconds)):
            status, body = await self.ask(request)
            if status == "200":
                return
            await asyncio.sleep(0.2)
        raise SystemExit(f"the server on port {self._port} did not start: {status} {body!r}")

    def close(self) -> None:
        """Close what is kept."""
        for _, writer, _ in self._idle:
            writer.close()

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """An idle connection that the server has not closed meanwhile."""
        while self._idle:
            reader, writer, since = self._idle.pop()
            if not reader.at_eof() and time.monotonic() - since < _STALE_SECONDS:
                return reader, writer
            writer.close()
        return None


def labels(body: bytes) -> list[Any]:
    """The labels of an answer."""
    return [one["label"] for one in json.loads(body)["data"]]
