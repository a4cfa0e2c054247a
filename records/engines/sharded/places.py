"""What whoever moves connectors between the files of an owner needs to know, and to do, below the port."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from blobstore.errors import StorageUnavailable
from records.engines.sharded.file import SEALED
from records.engines.sharded.routing import Routing
from records.engines.sharded.shard import Shard
from records.engines.sharded.switching import nobody_places
from records.engines.sqlite import SqliteEngine
from records.model import OutboxEvent


class Places(Routing):
    """Where an owner's connectors live."""

    @property
    def main(self) -> SqliteEngine:
        """The file of connectors that have no home of their own."""
        return self._main

    @property
    def moving_lock(self) -> Path:
        """The lock that whoever moves this owner's connectors holds."""
        return self._around.directory.parent / "locks" / f"move_{self._owner}"

    def path_of(self, shard: str) -> Path:
        """The file of a shard, whether it is there or not."""
        return self._path(shard)

    async def homes(self) -> Mapping[str, str]:
        """The shard of each connector that has one, as it is now."""
        return {connector: home.shard for connector, home in (await self._homes.now()).items()}

    async def outbox_of(self, connector: str, limit: int) -> list[OutboxEvent]:
        """The oldest events of the shard where the connector lives."""
        return await self._ask(connector, lambda engine: engine.regardless().outbox(limit))

    async def make(self, shard: str) -> None:
        """Make the file of a shard; a mark in `main` must name it, or it is swept away."""
        await self._make(shard)

    async def is_made(self, shard: str) -> bool:
        """Whether `make` came to its end."""
        if not await asyncio.to_thread(self._path(shard).exists):
            return False
        try:
            async with self.filling(shard) as made:
                return await made.is_bound()
        except StorageUnavailable:
            return False

    @asynccontextmanager
    async def filling(self, shard: str) -> AsyncIterator[Shard]:
        """A shard that a connector is on its way to; nobody else writes to it, so no waking is needed."""
        opened = await Shard.begin(self._path(shard), self._around.clock, make=False)
        opened.number = SEALED - 1
        try:
            yield opened
        finally:
            await opened.close()

    async def close_shard(self, shard: str) -> None:
        """Let go of its file."""
        await self._around.pool.drop(shard)

    @asynccontextmanager
    async def nobody_placing(self) -> AsyncIterator[None]:
        """Nobody gives a connector a home meanwhile."""
        async with nobody_places(self._path("-").parent):
            yield
