"""A small package index on 127.0.0.1 for pip, with the faults that indexes and proxies have.

A fault is a word for the wheel itself, or for the page that lists it; it befalls the first `times` requests, or all.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WHEEL = "tiny_asset-1.0-py3-none-any.whl"
MEMBERS = {
    "tiny_asset/data/a.txt": b"one\n" * 2_000,
    "tiny_asset/data/b.txt": bytes(range(256)) * 400,
    "tiny_asset/__init__.py": b"raise SystemExit('imported')\n",
    "tiny_asset-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-asset\nVersion: 1.0\n",
    "tiny_asset-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny_asset-1.0.dist-info/RECORD": b"",
}


def wheel(members: Mapping[str, bytes] = MEMBERS) -> bytes:
    """The wheel's bytes, always the same for the same members."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


class LoopbackIndex:
    """The server, running in a thread between `__enter__` and `__exit__`.

    Attributes:
        fault: what befalls requests for the wheel: an HTTP status such as "503", "cut", "slow", "wrong", "redirected" or "".
        times: how many requests it befalls; later ones are answered well.
        requests: how often the wheel was asked for.
    """

    def __init__(self) -> None:
        self.content, self.fault, self.times, self.requests = wheel(), "", 10**9, 0
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        index = self

        class Bound(_Handler):
            owner = index

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def environment(self, cache: Path, **more: str) -> dict[str, str]:
        """The environment of a process whose pip has this index and no other, and that has a cache of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "LORABERT_"))}
        address = f"http://127.0.0.1:{self._server.server_port}/simple"
        return {**kept, "PIP_INDEX_URL": address, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "2", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
                "LORABERT_CACHE": str(cache), **more}  # fmt: skip

    def __enter__(self) -> LoopbackIndex:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: LoopbackIndex
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            self._wheel()
        elif self.path.rstrip("/") == "/simple/tiny-asset":
            self._send(200, f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(), {"Content-Type": "text/html"})
        else:
            self._send(404, b"")

    def _wheel(self) -> None:
        index = self.owner
        index.requests += 1
        fault = index.fault if index.requests <= index.times else ""
        content = index.content
        if fault.isdigit():
            self._send(int(fault), b"no", {"Retry-After": "1"} if fault == "429" else {})
        elif fault == "redirected" and not self.path.endswith("?again"):
            self._send(302, b"", {"Location": f"{self.path}?again"})
        elif fault == "cut":
            self._send(200, content[: len(content) // 2], {"Content-Length": str(len(content))})
            self.close_connection = True
        elif fault == "wrong":
            self._send(200, content[:60] + bytes([content[60] ^ 1]) + content[61:])
        elif fault == "slow":
            self._send(200, b"", {"Content-Length": str(len(content))})
            for start in range(0, len(content), 20_000):
                self.wfile.write(content[start : start + 20_000])
                time.sleep(0.2)
        elif fault == "silent":
            time.sleep(8)
            self.close_connection = True
        else:
            self._send(200, content)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
