"""From a connector to its shard: opened, woken, and looked for again where it has moved."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from blobstore.errors import Damaged, Missing, Moved, NewerVersion, StorageUnavailable, WrongStore
from records.central import Central
from records.engine import Engine
from records.engines.sharded.file import Asleep, Sealed
from records.engines.sharded.homes import Homes
from records.engines.sharded.merging import Run, bytes_of
from records.engines.sharded.pool import Pool
from records.engines.sharded.remembered import Remembered
from records.engines.sharded.shard import Outliving, Shard
from records.engines.sharded.switching import mend, placing, remove_files
from records.engines.sharded.telling import Stats
from records.engines.sqlite import SqliteEngine
from records.errors import SourceDamaged, SourceDown
from records.layout import Topology
from records.shards import Home
from records.transfer import NEW

T = TypeVar("T")

_FOR_GOOD = (Damaged, Missing, NewerVersion, WrongStore)
"""What trying again does not help against."""

HERE = "per-connector"
"""In the mark of an owner's one file: connectors of which nothing is kept there get shards of their own."""

AT_ONCE = 8
"""Shards of one request that are asked at the same time."""

Require = Callable[[str, str | None, Engine], Awaitable[None]]
"""Raises where the engine (of an owner, in a shard) is not what belongs there."""


@dataclass(slots=True)
class Surroundings:
    """What the engines of all owners of a process share. `directory` has their files."""

    directory: Path
    central: Central
    require: Require
    pool: Pool = field(default_factory=Pool)
    remembered: Remembered[Run | Stats] = field(default_factory=lambda: Remembered(bytes_of))
    clock: Callable[[], float] = time.time


class Routing:
    """What the parts of a sharded engine share."""

    def __init__(self, owner: str, main: SqliteEngine, around: Surroundings) -> None:
        self._owner = owner
        self._main = main
        self._around = around
        self._central = around.central
        self._homes = Homes(owner, around.central)
        self._numbers: dict[str, int] = {}
        """What writes of this process to each shard go by."""
        self._right: set[str] = set()
        self._lively: set[str] = set()
        """Shards that had events when they were last asked."""
        self._regardless = False
        self.patience: Callable[[str], Awaitable[None]] = _no_patience
        """Waits for a connector that is marked where it lives, or mends that."""
        self._closed = False
        self._waking = asyncio.Lock()
        self._placing = asyncio.Lock()
        self._asking = asyncio.Semaphore(AT_ONCE)

    # -- one connector ---------------------------------------------------------------------------------------------

    async def _ask(self, connector: str, call: Callable[[Engine], Awaitable[T]]) -> T:
        """What the connector's shard says; where it has none, what an engine says that knows nothing of it."""
        while True:
            home = await self._homes.of(connector)
            if home is None:
                return await self._ask_main(connector, call)
            try:
                async with self._opened(connector, home.shard) as shard:
                    return await call(shard)
            except Moved as error:
                await self._mended(connector, home, error)

    async def _tell(self, connector: str, call: Callable[[Engine], Awaitable[T]]) -> T:
        """As `_ask`, for what writes: there is a shard, made if need be, and it is awake."""
        while True:
            if await self._homes.of(connector) is None and await self._is_served_in_main(connector):
                return await call(self._main)
            home = await self._home(connector)
            try:
                async with self._opened(connector, home.shard) as shard:
                    return await self._awake(connector, shard, call)
            except Moved as error:
                await self._mended(connector, home, error)

    async def _ask_main(self, connector: str, call: Callable[[Engine], Awaitable[T]]) -> T:
        """What the one file says of a connector that has no home: it lives there, or nowhere yet."""
        try:
            return await call(self._main)
        except Moved:
            if not await self._is_new(connector):
                raise
            return await call(self._main.regardless())

    async def _is_served_in_main(self, connector: str) -> bool:
        """Whether a connector without a home is written to in the one file: it is kept there, or what is new is."""
        if connector in await self._main.connectors():
            return True
        return not await self._main.marks(NEW)

    async def _is_new(self, connector: str) -> bool:
        """Whether nothing is kept of it, and it would get a shard of its own."""
        marks = {mark.connector: mark for mark in await self._main.marks()}
        new = marks.get(NEW)
        return (
            new is not None
            and new.other == HERE
            and connector not in marks
            and connector not in await self._main.connectors()
        )

    async def _awake(self, connector: str, shard: Shard, call: Callable[[Engine], Awaitable[T]]) -> T:
        while True:
            number = shard.number
            try:
                return await call(shard)
            except Asleep:
                async with self._waking:
                    if shard.number == number:
                        await self._wake(connector, shard)

    async def _wake(self, connector: str, shard: Shard) -> None:
        number = await self._central.wake(self._owner, connector, shard.path.stem)
        if number is None:
            raise Moved(f"{connector} has moved")
        self._numbers[shard.path.stem] = shard.number = number

    async def _mended(self, connector: str, home: Home, error: Moved) -> None:
        """Look again; raise the error where there is a mark that this cannot mend.

        Of a seal another task may have taken it off meanwhile: then nothing is the matter any more.
        """
        if not await self._moved(connector, home) and not isinstance(error, Sealed):
            raise error

    async def _moved(self, connector: str, home: Home) -> bool:
        """Who was to be found in `home` is not: True when there is another place to look, or this one is mended.

        Raises `SourceDamaged` where there is no such file.
        """
        await self._around.pool.drop(home.shard)
        now = (await self._homes.now()).get(connector)
        still = partial(self._still, connector, home.shard)
        if now is None or now.shard != home.shard:
            return True
        try:
            return await mend(self._path(home.shard), still)
        except FileNotFoundError:
            part = Topology.PER_CONNECTOR.records(self._owner, home.shard)
            missing = Missing(f"{part}: the records of {connector} are missing; restore them from a backup")
            raise SourceDamaged(connector) from missing

    async def _still(self, connector: str, shard: str) -> int | None:
        """The number of the shard, if the connector lives there now."""
        now = (await self._homes.now()).get(connector)
        return now.number if now is not None and now.shard == shard else None

    async def hold(self, connector: str) -> tuple[SqliteEngine, AsyncExitStack]:
        """Where the connector lives, kept open until the stack is closed."""
        while True:
            home = await self._homes.of(connector)
            async with AsyncExitStack() as stack:
                if home is None:
                    new = await self._is_new(connector)
                    return self._main.regardless() if new else self._main, stack.pop_all()
                try:
                    return await stack.enter_async_context(self._opened(connector, home.shard)), stack.pop_all()
                except Moved as error:
                    await self._mended(connector, home, error)

    async def look_again(self, connector: str) -> None:
        """It was not where it was held: see `_moved`."""
        home = await self._homes.of(connector)
        if home is None or not await self._moved(connector, home):
            await self.patience(connector)

    # -- opening ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _opened(self, connector: str, shard: str) -> AsyncIterator[Shard]:
        """Its errors name the connector: they are of it alone."""
        try:
            async with self._around.pool.use(shard, partial(self._open, shard)) as opened:
                yield opened.regardless() if self._regardless else opened
        except (Moved, SourceDown):
            raise
        except _FOR_GOOD as error:
            raise SourceDamaged(connector) from error
        except StorageUnavailable as error:
            raise SourceDown(connector) from error

    async def _open(self, shard: str) -> Shard:
        opened = await Shard.begin(self._path(shard), self._around.clock, make=False)
        try:
            opened.number = self._numbers.get(shard, 0)
            if shard not in self._right:
                await self._around.require(self._owner, shard, opened)
                self._right.add(shard)
        except Asleep as error:  # it has no name yet, so it was put in the place of one that has
            await opened.close()
            raise WrongStore(f"{self._owner}/{shard}.db was never written to; restore the right one") from error
        except BaseException:
            await opened.close()
            raise
        return opened

    async def _home(self, connector: str) -> Home:
        """Where it lives; a new shard where it has none. The file is made first: a home without one is a loss."""
        if (there := await self._homes.of(connector)) is not None:
            return there
        async with self._placing:
            if (there := await self._homes.of(connector)) is not None:
                return there
            shard = secrets.token_hex(8)
            async with placing(self._path(shard).parent):
                if not await self._is_new(connector):
                    raise Moved(f"{connector} has another place")
                await self._make(shard)
                home = await self._central.place(self._owner, connector, shard)
            if home.shard == shard:
                self._numbers[shard] = 1
            else:
                await asyncio.to_thread(remove_files, self._path(shard))
            return home

    async def _make(self, shard: str, rows: Outliving | None = None) -> None:
        """Make the file, empty or with what outlived another."""
        made = await Shard.begin(self._path(shard), self._around.clock, make=True)
        try:
            made.number = 1
            if rows is None:
                await made.land(await self._main.base())
            else:
                await made.outlive(rows)
            await self._around.require(self._owner, shard, made)
        finally:
            await made.close()

    def _path(self, shard: str) -> Path:
        return self._around.directory / self._owner / f"{shard}.db"

    # -- many connectors -------------------------------------------------------------------------------------------

    async def _ask_all(self, connectors: Iterable[str], call: Callable[[str, Engine], Awaitable[T]]) -> Mapping[str, T]:
        """What each of their shards says, whatever its marks, some at the same time; all of them must answer."""
        answers, silent = await self._ask_some(connectors, call)
        for connector in sorted(silent):
            raise silent[connector]
        return answers

    async def _ask_some(
        self, connectors: Iterable[str], call: Callable[[str, Engine], Awaitable[T]]
    ) -> tuple[Mapping[str, T], Mapping[str, SourceDown]]:
        """As `_ask_all`, and why those do not answer that do not."""
        silent: dict[str, SourceDown] = {}
        answers: dict[str, T] = {}

        async def one(connector: str) -> None:
            try:
                async with self._asking:
                    answers[connector] = await self._ask(connector, lambda engine: call(connector, engine.regardless()))
            except SourceDown as error:
                silent[connector] = error

        await asyncio.gather(*(one(each) for each in sorted(connectors)))
        return answers, silent


async def _no_patience(connector: str) -> None:
    raise Moved(f"{connector} has moved")
