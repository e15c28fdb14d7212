"""What is refused by method, path and headers alone, before a byte of the body is read."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import Scope

from lorabert.shipping.serving.hosts import Hosts
from lorabert.shipping.serving.problems import Problem, busy, too_large
from lorabert.shipping.serving.settings import Settings
from lorabert.shipping.serving.traffic import Traffic

# What a browser or a probe must see before it can have a token.
_OPEN = {"/", "/health", "/ready", "/openapi.json"}
_PAGE = "/page/"
_PROBES = {"/health", "/ready", "/metrics"}
_READING = ("GET", "HEAD", "OPTIONS")
_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Admission:
    """Who is let in.

    Args:
        settings: the server's.
        traffic: what is in progress.
    """

    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        self._settings, self._traffic, self._hosts = settings, traffic, Hosts(settings)

    def check(self, scope: Scope) -> None:
        """Let a request in.

        Raises:
            Problem: 401, 403, 413, 415, 421 or 503.
        """
        path, headers = scope["path"], Headers(scope=scope)
        if path not in _PROBES:
            if self._traffic.draining:
                raise Problem(503, "The server is stopping", headers={"Retry-After": "1", "Connection": "close"})
            if self._traffic.requests > self._settings.max_requests:
                raise busy(503, f"{self._settings.max_requests} requests are in progress already")
        self._check_host(headers)
        self._authorise(scope["method"], path, headers)
        self._check_body(headers)

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        if len(given) != 1 or not self._hosts.answers_to(given[0]):
            raise Problem(421, f"This server does not go by the name {', '.join(given)[:100]!a}; "
                               "start it with --allowed_hosts and the name if it should")  # fmt: skip

    def _authorise(self, method: str, path: str, headers: Headers) -> None:
        """Everything needs the token where there is one; without one, pages of other sites may not ask for work, and
        management is for this machine alone."""
        if path in _OPEN or path.startswith(_PAGE):
            return
        if self._settings.token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._settings.token.encode())
            if scheme.lower() != "bearer" or not same:
                raise Problem(401, "This needs `Authorization: Bearer TOKEN`", headers={"WWW-Authenticate": "Bearer"})
        elif method not in _READING:
            if self._foreign(headers):
                raise Problem(403, "A page of another site asks for this; start the server with --allowed_hosts and the name "
                                   "of that site, or with a token, if it may")  # fmt: skip
            if path.startswith("/v1/models") and not self._from_here(headers):
                raise Problem(403, "Without a token adapters are loaded and unloaded from the server's own machine only; "
                                   "start it with one: LORABERT_TOKEN=... lorabert serve")  # fmt: skip

    def _foreign(self, headers: Headers) -> bool:
        """Whether a browser says that a page of another site sends the request; browsers that do not say it name the origin."""
        origin = headers.get("origin")
        if origin is not None and self._hosts.same_site(origin, headers["host"]):
            return False
        site = headers.get("sec-fetch-site")
        return origin is not None if site is None else site not in ("same-origin", "none")

    def _from_here(self, headers: Headers) -> bool:
        """Whether the server listens on loopback alone and nothing points to a proxy."""
        return self._settings.loopback and self._hosts.own(headers["host"]) and not any(name in headers for name in _PROXIES)

    def _check_body(self, headers: Headers) -> None:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise Problem(415, "The body must be sent without Content-Encoding", headers={"Accept-Encoding": "identity"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.max_body_bytes:
            raise too_large(self._settings.max_body_bytes)
