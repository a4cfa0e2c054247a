"""One moment of a whole database, looked at for as long as it takes: for copies of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asyncpg import Record

from blobstore.postgres.connection import FAILURES, Connection, Pool
from blobstore.postgres.errors import translate
from blobstore.postgres.transaction import undo

# The snapshot is taken by the first statement that reads.
_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SELECT 1
"""


class Moment:
    """Reads as a `Database` does, all of the same moment. May be used by many tasks; their queries wait in line."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._lock = asyncio.Lock()

    async def fetch(self, sql: str, *values: object) -> list[Record]:
        """All rows of one query."""
        async with self._turn() as db:
            return await db.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: object) -> Record | None:
        """The first row of one query; None when there is none."""
        async with self._turn() as db:
            return await db.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first column of the first row of one query; None when there is none."""
        async with self._turn() as db:
            return await db.fetchval(sql, *values)

    async def copy(self, schema: str, table: str, target: Path) -> None:
        """Write all rows of a table to a file, in PostgreSQL's binary format. It is not made durable."""
        async with self._turn() as db:
            await db.copy_from_table(table, schema_name=schema, output=target, format="binary")

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Connection]:
        try:
            async with self._lock:
                yield self._db
        except FAILURES as error:
            raise translate(error) from error


@asynccontextmanager
async def moment(pool: Pool) -> AsyncIterator[Moment]:
    """The moment at which the block begins. What is removed from then on keeps its room until the block ends."""
    async with pool.connection() as db:
        try:
            await db.execute(_BEGIN)
            yield Moment(db)
        finally:
            await undo(db)
