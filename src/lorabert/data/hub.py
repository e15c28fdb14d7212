"""The model hub: whether it can be reached, what to say when it cannot, and its data sets as tables."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from lorabert.data.tables import Table
from lorabert.errors import InputError

NO_HUB = (
    "Set HF_ENDPOINT to a mirror, or HF_HUB_OFFLINE=1 to use only what is in the cache, or take an asset or a local "
    "folder or file instead (`lorabert data list`)"
)


def offline() -> bool:
    """Whether HF_HUB_OFFLINE asks to make no request."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """The address of the hub in use."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def why_unreachable(model: str, timeout_seconds: float = 5.0) -> str | None:
    """None when the hub answers for a model, otherwise the reason in a few words; asks nothing when offline."""
    if offline():
        return "HF_HUB_OFFLINE is set"
    try:
        with urllib.request.urlopen(f"{endpoint()}/api/models/{model}", timeout=timeout_seconds):
            return None
    except urllib.error.HTTPError as error:
        return f"{endpoint()} answers {error.code} for {model}"
    except (OSError, ValueError) as error:
        return f"{endpoint()} cannot be reached ({getattr(error, 'reason', error)})"


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Turn the hub libraries' errors into an InputError that says how to go on without the hub."""
    from huggingface_hub import errors

    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{what}: no such revision on {endpoint()}", got=_first_line(error)) from None
    except (errors.GatedRepoError, errors.RepositoryNotFoundError):
        raise InputError(
            f"{what} is not on {endpoint()}, or is private",
            fix=f"Check the id; a private or gated one needs `hf auth login`. {NO_HUB}",
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HfHubHTTPError, OSError) as error:
        state = "HF_HUB_OFFLINE is set" if offline() else f"{endpoint()} cannot be reached"
        raise InputError(f"{what} is not in the cache and {state}", got=_first_line(error), fix=NO_HUB) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def tables(name: str, subset: str | None) -> dict[str, Table]:
    """The splits of a hub data set.

    Raises:
        InputError: unknown id or subset, no network and no cache, or a format the library does not read.
    """
    import datasets

    origin = f"{name}/{subset}" if subset else name
    with hub_errors(f"The data set '{origin}'"):
        try:
            found = datasets.load_dataset(name, subset)
        except (ValueError, RuntimeError, datasets.exceptions.DatasetNotFoundError) as error:
            raise InputError(f"The data set '{origin}' cannot be loaded", got=_first_line(error), fix=NO_HUB) from None
    return {str(split): _table(f"{origin} ({split})", rows) for split, rows in found.items()}


def _table(origin: str, rows: object) -> Table:
    features = rows.features  # type: ignore[attr-defined]
    declared = {name: list(kind.names) for name, kind in features.items() if hasattr(kind, "names")}
    return Table(origin, {name: rows[name][:] for name in features}, declared=declared)  # type: ignore[index]
