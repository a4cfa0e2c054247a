"""Rows of locks in PostgreSQL, beside what is central: by the clock of the database, whatever those of machines say."""

from collections.abc import Collection

from blobstore.postgres import Connection, Database
from records.locking.rows import Row


class PostgresRows:
    """Adapter of `records.locking.rows.Rows`, on the tables of `records.centrals.postgres`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def take(self, row: Row, seconds: float) -> bool:
        values = (row.name, row.host, row.holder, row.detail, seconds)
        return bool(await self._db.write(lambda db: db.fetchval(_TAKE, *values)))

    async def renew(self, holders: Collection[str], seconds: float) -> set[str]:
        async def work(db: Connection) -> set[str]:
            renewed = {holder for (holder,) in await db.fetch(_RENEW, list(holders), seconds)}
            await db.execute(_FORGET)
            return renewed

        return await self._db.write(work)

    async def drop(self, holder: str) -> None:
        await self._db.execute("DELETE FROM central.locks WHERE holder = $1", holder)

    async def others(self, host: str) -> list[Row]:
        return [Row(*row) for row in await self._db.fetch(_OTHERS, host)]


_TAKE = """
INSERT INTO central.locks (name, host, holder, detail, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (name) DO UPDATE
SET host = excluded.host, holder = excluded.holder, detail = excluded.detail, expires_at = excluded.expires_at
WHERE locks.host = excluded.host OR locks.expires_at <= clock_timestamp() RETURNING true
"""

_RENEW = """
UPDATE central.locks SET expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE holder = ANY ($1::text[]) AND expires_at > clock_timestamp() RETURNING holder
"""

_FORGET = """
DELETE FROM central.locks WHERE name IN (
    SELECT name FROM central.locks WHERE expires_at <= clock_timestamp() FOR UPDATE SKIP LOCKED
)
"""

_OTHERS = """
SELECT name, host, holder, detail FROM central.locks
WHERE host != $1 AND expires_at > clock_timestamp() ORDER BY name
"""
