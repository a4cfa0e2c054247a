"""The engine of the topology `postgres`: the records of all owners in one PostgreSQL database, for any number of hosts.

`tables` has the tables, `schema` what the parts share; `writes`, `reads`, `changes`, `links`, `linking`, `erasure`,
`moving` and `events` are the parts of the port, by what they are for. No answer takes more than a few round trips,
however much is in it.
"""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from blobstore.errors import StorageUnavailable
from blobstore.postgres import Database, migrate
from blobstore.postgres.migrations import is_there
from records.engine import Engine
from records.engines.postgres.changes import History
from records.engines.postgres.check import disagreements
from records.engines.postgres.erasure import Erasure
from records.engines.postgres.events import Events
from records.engines.postgres.linking import Linkings
from records.engines.postgres.links import Links
from records.engines.postgres.moving import Moving
from records.engines.postgres.pieces import LONG
from records.engines.postgres.reads import Reads
from records.engines.postgres.resumming import mend_sums, wrong_sums
from records.engines.postgres.tables import STEPS
from records.engines.postgres.writes import Writes

__all__ = ["SCHEMA", "PostgresEngine", "PostgresEngines", "has_others"]

SCHEMA = "records"
"""The schema of the database that all tables are in."""

THREADS = 16
"""Threads that look at what is read: not fewer than a process has connections, so that none waits for a thread."""

_OWNER = re.compile(r"[a-z0-9]+\Z")


class PostgresEngine(Writes, Reads, History, Links, Linkings, Erasure, Moving, Events):
    """Adapter of `records.engine.Engine`."""

    def regardless(self) -> "PostgresEngine":
        return type(self)(self._database, self._owner, self._threads, self._clock, regardless=True)

    async def check(self) -> list[str]:
        return await self._database.read(lambda db: disagreements(db, self._owner))

    async def resum(self, *, repair: bool) -> list[str]:
        wrong = await self._database.read(lambda db: wrong_sums(db, self._owner), timeout=LONG)
        if wrong and repair:
            await self._database.write(lambda db: mend_sums(db, self._owner), timeout=LONG)
        return wrong

    async def close(self) -> None:
        """As the port says; the database stays open: others use it."""
        self._opened = None


class PostgresEngines:
    """Adapter of `records.engine.Engines`: owners are made in the database when they are first asked for."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """`database` must have been migrated (`open` does it), and is closed by whoever opened it."""
        self._database = database
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "records")
        self._engines: dict[str, PostgresEngine] = {}
        self._opening = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(cls, database: Database, clock: Callable[[], float] = time.time) -> "PostgresEngines":
        """Make or migrate the tables if need be; any number of processes may do so at once."""
        await migrate(database, SCHEMA, STEPS)
        return cls(database, clock)

    async def of(self, owner: str) -> Engine:
        """As the port says. Raises `ValueError` for what is no owner's id."""
        if not _OWNER.match(owner):
            raise ValueError("an owner's id has lower-case letters and digits only")
        async with self._opening:
            self._require_open()
            if owner not in self._engines:
                if not await self._is_there(owner):
                    await self._database.execute("INSERT INTO records.owners VALUES ($1) ON CONFLICT DO NOTHING", owner)
                self._engines[owner] = PostgresEngine(self._database, owner, self._threads, self._clock)
            return self._engines[owner]

    async def find(self, owner: str) -> Engine | None:
        if _OWNER.match(owner) and (owner in self._engines or await self._is_there(owner)):
            return await self.of(owner)
        return None

    async def close(self) -> None:
        """Close every engine. Harmless when called twice."""
        async with self._opening:
            self._closed = True
            for engine in self._engines.values():
                await engine.close()
            self._threads.shutdown(wait=False)

    async def _is_there(self, owner: str) -> bool:
        sql = "SELECT EXISTS (SELECT FROM records.owners WHERE owner = $1)"
        return bool(await self._database.fetchval(sql, owner))

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("the records are closed")


async def has_others(database: Database, store_id: str) -> bool:
    """Whether records of another store are in the database; it need not have been migrated."""
    if not await is_there(database, SCHEMA, "owners"):
        return False
    sql = "SELECT EXISTS (SELECT 1 FROM records.owners WHERE split_part(name, '/', 1) <> $1)"
    return bool(await database.fetchval(sql, store_id))
