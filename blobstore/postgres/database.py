"""Transactions on a PostgreSQL database: repeated where that is safe, and never done twice.

A transaction is a function that is handed a connection and awaits nothing but that connection's statements: so no lock
is held across anything else. It may run several times; only what it gives back the last time counts.

What fails is one of three. A serialization failure, a deadlock, or a connection that was lost before COMMIT was sent:
nothing was done, and it is repeated. A connection that was lost while COMMIT was under way: PostgreSQL is asked by the
transaction's number what became of it; then it is done, or repeated. Where it does not say (it stays away, or has
forgotten), `StorageUnavailable` is raised, which promises nothing either way. Anything else is an error.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

from asyncpg import Record

from blobstore.errors import StorageUnavailable
from blobstore.postgres.admission import Step
from blobstore.postgres.advisory import Advisory, advisory_key
from blobstore.postgres.connection import FAILURES, STATEMENT_TIMEOUT, Connection, Pool, pause, throw_away
from blobstore.postgres.errors import is_conflict, is_lost, translate
from blobstore.postgres.moment import Moment, moment
from blobstore.postgres.transaction import Attempt, Isolation, Work, committed, millis, snapshot
from blobstore.spans import span

__all__ = ["Connection", "Database", "Isolation", "Work", "changed"]

T = TypeVar("T")

POOL_SIZE = 10
"""Connections of one process, at most."""

CONFLICTS = 30.0
"""Seconds for which a transaction that loses against others is repeated."""

_NOTHING: Mapping[str, Sequence[Step]] = {}

GRACE = 5.0
"""Seconds that we wait longer than PostgreSQL itself should let us wait, before we take it to be stuck."""


class Database:
    """An open database. Make one with `open`; every method may be called from many tasks at once.

    `timeout` is everywhere in seconds, and bounds a try at the whole transaction, its waiting for locks included.
    Raises `StorageUnavailable` where PostgreSQL does not answer, `OutOfSpace` where its disk is full.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._closed = False

    @classmethod
    async def open(cls, url: str, *, size: int = POOL_SIZE, uses: Mapping[str, Sequence[Step]] = _NOTHING) -> Self:
        """At most `size` connections to the database of this `postgresql://` URL, each opened when it is needed.

        `uses`: schemas, and what this program knows of each: nobody takes a step that it does not know and must, and
        where one was taken every call raises `NewerVersion`.
        """
        return cls(await Pool.open(url, size, uses))

    async def close(self) -> None:
        """Finish what is under way, within bounds, and close. Harmless when called twice."""
        if not self._closed:
            self._closed = True
            await self._pool.close()

    def connections(self) -> tuple[int, int]:
        """Connections of this process that are open: busy, and idle."""
        return self._pool.connections()

    # -- reading ---------------------------------------------------------------------------------------------------

    async def fetch(self, sql: str, *values: object) -> list[Record]:
        """All rows of one query, which sees one moment; it must not write."""
        return await self._read(lambda db: db.fetch(sql, *values), STATEMENT_TIMEOUT)

    async def fetchrow(self, sql: str, *values: object) -> Record | None:
        """The first row of one query; None when there is none. It must not write."""
        return await self._read(lambda db: db.fetchrow(sql, *values), STATEMENT_TIMEOUT)

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first column of the first row of one query; None when there is none. It must not write."""
        return await self._read(lambda db: db.fetchval(sql, *values), STATEMENT_TIMEOUT)

    async def read(self, work: Work[T], *, timeout: float = STATEMENT_TIMEOUT) -> T:
        """Run the function on one moment's view of all. It cannot write, and must fetch what it gives back."""
        return await self._read(lambda db: snapshot(db, work, timeout), timeout)

    def moment(self) -> AbstractAsyncContextManager[Moment]:
        """One moment's view of all for the length of a block, however long that is. Rows that go keep their room."""
        self._require_open()
        return moment(self._pool)

    # -- writing ---------------------------------------------------------------------------------------------------

    async def write(
        self,
        work: Work[T],
        *,
        lock: str | Sequence[Advisory] | None = None,
        isolation: Isolation = Isolation.READ_COMMITTED,
        timeout: float = STATEMENT_TIMEOUT,
        settings: str = "",
    ) -> T:
        """Run the function in a transaction; when this returns it is committed, once, and durable.

        `lock`: of all transactions of this database that name the same lock one runs at a time, from before the
        function begins until it is committed; or several locks, taken in their order. `settings`: SQL that sets what
        is to hold in it (`BY_KEY`).
        """
        away: float | None = None
        deadline = time.monotonic() + CONFLICTS
        locks = [Advisory(advisory_key(lock))] if isinstance(lock, str) else lock or ()
        while True:
            self._require_open()
            attempt = Attempt(work, isolation, locks, timeout, settings)
            try:
                with span("postgres write"):
                    async with self._pool.connection(away) as db, asyncio.timeout(timeout + GRACE):
                        return await attempt.run(db)
            except FAILURES as error:
                if is_conflict(error) and time.monotonic() < deadline:
                    await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 -- so that they do not meet again
                    continue
                if not is_lost(error):
                    raise translate(error) from error
                if attempt.committing and await self._committed(attempt.number):
                    return attempt.results[0]
                away = await pause(away, error)

    async def once(self, sql: str, *values: object) -> Record | None:
        """One statement that writes, in one round trip; its first row. It is sent once and never repeated.

        For what may be there without harm when nobody heard so: `StorageUnavailable` says nothing of whether it is.
        """
        sent = False

        async def run(db: Connection) -> Record | None:
            nonlocal sent
            if sent:
                raise StorageUnavailable("PostgreSQL went away; what came of a statement is not known")
            sent = True
            return await db.fetchrow(sql, *values)

        return await self._read(run, STATEMENT_TIMEOUT)

    async def execute(self, sql: str, *values: object) -> int:
        """One statement in a transaction of its own; the number of rows that it changed."""
        return await self.write(lambda db: changed(db, sql, *values))

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each of the rows, in one transaction and few round trips."""
        await self.write(lambda db: db.executemany(sql, rows))

    async def outside(self, work: Work[T], *, timeout: float) -> T:
        """Run the function outside any transaction, once: for VACUUM and the like."""
        self._require_open()

        async def run(db: Connection) -> T:
            await db.execute(f"SET statement_timeout = {millis(timeout)}")
            result = await work(db)
            await db.execute("RESET statement_timeout; RESET lock_timeout")  # which the function may have set
            return result

        try:
            async with self._pool.connection() as db, asyncio.timeout(timeout + GRACE):
                try:
                    return await run(db)
                except BaseException:
                    throw_away(db)  # with its settings
                    raise
        except FAILURES as error:
            raise translate(error) from error

    # -- within ----------------------------------------------------------------------------------------------------

    async def _read(self, work: Work[T], timeout: float) -> T:
        away: float | None = None
        while True:
            self._require_open()
            try:
                with span("postgres read"):
                    async with self._pool.connection(away) as db, asyncio.timeout(timeout + GRACE):
                        return await work(db)
            except FAILURES as error:
                if not is_lost(error):
                    raise translate(error) from error
                away = await pause(away, error)

    async def _committed(self, number: str) -> bool:
        """What became of a COMMIT that got no answer. Raises `StorageUnavailable` where that cannot be known."""
        return await self._read(lambda db: committed(db, number), STATEMENT_TIMEOUT)

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("the database is closed")


async def changed(db: Connection, sql: str, *values: object) -> int:
    """Run one statement; the number of rows that it changed."""
    status = await db.execute(sql, *values)
    return int(status.rpartition(" ")[2])
