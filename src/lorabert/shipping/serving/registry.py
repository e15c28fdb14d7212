"""The adapters in memory: read when asked for, the one not asked for longest evicted when memory runs out.

catalogue (disk)  ──find──►  reading (loader thread)  ──►  loaded, oldest use first  ──evict──►  living while a request holds it
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from lorabert.shipping.serving.catalogue import Catalogue, Place
from lorabert.shipping.serving.loading import Loader, Served
from lorabert.shipping.serving.metrics import Metrics

_NEWEST_SECONDS = 1.0
Found = TypeVar("Found")


class Registry:
    """Adapters by name, at most so many bytes of them; used on the event loop only.

    Args:
        catalogue: where they lie.
        loader: reads them.
        most_bytes: memory for them; the one asked for last stays even where it alone is more.
        metrics: where loads and evictions are counted.
    """

    def __init__(self, catalogue: Catalogue, loader: Loader, most_bytes: int, metrics: Metrics) -> None:
        self.catalogue, self._loader, self._most_bytes, self._metrics = catalogue, loader, most_bytes, metrics
        self._thread = ThreadPoolExecutor(1, "lorabert-loader")
        self._loaded: OrderedDict[str, Served] = OrderedDict()
        # Evicted, but still held by a request: asked for again, it is not read a second time.
        self._living: WeakValueDictionary[str, Served] = WeakValueDictionary()
        self._reading: dict[str, asyncio.Task[Served]] = {}
        self._newest: dict[str, tuple[str, float]] = {}
        self._only: tuple[str, float] = ("", 0.0)
        self._bytes = 0

    def loaded(self, name: str) -> bool:
        """Whether an adapter is in memory."""
        return name in self._loaded

    async def get(self, name: str) -> Served:
        """The adapter of a name, read if need be.

        Raises:
            InputError: there is none, or it cannot be used.
            MismatchError: it is damaged, or belongs to another base.
        """
        known = self._known(name)
        if known in self._loaded:
            self._loaded.move_to_end(known)
            return self._loaded[known]
        place = await self.disk(lambda: self.catalogue.find(name))
        if name != place.id:
            self._newest[name] = (place.id, time.monotonic() + _NEWEST_SECONDS)
        return await self.read(place)

    async def only(self) -> str:
        """The name for requests that give none; others that come beside it are seen within a second.

        Raises:
            InputError: nothing is served, or several names.
        """
        name, until = self._only
        if time.monotonic() >= until:
            name = await self.disk(self.catalogue.only)
            self._only = name, time.monotonic() + _NEWEST_SECONDS
        return name

    def _known(self, name: str) -> str:
        """The version that a bare name stood for a moment ago; a newer one is seen within a second."""
        place, until = self._newest.get(name, (name, 0.0))
        return place if time.monotonic() < until else name

    async def read(self, place: Place) -> Served:
        """The adapter of a place; one read, however many ask for it, and who gives up waiting does not stop it.

        Raises:
            InputError: it cannot be used.
            MismatchError: it is damaged, or belongs to another base.
        """
        if place.id in self._loaded:
            self._loaded.move_to_end(place.id)
            return self._loaded[place.id]
        if place.id not in self._reading:
            self._reading[place.id] = asyncio.ensure_future(self._read(place))
        return await asyncio.shield(self._reading[place.id])

    async def _read(self, place: Place) -> Served:
        try:
            served = self._living.get(place.id)
            if served is None:
                served = await self.disk(lambda: self._loader.load(place.id, place.folder))
                self._metrics.loads.inc()
            if self.catalogue.serves(place):  # neither unloaded meanwhile, nor only tried out
                self.keep(served)
            return served
        finally:
            del self._reading[place.id]

    def keep(self, served: Served) -> None:
        """Have an adapter in memory from now on; others make room."""
        if served.id in self._loaded:
            return
        self._living[served.id] = self._loaded[served.id] = served
        self._bytes += served.bytes
        while self._bytes > self._most_bytes and len(self._loaded) > 1:
            self._drop(next(iter(self._loaded)))
            self._metrics.evictions.inc()
        self._count()

    def unload(self, place: Place) -> None:
        """Take an adapter out of service and out of memory; requests that were accepted keep it until they are answered."""
        self.catalogue.withdraw(place)
        self._only = "", 0.0
        self._newest = {name: known for name, known in self._newest.items() if known[0] != place.id}
        self._living.pop(place.id, None)
        if place.id in self._loaded:
            self._drop(place.id)
        self._count()

    def _drop(self, name: str) -> None:
        self._bytes -= self._loaded.pop(name).bytes

    def _count(self) -> None:
        self._metrics.adapters_loaded.set(len(self._loaded))
        self._metrics.adapter_bytes.set(self._bytes)

    async def disk(self, work: Callable[[], Found]) -> Found:
        """Do something that reads the disk, in the loader's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Stop the loader's thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
