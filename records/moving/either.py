"""The engines of a directory whose owners' records may be in files or in a database, each owner's in one of the two.

An owner's file says whether its records have moved into the database; where there is none, the configuration says
where records are made. Whoever has an engine open that was left looks again, and goes on at the other place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from blobstore.errors import Moved, MovedAway
from blobstore.sqlite.outside import place_of
from records.engine import Engine, Engines
from records.layout import Topology, record_file
from records.model import Erased, Target
from records.moving.copying import throw_away
from records.moving.engines import MovableEngines
from records.moving.incoming import remove_incoming
from records.moving.marks import PAUSE, is_divided, moving
from records.moving.routed import Call, RoutedEngine, T
from records.shards import MAIN
from records.transfer import NEW, Mark, Stage


class EitherEngines:
    """Adapter of `records.engine.Engines`."""

    def __init__(
        self,
        directory: Path,
        open_files: Callable[[], MovableEngines],
        open_database: Callable[[], Awaitable[Engines]],
        default: Callable[[], Awaitable[Topology]],
        require_here: Callable[[str], Awaitable[None]],
    ) -> None:
        """`require_here` raises for an owner whose records are in files of another directory, asked when they are not
        here."""
        self.directory = directory
        self.files = open_files()
        self._open_files = open_files
        self._open_database = open_database
        self._default = default
        self._require_here = require_here
        self._left: list[MovableEngines] = []
        self._engines: dict[str, EitherEngine] = {}
        self._opening = asyncio.Lock()

    async def of(self, owner: str) -> Engine:
        """As the port says."""
        async with self._opening:
            if owner not in self._engines:
                in_files = await self.in_files(owner)
                here = await (self.files.of(owner) if in_files else self._of_database(owner))
                self._engines[owner] = EitherEngine(owner, self, here, in_files=in_files)
            return self._engines[owner]

    async def find(self, owner: str) -> Engine | None:
        """As the port says."""
        if owner in self._engines:
            return self._engines[owner]
        engines = self.files if await self.in_files(owner) else await self._open_database()
        return None if await engines.find(owner) is None else await self.of(owner)

    async def in_files(self, owner: str) -> bool:
        """Where the owner's records are at this moment."""
        path = record_file(self.directory, owner)
        if await asyncio.to_thread(path.exists):
            return await asyncio.to_thread(place_of, path) is None
        return (await self._default()).is_files

    async def look(self, owner: str, *, was_in_files: bool) -> tuple[Engine, bool]:
        """Where they are for who has just been told that they are not where they were; waits while they are moving."""
        in_files = await self.in_files(owner)
        if in_files:
            if not was_in_files:  # files that were left before are open under their old names
                self._left.append(self.files)
                self.files = self._open_files()
            return await self.files.of(owner), True
        engine = await self._of_database(owner)
        if not was_in_files:
            await self._mend(owner, engine)
        return engine, False

    async def drop_copy(self, owner: str, connector: str, *, in_files: bool) -> None:
        """Remove what is at the other place of a connector that was erased from, where it is being copied to."""
        if in_files:
            copy = await self._of_database(owner)
            if any(mark.stage is Stage.COMING for mark in await copy.marks(connector)):
                await throw_away(copy, connector)
                await copy.sanitize(0.0)
        else:
            await asyncio.to_thread(remove_incoming, self.directory, owner)

    async def close(self) -> None:
        """Close all files; the database is its opener's."""
        for engines in (*self._left, self.files):
            await engines.close()

    async def _of_database(self, owner: str) -> Engine:
        await self._require_here(owner)
        return await (await self._open_database()).of(owner)

    async def _mend(self, owner: str, engine: Engine) -> None:
        """They are to leave the database, and have not: wait for who moves them, or take back what a dead one did."""
        with moving(self.directory / "locks" / f"move_{owner}") as alone:
            if alone and not await self.in_files(owner):
                for mark in await engine.marks():
                    if mark.connector == NEW:
                        await engine.unmark(NEW)
                    elif mark.stage is Stage.COMING:
                        await engine.unmark(mark.connector)
                    elif mark.stage is Stage.LEFT:
                        await engine.mark(Mark(mark.connector, Stage.LEAVING, mark.other))
        if not alone:
            await asyncio.sleep(PAUSE)


class EitherEngine(RoutedEngine):
    """One owner's engine, at whichever place."""

    def __init__(self, owner: str, engines: EitherEngines, here: Engine, *, in_files: bool) -> None:
        self._owner = owner
        self._engines = engines
        self._here = here
        self._in_files = in_files
        self._looking = asyncio.Lock()

    async def _read(self, connectors: Iterable[str], call: Call[T]) -> T:
        return await self._one(call)

    async def _write(self, connector: str, call: Call[T]) -> T:
        return await self._one(call)

    async def _all(self, call: Call[T]) -> T:
        """As the port says; a place answers for all that is there, also when nothing is there any more."""
        while True:
            here, in_files = self._here, self._in_files
            with suppress(Moved, MovedAway):
                answer = await call(here)
                if in_files or not await is_divided(here):
                    return answer
            await self._look(here)

    async def _one(self, call: Call[T]) -> T:
        while True:
            here = self._here
            with suppress(Moved, MovedAway):
                return await call(here)
            await self._look(here)

    async def _look(self, left: Engine) -> None:
        """Find the place that is the right one now, if nobody has yet."""
        async with self._looking:
            if self._here is left:
                self._here, self._in_files = await self._engines.look(self._owner, was_in_files=self._in_files)

    # -- what is not the same everywhere ---------------------------------------------------------------------------

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        """As the port says; a copy that is being made at the other place goes before this returns."""
        done = await super().erase(target, deleted_at, limit, erasure)
        away = Mark(target.connector, Stage.LEAVING, str(Topology.POSTGRES) if self._in_files else MAIN)
        if away in await self._here.marks(target.connector):
            await self._engines.drop_copy(self._owner, target.connector, in_files=self._in_files)
        return done

    # What is done at the one place alone, and not again at the other: that is not what was meant.

    async def forget_notes(self, notes: Collection[int]) -> None:
        await self._one(lambda engine: engine.forget_notes(notes))

    async def sanitize(self, timeout: float) -> bool:
        return await self._one(lambda engine: engine.sanitize(timeout))

    async def marks(self, connector: str | None = None) -> list[Mark]:
        return await self._one(lambda engine: engine.marks(connector))

    async def drained(self, source: str, seq: int) -> None:
        await self._one(lambda engine: engine.drained(source, seq))
