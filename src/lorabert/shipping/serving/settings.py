"""Every knob of the server: the defaults, their help, and their checks."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Literal

from lorabert.errors import InputError

MEBIBYTE = 1 << 20
_HOST = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class Settings:
    """Where the server listens, what it keeps and what it refuses."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every network, where a token is wise."""
    port: int = 8000
    """Port to listen on; 0 takes a free one and says which."""
    token: str | None = field(default=None, repr=False)
    """Bearer token that every request must carry but the page, /health and /ready; better given as LORABERT_TOKEN in the
    environment, which other users of the machine cannot list."""
    allow_folders: bool = False
    """Let POST /v1/models load adapters from folders of this machine, not from stores alone."""
    adapter_mebibytes: float = 1024
    """Memory for adapters; beyond it the one that was not asked for longest makes room, and is read again when asked for."""
    batch_tokens: int = 4096
    """Most tokens in one forward; a single longer text still goes through."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Of the matrix products. bf16 is faster on processors that multiply in it, and rounds; auto takes it there."""
    abstain_below: float | None = None
    """Give no label to a text whose best label is less probable than this; `lorabert report` says what that buys."""
    max_texts: int = 256
    """Most texts in a request."""
    max_characters: int = 20_000
    """Most characters in a text."""
    max_body_bytes: int = MEBIBYTE
    """Most bytes in a request."""
    max_queue: int = 2048
    """Most texts accepted and not answered; beyond it the answer is 429. One client gets half of it at most."""
    max_requests: int = 1024
    """Most requests in progress; beyond it the answer is 503."""
    timeout_seconds: float = 30.0
    """Longest a request may take; then the answer is 503, and what has not been computed is dropped."""
    drain_seconds: float = 60.0
    """After SIGTERM or Ctrl-C new requests get 503 at once, and what was accepted has so long to be answered."""
    allowed_hosts: str | list[str] = ""
    """Further names that the server goes by, or whose pages may call it, with commas: api.example.com,*.example.org; * for any.
    On loopback it answers to localhost alone; elsewhere, without a token, to addresses and names that nobody can register."""
    access_log: bool = True
    """One JSON line a request on stderr; it never holds a text."""
    launcher: Literal["uvicorn", "ray"] = "uvicorn"
    """uvicorn: this process. ray: replicas on a Ray Serve cluster."""
    replicas: int = 1
    """Replicas with --launcher ray."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> list[str]:
        """What `allowed_hosts` names."""
        names = self.allowed_hosts.split(",") if isinstance(self.allowed_hosts, str) else self.allowed_hosts
        return [name.strip().lower() for name in names if name.strip()]

    def resolved(self) -> Settings:
        """With the token of the environment, and checked.

        Raises:
            InputError: a value is out of range.
        """
        token = os.environ.get("LORABERT_TOKEN") if self.token is None else self.token
        checks = [
            (token is None or (len(token) >= 8 and token.isascii() and token.isprintable() and " " not in token),
             "the token", "at least 8 printable ASCII characters without a space"),
            (0 <= self.port < 65536, f"port {self.port}", "from 0 to 65535"),
            (0 < self.adapter_mebibytes <= _MOST, f"adapter_mebibytes {self.adapter_mebibytes}",
             f"above 0, and at most {_MOST:,}"),
            (0 < self.timeout_seconds <= _DAY, f"timeout_seconds {self.timeout_seconds}", f"above 0, and at most {_DAY:,}"),
            (0 <= self.drain_seconds <= _DAY, f"drain_seconds {self.drain_seconds}", f"0 or more, and at most {_DAY:,}"),
            *((_HOST.fullmatch(name), f"{name!a} of allowed_hosts", "a name without scheme and port, *.NAME or *")
              for name in self.hosts),
            (self.abstain_below is None or 0 <= self.abstain_below <= 1, f"abstain_below {self.abstain_below}", "from 0 to 1"),
            (self.max_queue >= 2 * self.max_texts, f"max_queue {self.max_queue}", "at least twice max_texts"),
            *((1 <= getattr(self, name) <= _MOST, f"{name} {getattr(self, name)}", f"at least 1, and at most {_MOST:,}")
              for name in _COUNTS),
        ]  # fmt: skip
        problems = [f"{what} must be {must}" for holds, what, must in checks if not holds]
        if problems:
            raise InputError("The server cannot run with these settings", got="; ".join(problems),
                             fix="See `lorabert serve --help`")  # fmt: skip
        return dataclasses.replace(self, token=token)


_MOST, _DAY = 1 << 30, 86_400
_COUNTS = ("batch_tokens", "max_texts", "max_characters", "max_body_bytes", "max_queue", "max_requests", "replicas")
