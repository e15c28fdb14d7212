"""The same application as replicas of a Ray Serve deployment, on one machine or several.

Each replica has its own base, queue and adapters in memory; Ray sends a request to any of them. So adapters are best named in
a store that every machine can read, and loading by request reaches one replica only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lorabert.errors import InputError
from lorabert.shipping.serving.settings import Settings


def run(words: Sequence[str], base_name: str | None, settings: Settings) -> None:
    """Serve on the Ray cluster that this machine belongs to, or on one started here, until interrupted.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        from ray import serve
    except ImportError:
        raise InputError(
            "--launcher ray needs Ray Serve, which is not installed", fix='pip install "lorabert[serve,ray]"'
        ) from None
    # Where replicas come and go, an adapter loaded into one of them would be missing in the others.
    inside = dataclasses.replace(settings, allow_folders=False)

    def application() -> Any:
        from lorabert.shipping.serving.app import build
        from lorabert.shipping.serving.starting import base_of, service_of, targets_of

        targets = targets_of(words)
        return build(service_of(targets, base_of(targets, base_name), inside))

    deployment = serve.deployment(num_replicas=settings.replicas, max_ongoing_requests=settings.max_requests)
    serve.start(http_options={"host": settings.host, "port": settings.port})
    serve.run(deployment(serve.ingress(application)()).bind(), name="lorabert", blocking=True)
