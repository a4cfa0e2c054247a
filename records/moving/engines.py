"""The engines of owners whose records are files, wherever each connector lives: one entrance for both topologies."""

import asyncio
from functools import partial

from records.engine import Engine, Engines
from records.engines.sharded import PerConnectorEngines, ShardedEngine
from records.engines.sqlite import SqliteEngine
from records.moving.marks import mend
from records.moving.movable import MovableEngine


class MovableEngines:
    """Adapter of `records.engine.Engines`. `whole` opens an owner's one file; None: it is not asked directly."""

    def __init__(self, whole: Engines | None, shards: PerConnectorEngines) -> None:
        self._whole = whole
        self._shards = shards
        self._engines: dict[str, MovableEngine] = {}
        self._opening = asyncio.Lock()

    async def of(self, owner: str) -> Engine:
        async with self._opening:
            if owner not in self._engines:
                whole = None if self._whole is None else await self._whole.of(owner)
                if whole is None:
                    await self._shards.of(owner)
                self._engines[owner] = MovableEngine(whole, partial(self.divided, owner))
            return self._engines[owner]

    async def find(self, owner: str) -> Engine | None:
        found = await (self._whole or self._shards).find(owner)
        return None if found is None else await self.of(owner)

    async def divided(self, owner: str) -> ShardedEngine:
        """The engine over all files of the owner."""
        whole = None if self._whole is None else await self._whole.of(owner)
        if isinstance(whole, SqliteEngine):
            await whole.require_in_place()
        engine = await self._shards.sharded(owner)
        engine.patience = partial(mend, engine)
        return engine

    async def close(self) -> None:
        """Close every engine."""
        await self._shards.close()
        if self._whole is not None:
            await self._whole.close()
