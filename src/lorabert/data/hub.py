"""The model hub: whether it can be reached, what to say when it cannot, and its data sets as tables."""

from __future__ import annotations

import os
import sys
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
_TIMEOUT_SECONDS = 5.0


def offline() -> bool:
    """Whether HF_HUB_OFFLINE asks to make no request."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """The address of the hub in use."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def why_unreachable(model: str) -> str | None:
    """None when the hub answers for a model, otherwise the reason in a few words; asks nothing when offline."""
    if offline():
        return "HF_HUB_OFFLINE is set"
    try:
        with urllib.request.urlopen(f"{endpoint()}/api/models/{model}", timeout=_TIMEOUT_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"{endpoint()} answers {error.code} for {model}"
    except (OSError, ValueError) as error:
        return f"{endpoint()} cannot be reached ({getattr(error, 'reason', error)})"


def use_cache_only() -> None:
    """From here on ask nothing of the hub, as if HF_HUB_OFFLINE had been set before the libraries were imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Ask the hub for something, or its cache at once when the hub does not answer: its own retries take minutes.

    Raises:
        InputError: the hub or the cache lacks it; the message says how to go on without the hub.
    """
    from huggingface_hub import errors

    silent = not offline() and not _answers()
    if silent:
        use_cache_only()
    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{what} has no such revision on {endpoint()}", got=_first_line(error)) from None
    except (errors.GatedRepoError, errors.RepositoryNotFoundError):
        raise InputError(
            f"{what} is not on {endpoint()}, or is private",
            fix=f"Check the id; a private or gated one needs `hf auth login`. {NO_HUB}",
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HfHubHTTPError, OSError) as error:
        state = f"{endpoint()} does not answer" if silent else "HF_HUB_OFFLINE is set" if offline() else "the hub failed"
        raise InputError(f"{what} is not in the cache and {state}", got=_first_line(error), fix=NO_HUB) from None


def _answers() -> bool:
    try:
        with urllib.request.urlopen(endpoint(), timeout=_TIMEOUT_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


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
    with asking(f"The data set '{origin}'"):
        try:
            found = datasets.load_dataset(_canonical(name), subset)
        except datasets.exceptions.DatasetNotFoundError:
            raise InputError(
                f"The data set '{origin}' is not on {endpoint()}, or is private", fix=f"Check the id. {NO_HUB}"
            ) from None
        except (ValueError, RuntimeError) as error:
            several = any(words in str(error) for words in ("BuilderConfig", "Config name", "configurations in the cache"))
            fix = "Name one of them with --data.subset" if several else NO_HUB
            raise InputError(f"The data set '{origin}' cannot be loaded", got=_first_line(error), fix=fix) from None
    return {str(split): _table(f"{origin} ({split})", rows) for split, rows in found.items()}


def _canonical(name: str) -> str:
    """The full id of a data set that is known by a bare name, which newer versions of `datasets` do not take."""
    if "/" in name or offline():
        return name
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(name).id)


def _table(origin: str, rows: object) -> Table:
    features = rows.features  # type: ignore[attr-defined]
    declared = {name: list(kind.names) for name, kind in features.items() if hasattr(kind, "names")}
    return Table(origin, {name: rows[name][:] for name in features}, declared=declared)  # type: ignore[index]
