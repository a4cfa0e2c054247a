"""Erasing over shards. A connector of which nothing is left but what outlives its erasure gets a new file."""

import asyncio
import secrets
import time
from contextlib import suppress
from functools import partial

from blobstore.errors import Moved
from records.engine import LEAP, Engine
from records.engines.sharded.sweeping import sweep
from records.engines.sharded.switching import giving_up, placing, remove_files
from records.engines.sharded.writes import Writes
from records.engines.sqlite import SqliteEngine
from records.errors import SourceDown
from records.model import Erased, Partition, Target
from records.shards import Home
from records.transfer import Stage


class Erasure(Writes):
    """The part of the port that erases."""

    async def fence(self, connector: str, instance: str | None) -> None:
        await self._tell(connector, lambda engine: engine.fence(connector, instance))

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        return await self._tell(target.connector, lambda engine: engine.erase(target, deleted_at, limit, erasure))

    async def erased(self, erasure: str) -> dict[Partition, int]:
        # Who does not answer has lost nothing to an erasure that came to its end.
        answers, _ = await self._ask_some(await self._homes.now(), lambda _, engine: engine.erased(erasure))
        found = {place: count for connector in sorted(answers) for place, count in answers[connector].items()}
        return await self._main.erased(erasure) | found

    async def forget(self, before: float, limit: int) -> int:
        gone = await self._main.forget(before, limit)
        for connector, home in sorted((await self._homes.now()).items()):
            if gone < limit and (home.left is None or (home.left.oldest or before) < before):
                with suppress(SourceDown):
                    gone += await self._tell(connector, partial(_forget, before, limit - gone))
        return gone

    async def leap(self) -> None:
        homes = await self._homes.now()
        versions = [of.version for of in (await self.stats()).values()]
        base = LEAP + max([await self._main.base(), *versions])
        for connector in sorted(homes):
            await self._tell(connector, partial(_land, base))
        await self._main.land(base)

    # -- files -----------------------------------------------------------------------------------------------------

    async def sanitize(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        clean = await self._main.sanitize(timeout)
        for connector, home in sorted((await self._homes.now()).items()):
            if home.left is None or home.left.stale:
                with suppress(SourceDown):  # nothing can be erased from it as long as it cannot be read
                    await self._replace_bare(connector)
                    left = max(0.0, deadline - time.monotonic())
                    clean = await self._tell(connector, partial(_sanitize, left)) and clean
        return await self.sweep() and clean

    async def sweep(self) -> bool:
        """See `sweeping.sweep`."""

        async def shards() -> set[str]:
            marks = await self._main.marks()  # before homes: what is on its way has come, or is in the marks
            coming = {mark.other for mark in marks if mark.stage is not Stage.COMING}
            return coming | {home.shard for home in (await self._homes.now()).values()}

        return await sweep(self._path("-").parent, shards, partial(self._central.delivered, self._owner))

    async def _replace_bare(self, connector: str) -> None:
        """Give a connector of which nothing is left a new file, and remove the old one, rather than to rewrite it."""
        home = await self._homes.of(connector)
        if home is None:
            return
        try:
            async with self._opened(connector, home.shard) as old:
                if not await old.is_bare():
                    return
        except Moved:
            return  # somebody else does it
        path = self._path(home.shard)
        async with giving_up(path), placing(path.parent):
            await self._replace(connector, home)

    async def _replace(self, connector: str, home: Home) -> None:
        """Seal, look again, copy, switch, remove; whoever comes by a seal waits, for the lock is held."""
        try:
            async with self._opened(connector, home.shard) as old:
                await old.seal()
                if not await old.is_bare() or await self._still(connector, home.shard) is None:
                    await old.unseal(home.number)
                    return
                rows = await old.outliving()
        except Moved:
            return
        shard = secrets.token_hex(8)
        await self._make(shard, rows)
        if not await self._central.move(self._owner, connector, home.shard, shard):
            await asyncio.to_thread(remove_files, self._path(shard))  # it has left for another place meanwhile
            return
        self._numbers[shard] = 1
        await self._around.pool.drop(home.shard)
        await asyncio.to_thread(remove_files, self._path(home.shard))


async def _forget(before: float, limit: int, engine: Engine) -> int:
    return await engine.forget(before, limit)


async def _sanitize(timeout: float, engine: Engine) -> bool:
    return await engine.sanitize(timeout)


async def _land(base: int, engine: Engine) -> None:
    if isinstance(engine, SqliteEngine):
        await engine.land(base)
