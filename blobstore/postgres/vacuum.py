"""What dead rows still show in a PostgreSQL database, and how it goes.

A row that was deleted or replaced stays in its page until no snapshot can see it any more and VACUUM has come by. Small
numbers of dead rows VACUUM leaves in the indexes unless it is told not to; an index shows what it is over.
"""

import asyncio
import time
from collections.abc import Iterable

import asyncpg

from blobstore.postgres.database import Connection, Database

_PAUSE = 0.05
"""Seconds between two looks at who stands in the way."""

_NUMBER = "SELECT pg_current_xact_id()::xid::text"

# Those that VACUUM itself waits for: snapshots of this database's sessions and of standbys that ask for it, slots and
# prepared transactions. Sessions that run a VACUUM hold nothing up.
_OLDER = """
SELECT EXISTS (
    SELECT 1 FROM pg_stat_activity WHERE pid != pg_backend_pid()
        AND (datname IS NULL OR datname = current_database())
        AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
        AND greatest(age(backend_xmin), age(backend_xid)) > age($1::text::xid)
) OR EXISTS (SELECT 1 FROM pg_replication_slots WHERE age(xmin) > age($1::text::xid))
  OR EXISTS (
    SELECT 1 FROM pg_prepared_xacts WHERE database = current_database() AND age(transaction) > age($1::text::xid)
)
"""


async def vacuum(db: Database, tables: Iterable[str], timeout: float) -> bool:
    """Make room of all that rows of these tables held before this call.

    False when, for `timeout` seconds, a transaction that may still see some of it stood in the way, or VACUUM took
    longer. Readers and writers go on meanwhile.
    """
    deadline = time.monotonic() + timeout
    number = await db.write(lambda each: each.fetchval(_NUMBER))
    while await db.fetchval(_OLDER, number):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_PAUSE)
    for table in tables:
        if not await _vacuum(db, table, deadline - time.monotonic()):
            return False
    return True


async def _vacuum(db: Database, table: str, timeout: float) -> bool:
    async def run(connection: Connection) -> bool:
        try:
            await connection.execute(f"VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) {table}", timeout=limit + 5.0)
        except asyncpg.QueryCanceledError:  # the time is over
            return False
        return True

    limit = max(timeout, 1.0)
    return await db.outside(run, timeout=limit)
