"""The same application as replicas of a Ray Serve deployment, on one machine or several.

Each replica has its own base, queue and adapters in memory; Ray sends a request to any of them. So adapters are best named in
a store that every machine can read, and loading by request reaches one replica only.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lorabert import clusters
from lorabert.errors import InputError
from lorabert.models.bases import Base
from lorabert.shipping.serving import server, starting
from lorabert.shipping.serving.app import build
from lorabert.shipping.serving.service import Service
from lorabert.shipping.serving.settings import Settings


def run(words: Sequence[str], base_name: str | None, settings: Settings, announce: Callable[[Service, Base, str], None]) -> None:
    """Serve on the Ray cluster that there is, or on one started here, until interrupted.

    Args:
        words: what to serve.
        base_name: from --base.
        settings: of every replica; host and port are the proxy's.
        announce: called with what is served, its base and the address once every replica answers.

    Raises:
        InputError: Ray is not installed, cannot be reached or serves something already, or what is named cannot be served.
    """
    try:
        from ray import serve
    except ImportError:
        raise InputError(
            "--launcher ray needs Ray Serve, which is not installed", fix='pip install "lorabert[serve,ray]"'
        ) from None
    # Where replicas come and go, an adapter loaded into one of them would be missing in the others.
    inside = dataclasses.replace(settings, allow_folders=False)
    here = os.getcwd()  # noqa: PTH109 - a word for another process

    def application() -> Any:
        os.chdir(here)
        targets = starting.targets_of(words)
        return build(starting.service_of(targets, starting.base_of(targets, base_name), inside))

    with server.listen(settings) as taken:
        # A replica could say what cannot be served only in Ray's words, and after several attempts.
        service, base = starting.started(words, base_name, inside)
        service.close()
        host, port = taken.getsockname()[:2]
        address = server.address_of(taken)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    clusters.join()
    if serve.status().proxies:
        raise InputError(
            "Ray Serve runs on this cluster already",
            fix="Stop it with `serve shutdown`, or take another with RAY_ADDRESS; RAY_ADDRESS=local starts one here",
        )
    deployment = serve.deployment(
        name="lorabert",
        num_replicas=settings.replicas,
        max_ongoing_requests=settings.max_requests,
        graceful_shutdown_timeout_s=settings.drain_seconds + 1,
        logging_config={"enable_access_log": False},  # the application has its own
    )
    serve.start(http_options={"host": host, "port": port})
    try:
        serve.run(deployment(serve.ingress(application)()).bind(), name="lorabert")
        announce(service, base, address)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        serve.delete("lorabert")  # the replicas answer what they accepted; shutdown alone takes the proxy from under it
        serve.shutdown()
