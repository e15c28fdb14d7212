"""By which names the server may be called: what stands between it and the pages of strangers.

A page of another site cannot read this server's answers, unless its own name is made to lead here: its DNS answers with
127.0.0.1 the second time it is asked (DNS rebinding). The browser then takes page and server for one site, and only the header
`Host` still tells. A stranger cannot own `localhost`, an address, or a name that no public registry gives away.

| listens on | answers to, beside `allowed_hosts` |
|---|---|
| loopback | localhost, 127.0.0.1, [::1] and the address it listens on |
| any other address, without a token | any address, names without a dot, names under private endings |
| any other address, with a token | anything: a page of strangers does not know the token |
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from lorabert.shipping.serving.settings import Settings

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
# Reserved for networks without a registry, and `svc`, under which Kubernetes names its services.
_PRIVATE = (".localhost", ".local", ".internal", ".svc", ".test", ".home.arpa")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?", re.IGNORECASE)


def host_of(authority: str) -> str:
    """The host in `HOST` or `HOST:PORT`, in small letters; empty where it is neither."""
    found = _AUTHORITY.fullmatch(authority)
    return found[1].lower().removesuffix(".") if found else ""


class Hosts:
    """The names that a server answers to.

    Args:
        settings: where it listens, whether it has a token, and `allowed_hosts`.
    """

    def __init__(self, settings: Settings) -> None:
        self._named = settings.hosts
        self._loopback, self._token = settings.loopback, settings.token is not None
        self._own = _LOOPBACK | {f"[{settings.host}]" if ":" in settings.host else settings.host.lower()}

    def own(self, authority: str) -> bool:
        """Whether a `Host` is one that only this machine uses for itself."""
        return host_of(authority) in _LOOPBACK

    def answers_to(self, authority: str) -> bool:
        """Whether a request with this `Host` is answered."""
        host = host_of(authority)
        if not host:
            return False
        if host in self._own or self.named(host):
            return True
        return not self._loopback and (self._token or _cannot_be_owned(host))

    def named(self, host: str) -> bool:
        """Whether `allowed_hosts` names a host."""
        return any(name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:])) for name in self._named)

    def same_site(self, origin: str, authority: str) -> bool:
        """Whether a page's `Origin` is the host it calls, or one that `allowed_hosts` names."""
        try:
            page = urlsplit(origin)
        except ValueError:
            return False
        return bool(page.netloc) and (page.netloc.lower() == authority.lower() or self.named(host_of(page.netloc)))


def _cannot_be_owned(host: str) -> bool:
    if "." not in host or host.endswith(_PRIVATE):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
