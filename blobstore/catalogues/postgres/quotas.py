"""Limits, what counts against them, and the room that leases have reserved."""

from blobstore.catalogue import Lease
from blobstore.catalogues.postgres.counting import Changes
from blobstore.catalogues.postgres.schema import OnDatabase, lock_namespaces
from blobstore.catalogues.postgres.totals import mend_totals, wrong_totals
from blobstore.errors import LeaseLost
from blobstore.postgres import Connection, Database, Record
from blobstore.quota import EVERY, NOTHING_BESIDE, WHOLE, Beside, Limit, Volume, require_possible, require_room

LOST = "the upload took too long or its target was erased; nothing of it was kept: send it again"

RECOUNT_TIMEOUT = 3600.0
"""Seconds for adding up all rows."""


class Quotas(OnDatabase):
    """The part of the port about quotas."""

    async def limit(self, limit: Limit) -> None:
        sql = """
            INSERT INTO catalogue.limits (namespace, holder, bytes) VALUES ($1, $2, $3)
            ON CONFLICT (namespace, holder) DO UPDATE SET bytes = excluded.bytes"""
        await self._database.execute(sql, limit.namespace, limit.holder.encode(), limit.bytes)

    async def unlimit(self, namespace: str, holder: str) -> bool:
        sql = "DELETE FROM catalogue.limits WHERE namespace = $1 AND holder = $2"
        return bool(await self._database.execute(sql, namespace, holder.encode()))

    async def limits(self) -> list[Limit]:
        sql = "SELECT namespace, holder, bytes FROM catalogue.limits ORDER BY namespace, holder"
        rows = await self._database.fetch(sql)
        return [Limit(namespace, holder.decode(), size) for namespace, holder, size in rows]

    async def volume(self, namespace: str, holder: str = WHOLE) -> Volume:
        (row,) = await self._database.fetch(_VOLUMES, namespace, *_asked(holder))
        return _volume(namespace, row)

    async def volumes(self) -> list[Volume]:
        sql = """
            SELECT namespace, holder, stored, reserved FROM catalogue.volumes
            WHERE stored != 0 OR reserved != 0 ORDER BY namespace, holder"""
        return [Volume(ns, holder.decode(), *sizes) for ns, holder, *sizes in await self._database.fetch(sql)]

    async def reserved(self) -> int:
        return await reserved(self._database)

    async def reserve(self, lease: Lease, size: int, beside: Beside = NOTHING_BESIDE) -> None:
        key = (lease.namespace, lease.id)

        async def run(db: Connection) -> None:
            before = await db.fetchval("SELECT reserved FROM catalogue.leases WHERE namespace = $1 AND id = $2", *key)
            if before is None:
                raise LeaseLost(LOST)
            await require(db, lease, size, size - before, beside)
            sql = "UPDATE catalogue.leases SET reserved = $3 WHERE namespace = $1 AND id = $2"
            await db.execute(sql, *key, size)
            changes = Changes()
            changes.reserved(lease.namespace, lease.holder.encode(), size - before)
            await changes.write(db)

        await self._write_by_key(lease.namespace, run)

    async def recount(self, *, repair: bool) -> list[Volume]:
        wrong = await self._database.read(_wrong, timeout=RECOUNT_TIMEOUT)
        namespaces = {each.namespace for each in wrong}

        async def mend(db: Connection) -> list[Volume]:
            await lock_namespaces(db, namespaces)
            still = [each for each in await _wrong(db) if each.namespace in namespaces]
            await mend_totals(db, namespaces)
            await db.execute(_UNCOUNT, [each.namespace for each in still], [each.holder.encode() for each in still])
            changes = Changes()
            for each in still:
                changes.set(each.namespace, each.holder.encode(), each.stored, each.reserved)
            await changes.write(db)
            return still

        if not repair or not wrong:
            return wrong
        return await self._database.write(mend, timeout=RECOUNT_TIMEOUT)


async def reserved(database: Database) -> int:
    """As `Catalogue.reserved`."""
    return int(await database.fetchval("SELECT coalesce(sum(reserved), 0)::bigint FROM catalogue.leases"))


async def require(db: Connection, lease: Lease, size: int, more: int, beside: Beside) -> None:
    """Raise `OverQuota` where an upload of `size` bytes so far has no room for `more`, in the transaction that is open.

    Under the namespace's lock: what was reserved before is seen.
    """
    if size == 0:
        return  # whoever asks for nothing is never refused
    for row in await db.fetch(_VOLUMES, lease.namespace, *_asked(lease.holder, WHOLE)):
        volume = _volume(lease.namespace, row)
        require_possible(volume, size)
        require_room(volume, more, beside)


def _asked(*holders: str) -> tuple[list[bytes], list[bytes]]:
    """Holders, and which limit is each one's where none names it."""
    return [each.encode() for each in holders], [(WHOLE if each == WHOLE else EVERY).encode() for each in holders]


def _volume(namespace: str, row: Record) -> Volume:
    holder, stored, reserved, limit = row
    return Volume(namespace, holder.decode(), stored, reserved, limit)


async def _wrong(db: Connection) -> list[Volume]:
    wrong = [Volume(namespace, holder.decode(), *sizes) for namespace, holder, *sizes in await db.fetch(_WRONG)]
    others = sorted(set(await wrong_totals(db)) - {each.namespace for each in wrong})
    sql = "SELECT namespace, stored, reserved FROM catalogue.volumes WHERE holder = '' AND namespace = ANY ($1::text[])"
    known = {namespace: sizes for namespace, *sizes in await db.fetch(sql, others)}
    return wrong + [Volume(each, WHOLE, *known.get(each, (0, 0))) for each in others]


_VOLUMES = """
SELECT x.holder, coalesce(v.stored, 0), coalesce(v.reserved, 0), l.bytes
FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS x (holder, any_holder, place)
LEFT JOIN catalogue.volumes v ON v.namespace = $1 AND v.holder = x.holder
LEFT JOIN LATERAL (
    SELECT bytes FROM catalogue.limits
    WHERE namespace IN ($1, '*') AND holder IN (x.holder, x.any_holder)
    ORDER BY namespace = '*', holder = '*'::bytea LIMIT 1
) l ON TRUE
ORDER BY x.place
"""
_SIZE = """
(SELECT coalesce(max(size), 0) FROM catalogue.blobs b WHERE b.namespace = x.namespace AND b.digest = x.digest)
"""
_ADDED_UP = f"""
SELECT namespace, ''::bytea AS holder, sum(size) AS stored, 0 AS reserved FROM catalogue.blobs
    WHERE reason IS DISTINCT FROM 'moved' GROUP BY namespace
UNION ALL SELECT namespace, holder, sum({_SIZE}), 0 FROM (
    SELECT namespace, digest, holder FROM catalogue.holders
    UNION SELECT namespace, digest, holder FROM catalogue.claims) x GROUP BY namespace, holder
UNION ALL SELECT namespace, ''::bytea, 0, sum(reserved) FROM catalogue.leases GROUP BY namespace
UNION ALL SELECT namespace, holder, 0, sum(reserved) FROM catalogue.leases GROUP BY namespace, holder
"""
_WRONG = f"""
WITH t AS (
    SELECT namespace, holder, sum(stored)::bigint AS stored, sum(reserved)::bigint AS reserved
    FROM ({_ADDED_UP}) added GROUP BY namespace, holder HAVING sum(stored) > 0 OR sum(reserved) > 0)
SELECT namespace, holder, coalesce(t.stored, 0), coalesce(t.reserved, 0)
FROM t FULL JOIN catalogue.volumes v USING (namespace, holder)
WHERE (coalesce(v.stored, 0), coalesce(v.reserved, 0)) IS DISTINCT FROM (coalesce(t.stored, 0), coalesce(t.reserved, 0))
ORDER BY namespace, holder
"""
_UNCOUNT = """
DELETE FROM catalogue.volumes v USING unnest($1::text[], $2::bytea[]) AS x (namespace, holder)
WHERE v.namespace = x.namespace AND v.holder = x.holder
"""
