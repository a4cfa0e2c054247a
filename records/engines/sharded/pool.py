"""The shards that a process has open: no more than its descriptors allow, those that were used last."""

import asyncio
import resource
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from blobstore.errors import StorageUnavailable
from records.engines.sharded.shard import Shard

DESCRIPTORS = 8
"""Of one open shard: database, log and shared memory for who writes; database and log for who reads, and for who
watches whether anything was written; one to spare."""

RESERVED = 320
"""Descriptors for everything else: connections of clients, blobs, the other databases."""

MOST = 256
"""Open shards, however many descriptors there may be: each takes about 0.6 MiB and two threads."""

FEWEST = 4


def bound() -> int:
    """How many shards may be open at once in this process."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(FEWEST, min(MOST, (descriptors - RESERVED) // DESCRIPTORS))


@dataclass(slots=True)
class _Place:
    opening: asyncio.Task[Shard]
    users: int = 0


class Pool:
    """Open shards by their ids. One that is in use is never closed."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = bound() if limit is None else limit
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._changed = asyncio.Condition()
        self._closed = False
        self.opened = 0
        """How many were ever opened."""

    @asynccontextmanager
    async def use(self, shard: str, open: Callable[[], Awaitable[Shard]]) -> AsyncIterator[Shard]:
        """The shard, opened if need be. Nobody may use two at once: both might wait for each other."""
        place = await self._take(shard, open)
        try:
            yield await asyncio.shield(place.opening)
        finally:
            place.users -= 1
            if not place.users and (failed := place.opening).done() and (failed.cancelled() or failed.exception()):
                self._places.pop(shard, None)
            async with self._changed:
                self._changed.notify_all()

    async def _take(self, shard: str, open: Callable[[], Awaitable[Shard]]) -> _Place:
        async with self._changed:
            while (place := self._places.get(shard)) is None and not await self._make_room():
                await self._changed.wait()
            if self._closed:
                raise StorageUnavailable("the record files are closed")
            if place is None:
                self.opened += 1
                place = self._places[shard] = _Place(asyncio.ensure_future(open()))
            place.users += 1
            self._places.move_to_end(shard)
            return place

    async def _make_room(self) -> bool:
        """Close what was not used for longest, until there is room for one more."""
        while len(self._places) >= self._limit:
            idle = next((shard for shard, place in self._places.items() if not place.users), None)
            if idle is None:
                return False
            await self._close(idle)
        return True

    async def drop(self, shard: str) -> None:
        """Close it, once nobody uses it any more."""
        async with self._changed:
            while (place := self._places.get(shard)) is not None and place.users:
                await self._changed.wait()
            if place is not None:
                await self._close(shard)

    async def close(self) -> None:
        """Close all, once nobody uses them any more. Harmless when called twice."""
        self._closed = True
        for shard in list(self._places):
            await self.drop(shard)

    async def _close(self, shard: str) -> None:
        opening = self._places.pop(shard).opening
        if opening.done() and not opening.cancelled() and opening.exception() is None:
            await opening.result().close()
