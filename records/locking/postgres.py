"""Rows of locks in PostgreSQL, beside what is central: by the clock of the database, whatever those of machines say.

Each step is one statement, so that nobody has a row while it waits for its own turn to go on: who only looks whether it
can have a lock has the row, too, and its owner waits to renew it.
"""

from collections.abc import Collection

from blobstore.postgres import Database
from records.locking.rows import Row


class PostgresRows:
    """Adapter of `records.locking.rows.Rows`, on the tables of `records.centrals.postgres`."""

    def __init__(self, db: Database, renewing: Database) -> None:
        """`renewing` has a connection for renewals alone: they must not wait until everybody else is served."""
        self._db = db
        self._renewing = renewing

    async def take(self, row: Row, seconds: float) -> bool:
        return await self._db.once(_TAKE, row.name, row.host, row.holder, row.detail, seconds) is not None

    async def renew(self, holders: Collection[str], seconds: float) -> set[str]:
        found = await self._renewing.once(_RENEW, list(holders), seconds)
        return set() if found is None else set(found[0])

    async def drop(self, holder: str) -> None:
        await self._db.once("DELETE FROM central.locks WHERE holder = $1", holder)

    async def others(self, host: str) -> list[Row]:
        return [Row(*row) for row in await self._db.fetch(_OTHERS, host)]


_TAKE = """
INSERT INTO central.locks (name, host, holder, detail, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (name) DO UPDATE
SET host = excluded.host, holder = excluded.holder, detail = excluded.detail, expires_at = excluded.expires_at
WHERE locks.host = excluded.host OR locks.expires_at <= clock_timestamp() RETURNING true
"""

# One moment for both: no row is renewed and has expired.
_RENEW = """
WITH renewed AS (
    UPDATE central.locks SET expires_at = now() + make_interval(secs => $2)
    WHERE holder = ANY ($1::text[]) AND expires_at > now() RETURNING holder
), forgotten AS (
    DELETE FROM central.locks WHERE name IN (
        SELECT name FROM central.locks WHERE expires_at <= now() FOR UPDATE SKIP LOCKED)
)
SELECT coalesce(array_agg(holder), '{}') FROM renewed
"""

_OTHERS = """
SELECT name, host, holder, detail FROM central.locks
WHERE host != $1 AND expires_at > clock_timestamp() ORDER BY name
"""
