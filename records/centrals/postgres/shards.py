"""Where records live, in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from blobstore.postgres import Connection, Record, changed
from records.centrals.postgres.schema import OnDatabase, lock, raw, text
from records.shards import Home, Left, Shards

_TOPOLOGY = "SELECT topology, revision FROM central.topologies WHERE owner = $1"
_TOPOLOGIES = "SELECT owner, topology FROM central.topologies WHERE topology IS NOT NULL"
_HOME = "shard, number, rests, notes, stale, oldest, holds"
_HOMES = f"""
SELECT topology, revision, connector, {_HOME} FROM central.topologies LEFT JOIN central.homes USING (owner)
WHERE owner = $1
"""
_CHANGE = """
INSERT INTO central.topologies (owner, revision) VALUES ($1, 1)
ON CONFLICT (owner) DO UPDATE SET revision = topologies.revision + 1
"""
_WAKE = """
UPDATE central.homes SET number = number + 1, rests = false, holds = NULL
WHERE owner = $1 AND connector = $2 AND shard = $3
RETURNING number
"""
_REST = """
UPDATE central.homes SET rests = true, notes = $5, stale = $6, oldest = $7,
    holds = CASE WHEN (SELECT erased_at FROM central.owners WHERE id = $1) IS NULL THEN $8::bytea END
WHERE owner = $1 AND connector = $2 AND shard = $3 AND number = $4
"""


class Homes(OnDatabase):
    """The part of the port about shards."""

    async def shards(self, owner: str) -> Shards:
        rows = await self._db.fetch(_HOMES, owner)
        if not rows:
            return Shards()
        topology, revision = rows[0][:2]
        homes = {text(connector): _home(home) for _, _, connector, *home in rows if connector is not None}
        return Shards(topology, homes, revision)

    async def shards_revision(self, owner: str) -> int:
        row = await self._db.fetchrow(_TOPOLOGY, owner)
        return 0 if row is None else int(row[1])

    async def set_topology(self, owner: str, source: str | None, to: str) -> bool:
        async def work(db: Connection) -> bool:
            await lock(db, owner)
            row = await db.fetchrow(_TOPOLOGY, owner)
            if (row and row[0]) != source:
                return False
            await db.execute(_CHANGE, owner)
            await db.execute("UPDATE central.topologies SET topology = $2 WHERE owner = $1", owner, to)
            return True

        return await self._db.write(work)

    async def topologies(self) -> dict[str, str]:
        return {str(owner): str(topology) for owner, topology in await self._db.fetch(_TOPOLOGIES)}

    async def place(self, owner: str, connector: str, shard: str) -> Home:
        async def work(db: Connection) -> Home:
            await lock(db, owner)
            there = await _find(db, owner, connector)
            if there is None:
                await _put(db, owner, connector, shard)
            return there or Home(shard, 1)

        return await self._db.write(work)

    async def move(self, owner: str, connector: str, source: str | None, to: str | None) -> bool:
        async def work(db: Connection) -> bool:
            await lock(db, owner)
            there = await _find(db, owner, connector)
            if (there and there.shard) != source:
                return False
            await db.execute("DELETE FROM central.homes WHERE owner = $1 AND connector = $2", owner, raw(connector))
            await _put(db, owner, connector, to)
            return True

        return await self._db.write(work)

    async def wake(self, owner: str, connector: str, shard: str) -> int | None:
        async def work(db: Connection) -> int | None:
            await lock(db, owner)
            number: int | None = await db.fetchval(_WAKE, owner, raw(connector), shard)
            if number is not None:
                await db.execute(_CHANGE, owner)
            return number

        return await self._db.write(work)

    async def rest(self, owner: str, connector: str, shard: str, number: int, left: Left) -> bool:
        async def work(db: Connection) -> bool:
            await lock(db, owner)
            place = (owner, raw(connector), shard, number)
            if not await changed(db, _REST, *place, left.notes, left.stale, left.oldest, left.holds):
                return False
            await db.execute(_CHANGE, owner)
            return True

        return await self._db.write(work)


async def _find(db: Connection, owner: str, connector: str) -> Home | None:
    sql = f"SELECT {_HOME} FROM central.homes WHERE owner = $1 AND connector = $2"
    row: Record | None = await db.fetchrow(sql, owner, raw(connector))
    return None if row is None else _home(tuple(row))


async def _put(db: Connection, owner: str, connector: str, shard: str | None) -> None:
    if shard is not None:
        sql = "INSERT INTO central.homes (owner, connector, shard) VALUES ($1, $2, $3)"
        await db.execute(sql, owner, raw(connector), shard)
    await db.execute(_CHANGE, owner)


def _home(row: Sequence[Any]) -> Home:
    shard, number, rests, *left = row
    return Home(shard, number, Left(*left) if rests else None)
