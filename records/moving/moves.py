"""All connectors of an owner from one file into files of their own, and back, one after the other.

May be cut off anywhere and begun again, in either direction: where each connector lives stands in the central store,
how far its copy is in the copy itself, and what is left of it elsewhere is found by the marks there.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blobstore.errors import StorageUnavailable
from records import times
from records.audit import spine
from records.central import Central, Owner
from records.engines.sharded import ShardedEngine
from records.engines.sharded.switching import remove_files
from records.errors import Conflict, SourceDown
from records.layout import Topology
from records.moving.copying import throw_away
from records.moving.engines import MovableEngines
from records.moving.marks import moving, settle
from records.moving.switching import Ends, Switched, switch
from records.shards import MAIN, source_of
from records.transfer import NEW, Mark, Stage

EVENTS = 500
"""Events that are brought to the spine at once."""

PATIENCE = 60.0
"""Seconds that a reader is waited for before what was removed is made unreadable later, by a server."""

MENDING = 3.0
"""Seconds after which who has the lock is taken for another mover."""

Told = Callable[[str, int], None]
"""Takes the connector and how many of its rows have just been copied."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connector of an owner is, and whether it is on its way; `down` is why its `records` are not known."""

    owner: Owner
    connector: str
    topology: Topology
    records: int | None
    moving: bool
    down: SourceDown | None = None


class Moves:
    """Moves the records of owners between topologies that are files."""

    def __init__(self, central: Central, engines: MovableEngines) -> None:
        self._central = central
        self._engines = engines

    async def places(self, owner: Owner) -> list[Place]:
        """Where the owner's connectors live, in order; also of those that do not answer."""
        engine = await self._engines.divided(owner.id)
        homes = await engine.homes()
        places = []
        for connector in sorted({*homes, *await engine.main.connectors()}):
            there = Topology.PER_CONNECTOR if connector in homes else Topology.SINGLE
            try:
                stats = await engine.regardless().stats(connector)
                leaving = any(mark.stage is Stage.LEAVING for mark in await engine.marks(connector))
            except SourceDown as error:
                places.append(Place(owner, connector, there, None, moving=False, down=error))
            else:
                places.append(Place(owner, connector, there, sum(of.records for of in stats.values()), leaving))
        return places

    async def move(self, owner: Owner, to: Topology, told: Told) -> AsyncIterator[Switched]:
        """Bring all of the owner's connectors there, and yield each that has come.

        Raises `Conflict` while somebody else moves them, and whatever `switch` raises.
        """
        engine = await self._engines.divided(owner.id)
        async with alone_with(engine.moving_lock):
            each = _Moving(owner, engine, self._central, told)
            steps = each.divide() if to is Topology.PER_CONNECTOR else each.unite()
            async for switched in steps:
                yield switched


@asynccontextmanager
async def alone_with(lock: Path) -> AsyncIterator[None]:
    """Move an owner's records for the length of the block, as the only one. Raises `Conflict`.

    Whoever mends what a mover before us left has the lock for a moment, too.
    """
    deadline = time.monotonic() + MENDING
    while True:
        with moving(lock) as alone:
            if alone:
                yield
                return
        if time.monotonic() >= deadline:
            raise Conflict("the records of this owner are being moved already")
        await asyncio.sleep(0.05)


class _Moving:
    """One owner's move, of whoever holds the lock."""

    def __init__(self, owner: Owner, engine: ShardedEngine, central: Central, told: Told) -> None:
        self._owner = owner
        self._engine = engine
        self._main = engine.main
        self._central = central
        self._told = told

    # -- into files of their own -----------------------------------------------------------------------------------

    async def divide(self) -> AsyncIterator[Switched]:
        """From the one file into one for each connector; what is new has one from the beginning."""
        await self._settle()
        await self._main.mark(Mark(NEW, Stage.LEFT, Topology.PER_CONNECTOR))
        for connector in await self._main.connectors():
            if connector not in await self._engine.homes():
                yield await self._out(connector)
            await throw_away(self._main, connector)
        await self._main.sanitize(PATIENCE)

    async def _out(self, connector: str) -> Switched:
        while True:
            shard = await self._incoming(connector)
            flip = partial(self._flip, connector, None, shard)
            try:
                async with self._engine.filling(shard) as target:
                    ends = Ends(self._main, target, MAIN, shard)
                    switched = await switch(ends, connector, flip, partial(self._told, connector))
            except StorageUnavailable:
                has_come = connector in await self._engine.homes()
                if has_come or await asyncio.to_thread(self._engine.path_of(shard).exists):
                    raise
                continue  # an erasure took the copy away: it is made anew
            await self._note(switched)
            return switched

    async def _flip(self, connector: str, source: str | None, to: str | None) -> None:
        if not await self._central.move(self._owner.id, connector, source, to):
            raise Conflict(f"{connector} does not live any more where it was moved from")

    async def _incoming(self, connector: str) -> str:
        """The shard that the connector is on its way to; a new one where there is none."""
        for mark in await self._main.marks():
            if mark.connector == connector and mark.stage is Stage.LEAVING:
                if await self._engine.is_made(mark.other):
                    return mark.other
                await asyncio.to_thread(remove_files, self._engine.path_of(mark.other))
        shard = secrets.token_hex(8)
        # Before the file is: what nobody knows of is swept away.
        await self._main.mark(Mark(connector, Stage.LEAVING, shard))
        await self._engine.make(shard)
        return shard

    # -- into one file ---------------------------------------------------------------------------------------------

    async def unite(self) -> AsyncIterator[Switched]:
        """From files of their own into one."""
        await self._settle()
        await self._cancel()
        while True:
            for connector in sorted(await self._engine.homes()):
                yield await self._back(connector)
            async with self._engine.nobody_placing():
                if not await self._engine.homes():
                    await self._main.unmark(NEW)
                    break
        # What pages of the one file still show of rows that were superseded goes with the next erasure, as always: to
        # write all that has come anew would keep writers waiting for nothing.
        await self._engine.sweep()

    async def _back(self, connector: str) -> Switched:
        while True:
            shard = (await self._engine.homes())[connector]
            ends = Ends(self._engine, self._main, shard, MAIN)
            flip = partial(self._flip_back, connector, shard)
            try:
                switched = await switch(ends, connector, flip, partial(self._told, connector))
            except Conflict:
                continue  # an erasure gave it another file
            await self._engine.close_shard(shard)
            await asyncio.to_thread(remove_files, self._engine.path_of(shard))
            await self._note(switched)
            return switched

    async def _flip_back(self, connector: str, shard: str) -> None:
        await self._drain(connector, shard)
        await self._flip(connector, shard, None)

    async def _drain(self, connector: str, shard: str) -> None:
        """Its events go to the spine before its file does."""
        while events := await self._engine.outbox_of(connector, EVENTS):
            pairs = [(event.seq, event.body) for event in events]
            await self._central.append(self._owner.id, source_of(shard), pairs, times.now())
            await self._engine.drained(source_of(shard), events[-1].seq)

    # -- both ways -------------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """What a mover before this one left behind: marks where connectors live."""
        for connector in await self._engine.connectors():
            await settle(self._engine, connector)

    async def _cancel(self) -> None:
        """Drop copies that were being made to go the other way."""
        homes = await self._engine.homes()
        for mark in await self._main.marks():
            if mark.stage is Stage.LEAVING and mark.connector not in homes:
                await asyncio.to_thread(remove_files, self._engine.path_of(mark.other))
                await self._main.unmark(mark.connector)

    async def _note(self, switched: Switched) -> None:
        await self._engine.note(moved_event(switched))


def moved_event(switched: Switched) -> bytes:
    """What the spine is told of a connector that moved."""
    records = sum(of.records for of in switched.checked.values())
    counts = {"streams": len(switched.checked), "records": records}
    return spine.body("records.move", {"connector": switched.connector, **counts})
