"""What must go: fences, expiry, orphans, condemnation, quarantine."""

import json
from collections.abc import Callable, Iterable
from collections.abc import Collection as Several

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Condemned, Forecast, Lease, Orphan, Removal, removals
from blobstore.catalogues.sqlite.counting import went
from blobstore.catalogues.sqlite.deriving import forget_derived
from blobstore.catalogues.sqlite.pins import is_pinned
from blobstore.catalogues.sqlite.schema import (
    CONDEMNED,
    SLOTS,
    STORED,
    UNUSED,
    OnFile,
    Row,
    condemned,
    end_leases,
    let_go,
    next_count,
    note,
    slots,
    stored,
)
from blobstore.digest import Digest
from blobstore.place import MOVED
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale

_NAMED = "namespace = ? AND digest = ? AND generation = ?"

_FORGET_ALL = """
DELETE FROM former WHERE namespace = ? AND digest = ? AND NOT EXISTS (
    SELECT 1 FROM blobs b WHERE b.namespace = former.namespace AND b.digest = former.digest)
"""

_EXPIRE = """
DELETE FROM claims WHERE (namespace, holder, slot, digest) IN (
    SELECT namespace, holder, slot, digest FROM claims WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
RETURNING namespace, digest, holder
"""

_KEEP_NO_LONGER = """
UPDATE blobs SET kept_until = NULL
WHERE kept_until <= ? AND NOT EXISTS (SELECT 1 FROM pins WHERE coalesce(namespace, blobs.namespace) = blobs.namespace)
"""
_LISTED = "SELECT unhex(value) FROM json_each(?)"
_ERASE_KEPT = f"""
UPDATE blobs SET kept_until = NULL WHERE namespace = ? AND digest IN ({_LISTED}) AND kept_until IS NOT NULL
"""
_ON_THEIR_WAY = f"namespace = ? AND copies IS NOT NULL AND digest IN ({_LISTED})"

# From the index of orphans alone, in its order: what is no orphan costs nothing.
_ORPHANS = f"""
SELECT orphaned_at, {STORED} FROM blobs
WHERE (orphaned_at, namespace, digest, generation) > (?, ?, ?, ?) AND orphaned_at < ?
  AND (? IS NULL OR namespace = ?)
ORDER BY orphaned_at, namespace, digest, generation LIMIT ?
"""
_CONDEMNED = f"""
SELECT {CONDEMNED} FROM blobs
WHERE state = 'condemned' AND kept_until IS NULL AND (condemned_seq, namespace, digest, generation) > (?, ?, ?, ?)
ORDER BY condemned_seq, namespace, digest, generation LIMIT ?
"""
_DEAD = "UPDATE blobs SET late_until = min(late_until, ?) WHERE process = ?"
_MAY_COME = """
SELECT EXISTS (
    SELECT 1 FROM blobs WHERE state = 'condemned' AND kept_until IS NULL AND late_until > ? AND namespace = ?
      AND (? IS NULL OR reason = ? OR uploader IN (?, '')))
"""
_GOING = """
SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE orphaned_at < ? AND (? IS NULL OR namespace = ?)
"""
_STORED = """
SELECT coalesce(sum(stored), 0) FROM volumes WHERE holder = '' AND (? IS NULL OR namespace = ?)
"""


class Collection(OnFile):
    """The part of the port that erasure, collection and scrubbing use."""

    async def fence(self, namespace: str, holder: str, scope: str | None, beginning: str = "") -> list[Lease]:
        where, values = _covered(namespace, holder, scope, beginning)
        return await self._file.write(lambda db: end_leases(db, where, values))

    async def drained(self, seq: int) -> None:
        await self._file.execute("DELETE FROM outbox WHERE seq <= ?", (seq,))

    async def drop_claims(
        self, namespace: str, holder: str, *, scope: str | None, beginning: str = "", now: float
    ) -> set[Digest]:
        where, values = _covered(namespace, holder, scope, beginning)

        def run(db: sqlite3.Connection) -> set[Digest]:
            rows = db.execute(f"DELETE FROM claims WHERE {where} RETURNING digest", values).fetchall()
            if rows:
                mark_stale(db)
            let_go(db, [(namespace, digest, holder) for (digest,) in rows], now)
            return {Digest.from_bytes(digest) for (digest,) in rows}

        return await self._file.write(run)

    async def expire(self, now: float, dead_processes: Several[str], limit: int = 1000) -> int:
        def run(db: sqlite3.Connection) -> int:
            claims = db.execute(_EXPIRE, (now, limit)).fetchall()
            if claims:
                mark_stale(db)
            let_go(db, claims, now)
            late = now + LATE_SECONDS
            ended = end_leases(db, "expires_at <= ?", (now,), late)
            for dead in dead_processes:
                ended += end_leases(db, "process = ?", (dead,), late)
                db.execute(_DEAD, (late, dead))
                db.execute("DELETE FROM pins WHERE process = ?", (dead,))
            db.execute("DELETE FROM pins WHERE expires_at <= ?", (now,))
            db.execute(_KEEP_NO_LONGER, (now,))
            return len(claims) + len(ended)

        return await self._file.write(run)

    async def orphans(
        self, namespace: str | None, before: float, limit: int, after: Orphan | None = None
    ) -> list[Orphan]:
        start: Row = (-1.0, "", b"", "")
        if after is not None:
            at = after.stored.name
            start = (after.since, at.namespace, at.digest.raw, at.generation)
        values = (*start, before, namespace, namespace, limit)
        rows = await self._file.read(lambda db: db.execute(_ORPHANS, values).fetchall())
        return [Orphan(stored(tuple(row)), since) for since, *row in rows]

    async def forecast(self, namespace: str | None, before: float) -> Forecast:
        def run(db: sqlite3.Connection) -> Forecast:
            going = db.execute(_GOING, (before, namespace, namespace)).fetchone()
            return Forecast(*going, *db.execute(_STORED, (namespace, namespace)).fetchone())

        return await self._file.read(run)

    async def condemn(
        self, namespace: str, digests: Several[Digest], reason: str, before: float | None = None
    ) -> list[Condemned]:
        sql = f"""
            UPDATE blobs SET state = 'condemned', reason = ?, condemned_seq = ?, orphaned_at = NULL
            WHERE namespace = ? AND digest IN ({_LISTED}) AND state != 'condemned'
              AND (? IS NULL OR orphaned_at < ?) AND {UNUSED}
            RETURNING {CONDEMNED}"""

        def run(db: sqlite3.Connection) -> list[Row]:
            if before is not None and is_pinned(db, namespace):
                return []
            values = (reason, next_count(db), namespace, _list(digest.hex for digest in digests), before, before)
            rows = db.execute(sql, values).fetchall()
            going = {row[1] for row in rows}
            _take_copies(db, namespace, going)
            forget_derived(db, namespace, going)
            return rows

        return [condemned(row) for row in await self._file.write(run)]

    async def condemned(self, limit: int, after: Condemned | None = None) -> list[Condemned]:
        start: Row = (-1, "", b"", "")
        if after is not None:
            start = (after.order, after.name.namespace, after.name.digest.raw, after.name.generation)
        rows = await self._file.read(lambda db: db.execute(_CONDEMNED, (*start, limit)).fetchall())
        return [condemned(row) for row in rows]

    async def may_come(self, namespace: str, holder: str | None, reason: str, now: float) -> bool:
        values = (now, namespace, holder, reason, holder)
        return bool(await self._file.read(lambda db: db.execute(_MAY_COME, values).fetchone()[0]))

    async def buried(
        self, names: Several[ObjectName], now: float, event: Callable[[Removal], bytes | None] | None = None
    ) -> list[Condemned]:
        sql = f"DELETE FROM blobs WHERE {_NAMED} AND state = 'condemned' RETURNING {CONDEMNED}"

        def run(db: sqlite3.Connection) -> list[Condemned]:
            keys = [(name.namespace, name.digest.raw, name.generation) for name in names]
            rows = [row for key in keys for row in db.execute(sql, key).fetchall()]
            db.executemany(
                "INSERT OR IGNORE INTO gone VALUES (?, ?, ?, ?, ?, ?)",
                [(*row[:3], *row[4:6], now) for row in rows if row[5] != MOVED],
            )
            forgotten = [condemned(row) for row in rows]
            # Of a blob whose last generations went together the holders lose its size once.
            for each in {(each.name.namespace, each.name.digest): each for each in forgotten}.values():
                went(db, each.name, each.size)
            db.executemany(_FORGET_ALL, [key[:2] for key in keys])
            if event is not None:
                for removal in removals(forgotten):
                    note(db, removal.namespace, event(removal))
            return forgotten

        return await self._file.write(run)

    async def quarantine(self, name: ObjectName) -> bool:
        sql = f"UPDATE blobs SET state = 'quarantined' WHERE {_NAMED} AND state = 'live'"
        key = (name.namespace, name.digest.raw, name.generation)
        return bool(await self._file.execute(sql, key))

    async def verified(self, names: Several[ObjectName], now: float) -> None:
        sql = f"UPDATE blobs SET verified_at = ? WHERE {_NAMED}"
        rows = [(now, name.namespace, name.digest.raw, name.generation) for name in names]
        await self._file.executemany(sql, rows)


def _take_copies(db: sqlite3.Connection, namespace: str, digests: set[bytes]) -> None:
    """These blobs go: so does what moves left behind of them, and what moves have on its way."""
    values = (namespace, _list(digest.hex() for digest in digests))
    db.execute(_ERASE_KEPT, values)
    if db.execute("SELECT 1 FROM leases WHERE copies IS NOT NULL LIMIT 1").fetchone():
        end_leases(db, _ON_THEIR_WAY, values)


def _list(digests: Iterable[str]) -> str:
    """The value of `_LISTED`, of hexadecimal digits."""
    return json.dumps(list(digests))


def _covered(namespace: str, holder: str, scope: str | None, beginning: str) -> tuple[str, Row]:
    """Which leases and claims an erasure covers, as a condition."""
    where = f"namespace = ? AND holder = ? AND (? IS NULL OR scope = ?) AND {SLOTS}"
    return where, (namespace, holder, scope, scope, *slots(beginning))
