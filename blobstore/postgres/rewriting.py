"""A table and its indexes written anew, from live rows alone.

VACUUM makes the room of dead rows free, but leaves the bytes in it until other rows need it. Only a table that is
written to new files shows nothing of them. While it is, nobody else can use it: for small tables.
"""

import asyncio
import time
from collections.abc import Iterable

import asyncpg

from blobstore.postgres.database import Connection, Database

LOCK_WAIT = 0.2
"""Seconds to wait for those who use the table; others who come meanwhile wait behind us, so not for longer."""

_PAUSE = 0.1
"""Seconds between two tries, in which others get on."""


async def rewrite(database: Database, tables: Iterable[str], timeout: float) -> bool:
    """Write these tables anew; False when somebody used one for `timeout` seconds without a pause."""
    deadline = time.monotonic() + timeout
    for table in tables:
        while not await _rewrite(database, table, max(1.0, deadline - time.monotonic())):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_PAUSE)
    return True


async def _rewrite(database: Database, table: str, timeout: float) -> bool:
    async def run(db: Connection) -> bool:
        await db.execute(f"SET lock_timeout = {int(LOCK_WAIT * 1000)}")
        try:
            await db.execute(f"VACUUM (FULL) {table}")
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
            return False
        return True

    return await database.outside(run, timeout=timeout)
