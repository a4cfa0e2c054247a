"""Limits, what counts against them, and the room that leases have reserved."""

from dataclasses import replace

from blobstore.catalogue import Lease
from blobstore.catalogues.sqlite.schema import OnFile
from blobstore.catalogues.sqlite.totals import mend_totals, wrong_totals
from blobstore.errors import LeaseLost
from blobstore.quota import EVERY, NOTHING_BESIDE, WHOLE, Beside, Limit, Volume, require_possible, require_room
from blobstore.sqlite import sqlite3
from blobstore.sqlite.recalled import size_of

LOST = "the upload took too long or its target was erased; nothing of it was kept: send it again"

_LIMIT = """
SELECT bytes FROM limits WHERE namespace IN (?, ?) AND holder IN (?, ?) ORDER BY namespace = ?, holder = ? LIMIT 1
"""
_SIZE = "(SELECT coalesce(max(size), 0) FROM blobs b WHERE b.namespace = x.namespace AND b.digest = x.digest)"
_OTHERS = "x.namespace = o.namespace AND x.digest = o.digest AND x.holder = o.holder"
# Grouped in the order of indexes, so that nothing is gathered in memory: holders, then claims of who does not hold the
# blob, the first of each.
_ADDED_UP = f"""
SELECT namespace, '' AS holder, sum(size) AS stored, 0 AS reserved FROM blobs WHERE reason IS NOT 'moved'
    GROUP BY namespace
UNION ALL SELECT namespace, holder, sum({_SIZE}), 0 FROM holders x GROUP BY namespace, holder
UNION ALL SELECT namespace, holder, sum({_SIZE}), 0 FROM claims x
    WHERE NOT EXISTS (SELECT 1 FROM holders o WHERE {_OTHERS})
      AND NOT EXISTS (SELECT 1 FROM claims o WHERE {_OTHERS} AND o.slot < x.slot) GROUP BY namespace, holder
UNION ALL SELECT namespace, '', 0, sum(reserved) FROM leases GROUP BY namespace
UNION ALL SELECT namespace, holder, 0, sum(reserved) FROM leases GROUP BY namespace, holder
"""
_TRUE = f"""
SELECT namespace, holder, sum(stored) AS stored, sum(reserved) AS reserved FROM ({_ADDED_UP})
GROUP BY namespace, holder HAVING sum(stored) > 0 OR sum(reserved) > 0
"""
_WRONG = f"""
WITH t AS ({_TRUE})
SELECT t.namespace, t.holder, t.stored, t.reserved FROM t LEFT JOIN volumes v USING (namespace, holder)
WHERE (v.stored, v.reserved) IS NOT (t.stored, t.reserved)
UNION ALL
SELECT v.namespace, v.holder, 0, 0 FROM volumes v LEFT JOIN t USING (namespace, holder)
WHERE t.namespace IS NULL AND (v.stored != 0 OR v.reserved != 0)
ORDER BY 1, 2
"""


class Quotas(OnFile):
    """The part of the port about quotas."""

    async def limit(self, limit: Limit) -> None:
        sql = "INSERT INTO limits VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes"
        await self._file.execute(sql, (limit.namespace, limit.holder, limit.bytes))

    async def unlimit(self, namespace: str, holder: str) -> bool:
        sql = "DELETE FROM limits WHERE namespace = ? AND holder = ?"
        return bool(await self._file.execute(sql, (namespace, holder)))

    async def limits(self) -> list[Limit]:
        sql = "SELECT namespace, holder, bytes FROM limits ORDER BY namespace, holder"
        rows = await self._file.recall(("limits",), lambda db: db.execute(sql).fetchall(), size_of)
        return [Limit(*row) for row in rows]

    async def volume(self, namespace: str, holder: str = WHOLE) -> Volume:
        return await self._file.read(lambda db: _volume(db, namespace, holder))

    async def volumes(self) -> list[Volume]:
        sql = "SELECT * FROM volumes WHERE stored != 0 OR reserved != 0 ORDER BY namespace, holder"
        return [Volume(*row) for row in await self._file.read(lambda db: db.execute(sql).fetchall())]

    async def reserved(self) -> int:
        return await self._file.recall(("reserved",), reserved)

    async def reserve(self, lease: Lease, size: int, beside: Beside = NOTHING_BESIDE) -> None:
        def run(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT reserved FROM leases WHERE id = ?", (lease.id,)).fetchone()
            if row is None:
                raise LeaseLost(LOST)
            require(db, lease, size, size - row[0], beside)
            db.execute("UPDATE leases SET reserved = ? WHERE id = ?", (size, lease.id))

        await self._file.write(run)

    async def recount(self, *, repair: bool) -> list[Volume]:
        def look(db: sqlite3.Connection) -> list[Volume]:
            wrong = [Volume(*row) for row in db.execute(_WRONG).fetchall()]
            named = {each.namespace for each in wrong}
            return wrong + [
                replace(_volume(db, each, WHOLE), limit=None) for each in wrong_totals(db) if each not in named
            ]

        def mend(db: sqlite3.Connection) -> list[Volume]:
            wrong = look(db)
            mend_totals(db)
            keys = [(each.namespace, each.holder) for each in wrong]
            db.executemany("DELETE FROM volumes WHERE namespace = ? AND holder = ?", keys)
            right = [
                (each.namespace, each.holder, each.stored, each.reserved) for each in wrong if each != _empty(each)
            ]
            db.executemany("INSERT INTO volumes VALUES (?, ?, ?, ?)", right)
            return wrong

        return await (self._file.write_alone(mend) if repair else self._file.read(look))


def _empty(volume: Volume) -> Volume:
    return Volume(volume.namespace, volume.holder, 0, 0)


def require(db: sqlite3.Connection, lease: Lease, size: int, more: int, beside: Beside) -> None:
    """Raise `OverQuota` where an upload of `size` bytes so far has no room for `more`, in the transaction that is open.

    Writers come one after the other, in whichever process: what was reserved before is seen.
    """
    for holder in (lease.holder, WHOLE):
        volume = _volume(db, lease.namespace, holder)
        require_possible(volume, size)
        require_room(volume, more, beside)


def reserved(db: sqlite3.Connection) -> int:
    """As `Catalogue.reserved`, in the transaction that is open."""
    total: int = db.execute("SELECT coalesce(sum(reserved), 0) FROM leases").fetchone()[0]
    return total


def _volume(db: sqlite3.Connection, namespace: str, holder: str) -> Volume:
    any_holder = WHOLE if holder == WHOLE else EVERY
    limit = db.execute(_LIMIT, (namespace, EVERY, holder, any_holder, EVERY, EVERY)).fetchone()
    sql = "SELECT stored, reserved FROM volumes WHERE namespace = ? AND holder = ?"
    stored, reserved = db.execute(sql, (namespace, holder)).fetchone() or (0, 0)
    return Volume(namespace, holder, stored, reserved, None if limit is None else limit[0])
