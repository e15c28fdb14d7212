"""The model hub: whether it can be reached, what to say when it cannot, and its data sets as tables."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorabert.data.tables import Table
from lorabert.errors import InputError
from lorabert.files import sha256_of

NO_HUB = (
    "Set HF_ENDPOINT to a mirror, or HF_HUB_OFFLINE=1 to use only what is in the cache, or take an asset or a local "
    "folder or file instead (`lorabert data list`)"
)
_TIMEOUT_SECONDS = 5.0
_BLOB, _SHA256_DIGITS = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), 64


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


def cached_file(model: str, name: str) -> str | None:
    """Where a file of a model lies in the hub's cache; None when it is not there. Nothing is asked of the hub."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, name)
    except HFValidationError:  # a folder, or an asset's name
        return None
    return found if isinstance(found, str) else None


def use_cache_only() -> None:
    """From here on ask nothing of the hub, as if HF_HUB_OFFLINE had been set before the libraries were imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


@contextmanager
def asking(what: str, advice: str = "") -> Iterator[None]:
    """Ask the hub for something, or its cache at once when the hub does not answer: its own retries take minutes.

    Args:
        what: is asked for, such as `The base 'x'`.
        advice: on what may have been meant instead, where it is not had.

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
            fix=f"{advice} Check the id; a private or gated one needs `hf auth login`. {NO_HUB}".strip(),
        ) from None
    except Exception as error:
        if not isinstance(error, (errors.HfHubHTTPError, OSError)) and not _of_the_network(error):
            raise
        state = f"{endpoint()} does not answer" if silent else "HF_HUB_OFFLINE is set" if offline() else "the hub failed"
        raise InputError(f"{what} is not in the cache and {state}", got=_first_line(error),
                         fix=f"{advice} {NO_HUB}".strip()) from None  # fmt: skip


def spoilt(files: Iterable[Path]) -> list[Path]:
    """Those of the hub cache's files whose bytes are not what their names say: a blob is named by its sha256, or by git's id.

    The hub's own client looks at sizes alone. Where a cache holds no links but files, as on Windows, there is nothing to tell.
    """
    return sorted({blob for blob in map(Path.resolve, files) if blob.parent.name == "blobs" and not _is_itself(blob)})


def _is_itself(blob: Path) -> bool:
    if not _BLOB.fullmatch(blob.name):
        return True
    if len(blob.name) == _SHA256_DIGITS:
        return sha256_of(blob) == blob.name
    digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size)
    digest.update(blob.read_bytes())
    return digest.hexdigest() == blob.name


def refuse_spoilt(what: str, blobs: list[Path]) -> None:
    """Remove what is spoilt from the hub's cache, so that nobody takes it for whole, and say so.

    Raises:
        InputError: always.
    """
    for blob in blobs:
        blob.unlink(missing_ok=True)
    raise InputError(f"{what} came from {endpoint()} with other bytes than announced", got=f"{len(blobs)} such files",
                     fix=f"They were removed from the cache; try again, or another mirror. {NO_HUB}")  # fmt: skip


def _answers() -> bool:
    try:
        with urllib.request.urlopen(endpoint(), timeout=_TIMEOUT_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _of_the_network(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is of the libraries that read answers: one that breaks off, say, or is no JSON."""
    while error is not None:
        if type(error).__module__.startswith(("http", "requests", "urllib3", "aiohttp", "json")):
            return True
        if _in_the_hubs_library(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _in_the_hubs_library(error: BaseException) -> bool:
    """Whether the library that reads the hub's answers failed: what it looked for was not in one, or of another kind."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace else ""
    return isinstance(error, (KeyError, TypeError, AttributeError, IndexError)) and module.startswith("huggingface_hub.")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def tables(name: str, subset: str | None, advice: str = "") -> dict[str, Table]:
    """The splits of a hub data set.

    Args:
        name: its id.
        subset: one of its configurations.
        advice: on what may have been meant instead, where it is not had.

    Raises:
        InputError: unknown id or subset, no network and no cache, or a format the library does not read.
    """
    import datasets

    origin = f"{name}/{subset}" if subset else name
    with asking(f"The data set '{origin}'", advice):
        try:
            found = _loaded(_canonical(name), subset, f"The data set '{origin}'")
        except datasets.exceptions.DatasetNotFoundError:
            raise InputError(
                f"The data set '{origin}' is not on {endpoint()}, or is private", fix=f"{advice} Check the id. {NO_HUB}".strip()
            ) from None
        except (ValueError, RuntimeError) as error:
            several = any(words in str(error) for words in ("BuilderConfig", "Config name", "configurations in the cache"))
            fix = "Name one of them with --data.subset" if several else NO_HUB
            raise InputError(f"The data set '{origin}' cannot be loaded", got=_first_line(error), fix=fix) from None
    return {str(split): _table(f"{origin} ({split})", rows) for split, rows in found.items()}


def _loaded(repository: str, subset: str | None, what: str) -> Any:
    """A data set as the hub announces it: where the bytes in the cache are others, it is downloaded once more.

    Raises:
        InputError: they are others again; nothing of them stays in the cache, nor what was made of them.
    """
    import datasets

    for mode in (None, "force_redownload"):
        found, failed = None, None
        try:
            found = datasets.load_dataset(repository, subset, download_mode=mode)
        except Exception as error:  # spoilt bytes fail in any way
            failed = error
        wrong = spoilt(_cached(repository))
        if failed and not wrong:
            raise failed
        if not wrong:
            break
        for blob in wrong:
            blob.unlink()
        for file in [file for rows in (found or {}).values() for file in rows.cache_files]:
            shutil.rmtree(Path(file["filename"]).parent, ignore_errors=True)
    else:
        refuse_spoilt(what, wrong)
    return found


def _cached(repository: str) -> list[Path]:
    """What lies in the hub's cache of a data set."""
    from huggingface_hub import constants

    return sorted(Path(constants.HF_HUB_CACHE).glob(f"datasets--{repository.replace('/', '--')}/snapshots/*/**/*.*"))


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
