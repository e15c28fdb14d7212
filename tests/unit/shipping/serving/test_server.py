"""How the server takes connections: as many in a turn of its loop as come in while a turn lasts."""

import asyncio
import contextlib
import os
import signal
import socket
import types

import pytest

from lorabert.shipping.serving import server
from lorabert.shipping.serving.settings import Settings
from lorabert.shipping.serving.traffic import Traffic

pytest.importorskip("uvloop")
CONNECTIONS = 48


def test_connections_that_wait_are_taken_by_the_dozen_in_a_turn_of_the_loop(monkeypatch):
    turns, answered = 0, []

    def turn():
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().call_soon(turn)
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        answered.append(turns)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        if len(answered) == CONNECTIONS:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(server, "build", lambda _: app)
    service = types.SimpleNamespace(traffic=Traffic(), settings=types.SimpleNamespace(drain_seconds=1))
    with server.listen(Settings(port=0)) as listening, contextlib.ExitStack() as clients:

        def connect():  # and ask, all of them before the loop turns for the first time
            for _ in range(CONNECTIONS):
                client = clients.enter_context(socket.create_connection(listening.getsockname()))
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

        server.run(service, listening, connect)
    assert answered[-1] - answered[0] < CONNECTIONS / 2
