"""From the words of the command line to a service: what is a store and what an adapter, which base, what is loaded first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorabert import hardware, mistaken
from lorabert.config import ModelConfig
from lorabert.engine import kernels
from lorabert.engine.multilora import Shared
from lorabert.engine.packed import DTYPES
from lorabert.errors import InputError, MismatchError
from lorabert.models import bases
from lorabert.models.bases import Base
from lorabert.shipping import adapters, fingerprints
from lorabert.shipping.manifests import MANIFEST, manifest_of
from lorabert.shipping.serving.catalogue import Catalogue, readable
from lorabert.shipping.serving.loading import Loader, shareable
from lorabert.shipping.serving.metrics import Metrics
from lorabert.shipping.serving.names import LONGEST, check_name
from lorabert.shipping.serving.registry import Registry
from lorabert.shipping.serving.scheduler import Scheduler
from lorabert.shipping.serving.service import Service
from lorabert.shipping.serving.settings import MEBIBYTE, Settings
from lorabert.shipping.store import Store
from lorabert.shipping.store.names import shown


@dataclass
class Targets:
    """What is to be served.

    Attributes:
        stores: every version in them is served.
        folders: adapter folders by name.
    """

    stores: list[Store] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)

    def manifests(self) -> dict[str, tuple[Path, dict[str, Any]]]:
        """Folder and manifest of every adapter that can be read, by its name.

        Raises:
            MismatchError: an adapter outside of stores is damaged.
        """
        found = {name: (folder, manifest_of(folder)) for name, folder in self.folders.items()}
        for store in self.stores:
            found |= {entry.reference: (folder, manifest_of(folder)) for entry, folder in readable(store)}
        return found


def targets_of(words: Sequence[str]) -> Targets:
    """Read STORE, ADAPTER, RUN and NAME=ADAPTER.

    Raises:
        InputError: a word is none of these, two adapters have one name, or one has a name that no request could ask for.
    """
    targets = Targets()
    for word in words:
        try:
            _add(targets, word)
        except (OSError, ValueError) as error:  # a name that no file can have, a folder that may not be read
            raise _unservable(word, getattr(error, "strerror", None) or str(error)) from None
    _check_apart(targets)
    return targets


def _add(targets: Targets, word: str) -> None:
    name, _, rest = word.partition("=")
    named = bool(rest) and not os.path.exists(word)  # noqa: PTH110 - false of what is too long for a path
    path = Path(rest if named else word)
    if Store(path).exists():
        if all(path.resolve() != store.root.resolve() for store in targets.stores):
            targets.stores.append(Store(path))
        return
    folder = path / "adapter" if (path / "adapter" / MANIFEST).is_file() else path
    if not (folder / MANIFEST).is_file():
        raise _unservable(path, mistaken.kind_of(path), mistaken.instead(path, (MANIFEST, mistaken.STORE)))
    name = name if named else (path.resolve().parent if path.resolve().name == "adapter" else path.resolve()).name
    if targets.folders.setdefault(check_name(name), folder) != folder:
        raise InputError(f"Two adapters are called '{name}'", fix=f"Name them: lorabert serve first={folder} ...")


def _unservable(what: str | Path, got: str, fix: str = "") -> InputError:
    text = str(what)
    plain = text if text.isprintable() and len(text) <= LONGEST else shown(text)
    return InputError(f"{plain} cannot be served", got=got, expected="a store, an adapter or run folder, or NAME=FOLDER", fix=fix)


def _check_apart(targets: Targets) -> None:
    """Each name belongs to one store or folder, so that a request means one adapter.

    Raises:
        InputError: it does not.
    """
    taken = dict.fromkeys(targets.folders, "a folder")
    for store in targets.stores:
        names = sorted({entry.name for entry in store.entries()})
        if twice := [name for name in names if name in taken]:
            fix = "Serve the folder by another name, NAME=FOLDER, or the stores by servers of their own"
            raise InputError(f"Two adapters are called '{twice[0]}'", got=f"{taken[twice[0]]} and one in {store.root}", fix=fix)
        taken |= dict.fromkeys(names, f"one in {store.root}")


def base_of(targets: Targets, base_name: str | None) -> Base:
    """The one base that everything is served on.

    Raises:
        InputError: there is nothing to tell it by, or it cannot be found.
        MismatchError: adapters belong to different bases.
    """
    found = targets.manifests()
    recorded = {name: manifest["base"] for name, (_, manifest) in found.items()}
    if base_name:
        base = bases.find(ModelConfig(name=base_name))
    elif recorded:
        folder, manifest = next(iter(found.values()))
        base = adapters.base_of(folder, manifest["base"])
    else:
        raise InputError(
            "There is nothing to serve yet", got="an empty store", fix="Add an adapter, or name the base with --base"
        )
    others = {name: other for name, other in recorded.items() if other["sha256"] != base.sha256}
    # With the base named, a store may hold adapters of other bases: they are refused when asked for.
    refused = [name for name in others if name in targets.folders or not base_name]
    if refused:
        listed = [
            f"{name} belongs to '{others[name]['name']}' with weights {others[name]['sha256'][:12]}…" for name in refused[:10]
        ]
        raise MismatchError(f"Serving on the base '{base.name}' with weights {base.sha256[:12]}…", listed,
                            fix="One server has one base: start another for them, or name the base with --base")  # fmt: skip
    return base


def engine_of(base: Base, precision: str) -> tuple[Any, Shared]:
    """The base in memory: the classifier it was loaded into, and its forward for any adapters.

    Raises:
        InputError: the engine does not know the architecture.
    """
    kernels.state()  # compiled now where they must be, not while a first request waits
    model = bases.load(base, ["0", "1"]).model
    with shareable(f"The base '{base.name}'"):
        return model, Shared(model, DTYPES[precision])


def service_of(targets: Targets, base: Base, settings: Settings) -> Service:
    """A service that has the base in memory and its threads running."""
    precision = hardware.placed("cpu", settings.precision).precision
    tolerance = fingerprints.TOLERANCE if precision == "fp32" else fingerprints.HALF_TOLERANCE
    metrics = Metrics()
    # In a thread that ends: while two threads have helpers of OpenMP, more than there are cores, all sleep between two steps.
    with ThreadPoolExecutor(1) as pool:
        model, shared = pool.submit(engine_of, base, precision).result()
    catalogue = Catalogue(targets.stores, targets.folders)
    registry = Registry(catalogue, Loader(base, model, shared), int(settings.adapter_mebibytes * MEBIBYTE), metrics)
    return Service(settings, registry, Scheduler(shared.logits, settings.batch_tokens, metrics), metrics, tolerance)


async def load_first(service: Service, targets: Targets) -> None:
    """Load and check what was named, so that trouble shows at the start.

    Raises:
        InputError: one of them cannot be used.
    """
    registry = service.registry
    for name in targets.folders:
        await service.check_answers(await registry.read(registry.catalogue.find(name)))


def started(words: Sequence[str], base_name: str | None, settings: Settings) -> tuple[Service, Base]:
    """From words to a service that has loaded what was named."""
    targets = targets_of(words)
    base = base_of(targets, base_name)
    service = service_of(targets, base, settings)
    asyncio.run(load_first(service, targets))
    return service, base
