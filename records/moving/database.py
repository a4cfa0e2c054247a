"""All records of an owner from its file into a database, and back, while servers use them.

Copied and checked connector by connector, like any move. The switch is one for all of them: each leaves, the rest of it
follows, and then the owner's file says that it was left, or a new one gets its name. Until then whoever comes after a
mover that died takes back what it did.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from records import times
from records.central import Central, Owner
from records.engine import Engine, Engines
from records.engines.sqlite import SqliteEngine
from records.engines.sqlite.leaving import Left, empty
from records.layout import Topology, record_file
from records.moving import elsewhere
from records.moving.checking import check_copy
from records.moving.copying import throw_away
from records.moving.either import EitherEngines
from records.moving.incoming import incoming_file, install_incoming, remove_incoming
from records.moving.moves import EVENTS, PATIENCE, Moves, Told, alone_with, moved_event
from records.moving.switching import Ends, Switched, catch_up, left
from records.shards import MAIN, source_of
from records.store import RecordStore
from records.transfer import NEW, Mark, Stage

DATABASE = str(Topology.POSTGRES)
"""The place as marks name it."""


@asynccontextmanager
async def database_moves(store: RecordStore, database_url: str) -> AsyncIterator["DatabaseMoves"]:
    """Moves of the owners of a store that is open, for the length of the block."""
    from blobstore.postgres import Database  # here, for the other topologies run without a driver
    from records.engines.postgres import PostgresEngines

    assert isinstance(store.engines, EitherEngines), "a store on the disk"
    async with AsyncExitStack() as opened:
        database = await Database.open(database_url)
        opened.push_async_callback(database.close)
        plain = await PostgresEngines.open(database)
        opened.push_async_callback(plain.close)
        yield DatabaseMoves(
            store.central, store.engines, plain, await store.blobs.catalogue.store_id(), store.blobs.staging.host
        )


class DatabaseMoves:
    """Moves the records of owners between files and the database."""

    def __init__(self, central: Central, engines: EitherEngines, database: Engines, store_id: str, host: str) -> None:
        """`database`: its engines as they are, which tell of marks. `host`: of the directory that has the files."""
        self._central = central
        self._engines = engines
        self._database = database
        self._store_id = store_id
        self._host = host

    async def into(self, owner: Owner, told: Told) -> AsyncIterator[Switched]:
        """From files into the database; nothing where they are there. Yields each connector that has come."""
        file = record_file(self._engines.directory, owner.id)
        if await self._engines.in_files(owner.id):
            moves = Moves(self._central, self._engines.files)
            async for _ in moves.move(owner, Topology.SINGLE, told):
                pass  # each then lives in the one file
            divided = await self._engines.files.divided(owner.id)
            target = await self._database.of(owner.id)
            async with alone_with(divided.moving_lock):
                await target.bind(f"{self._store_id}/{owner.id}")
                move = _Into(self._central, owner, divided.main, target)
                found = await move.run(told)
            for switched in found:
                await self._note(owner, switched)
                yield switched
        if await asyncio.to_thread(file.exists):
            await asyncio.to_thread(empty, file, PATIENCE)
        await elsewhere.say_back(self._central, owner.id)

    async def out(self, owner: Owner, told: Told) -> AsyncIterator[Switched]:
        """From the database into a file; nothing where they are there. Yields each connector that has come."""
        directory, source = self._engines.directory, await self._database.of(owner.id)
        found: Iterable[Switched] = ()
        async with alone_with(directory / "locks" / f"move_{owner.id}"):
            if not await self._engines.in_files(owner.id):
                await elsewhere.say_here(self._central, owner.id, directory, self._host)
                await asyncio.to_thread(remove_incoming, directory, owner.id)
                target = await SqliteEngine.open(incoming_file(directory, owner.id))
                try:
                    await target.bind(f"{self._store_id}/{owner.id}")
                    await target.number_from(await self._central.delivered(owner.id, source_of(MAIN)))
                    move = _Out(self._central, owner, source, target)
                    move.install = partial(install_incoming, directory, owner.id)
                    found = await move.run(told)
                finally:
                    await target.close()
            for connector in await source.connectors():
                await throw_away(source, connector)
            await source.sanitize(PATIENCE)
        for switched in found:
            await self._note(owner, switched)
            yield switched

    async def _note(self, owner: Owner, switched: Switched) -> None:
        engine = await self._engines.of(owner.id)
        await engine.note(moved_event(switched))


class _Move(ABC):
    """One owner's move from one place to the other, of whoever holds the lock."""

    ends: Ends

    def __init__(self, central: Central, owner: Owner) -> None:
        self._central = central
        self._owner = owner

    async def run(self, told: Told) -> Iterable[Switched]:
        """Copy, check, switch; what was found."""
        moved: dict[str, Switched] = {}
        while True:
            for connector in await self.ends.source.connectors():
                if connector not in moved:
                    moved[connector] = await self._copied(connector, told)
            begun = time.monotonic()
            flipped, again = False, set[str]()
            try:
                await self._close_source()
                again = {each for each in moved if not await left(self.ends, each)}
                flipped = not again and await self._flip(set(moved))
            finally:
                if not flipped:
                    await self._back(moved)
            if flipped:
                paused = time.monotonic() - begun
                return [Switched(each.connector, each.checked, paused) for each in moved.values()]
            moved = {each: switched for each, switched in moved.items() if each not in again}

    async def _copied(self, connector: str, told: Told) -> Switched:
        source, target = self.ends.source, self.ends.target
        while True:
            await source.mark(Mark(connector, Stage.LEAVING, self.ends.to))
            disturbances = await catch_up(self.ends, connector, partial(told, connector))
            checked = await check_copy(source, target, connector, disturbances)
            if checked is not None:
                await catch_up(self.ends, connector, partial(told, connector))
                return Switched(connector, checked, 0.0)

    async def _back(self, moved: Iterable[str]) -> None:
        """The source serves everything, as before."""
        for connector in moved:
            await self.ends.source.mark(Mark(connector, Stage.LEAVING, self.ends.to))

    async def _drain(self) -> None:
        """Events of the source go to the spine before it is left."""
        while events := await self.ends.source.outbox(EVENTS):
            for source in {event.source for event in events}:
                pairs = [(event.seq, event.body) for event in events if event.source == source]
                await self._central.append(self._owner.id, source, pairs, times.now())
                await self.ends.source.drained(source, pairs[-1][0])

    @abstractmethod
    async def _close_source(self) -> None:
        """Keep new connectors from being written at the source, where the flip does not see them."""

    @abstractmethod
    async def _flip(self, moved: set[str]) -> bool:
        """Decide that the target serves from now on; False, and nothing done, where there is more to move."""


class _Into(_Move):
    def __init__(self, central: Central, owner: Owner, source: SqliteEngine, target: Engine) -> None:
        super().__init__(central, owner)
        self.ends = Ends(source, target, MAIN, DATABASE)
        self._file = source

    async def _close_source(self) -> None:
        """The flip sees them."""

    async def _flip(self, moved: set[str]) -> bool:
        while True:
            await self._drain()
            came = await self._file.move_away(DATABASE, moved)
            if came is not Left.EVENTS:
                break
        if came is Left.DONE:
            for mark in await self.ends.target.marks():  # whoever comes meanwhile waits for our lock
                await self.ends.target.unmark(mark.connector)
        return came is Left.DONE


class _Out(_Move):
    def __init__(self, central: Central, owner: Owner, source: Engine, target: SqliteEngine) -> None:
        super().__init__(central, owner)
        self.ends = Ends(source, target, DATABASE, MAIN)
        self.install = lambda: None

    async def _close_source(self) -> None:
        await self.ends.source.mark(Mark(NEW, Stage.LEFT, MAIN))

    async def _back(self, moved: Iterable[str]) -> None:
        await super()._back(moved)
        await self.ends.source.unmark(NEW)

    async def _flip(self, moved: set[str]) -> bool:
        if set(await self.ends.source.connectors()) - moved:
            return False
        await self._drain()
        for connector in moved:
            await self.ends.target.unmark(connector)
        await self.ends.target.close()
        await asyncio.to_thread(self.install)
        return True
