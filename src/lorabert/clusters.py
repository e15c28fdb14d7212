"""Ray, which spreads runs and replicas over the machines of a cluster; optional, so imported only when asked for."""

from __future__ import annotations

import signal
import threading
from typing import Any

from lorabert.errors import InputError


def join(**options: Any) -> None:
    """Connect to the cluster that RAY_ADDRESS names or `ray start` began here, else start Ray; SIGTERM keeps the handler it has.

    Args:
        options: words of `ray.init`.

    Raises:
        InputError: the cluster cannot be reached.
    """
    import ray

    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(ignore_reinit_error=True, **options)
    except (ConnectionError, ValueError) as error:
        raise InputError(
            "The Ray cluster cannot be reached",
            got=str(error),
            fix="See RAY_ADDRESS; RAY_ADDRESS=local starts one here",
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own ends the process before it could say or finish anything
