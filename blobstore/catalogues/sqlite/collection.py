"""What must go: fences, expiry, orphans, condemnation, quarantine."""

from collections.abc import Collection as Several

from blobstore.backend import ObjectName
from blobstore.catalogue import Condemned, Lease, Orphan
from blobstore.catalogues.sqlite.counting import went
from blobstore.catalogues.sqlite.pins import is_pinned
from blobstore.catalogues.sqlite.schema import (
    CONDEMNED,
    STORED,
    UNUSED,
    OnFile,
    Row,
    condemned,
    end_leases,
    let_go,
    next_count,
    stored,
)
from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqliteslack import mark_stale

_NAMED = "namespace = ? AND digest = ? AND generation = ?"

_FORGET_ALL = """
DELETE FROM former WHERE namespace = ? AND digest = ? AND NOT EXISTS (
    SELECT 1 FROM blobs b WHERE b.namespace = former.namespace AND b.digest = former.digest)
"""


class Collection(OnFile):
    """The part of the port that erasure, collection and scrubbing use."""

    async def fence(self, namespace: str, holder: str, scope: str | None) -> list[Lease]:
        where = "namespace = ? AND holder = ? AND (? IS NULL OR scope = ?)"
        return await self._file.write(lambda db: end_leases(db, where, (namespace, holder, scope, scope)))

    async def drained(self, seq: int) -> None:
        await self._file.execute("DELETE FROM outbox WHERE seq <= ?", (seq,))

    async def drop_claims(
        self, namespace: str, holder: str, *, scope: str | None, slots: Several[str] | None, now: float
    ) -> set[Digest]:
        def run(db: sqlite3.Connection) -> set[Digest]:
            where = "namespace = ? AND holder = ? AND (? IS NULL OR scope = ?)"
            common = (namespace, holder, scope, scope)
            if slots is None:
                rows = db.execute(f"DELETE FROM claims WHERE {where} RETURNING digest", common).fetchall()
            else:
                sql = f"DELETE FROM claims WHERE {where} AND slot = ? RETURNING digest"
                rows = [row for slot in slots for row in db.execute(sql, (*common, slot)).fetchall()]
            if rows:
                mark_stale(db)
            let_go(db, [(namespace, digest, holder) for (digest,) in rows], now)
            return {Digest.from_bytes(digest) for (digest,) in rows}

        return await self._file.write(run)

    async def expire(self, now: float, dead_processes: Several[str]) -> int:
        def run(db: sqlite3.Connection) -> int:
            claims = db.execute(
                "DELETE FROM claims WHERE expires_at <= ? RETURNING namespace, digest, holder", (now,)
            ).fetchall()
            if claims:
                mark_stale(db)
            let_go(db, claims, now)
            ended = end_leases(db, "expires_at <= ?", (now,))
            for dead in dead_processes:
                ended += end_leases(db, "process = ?", (dead,))
            db.execute("DELETE FROM pins WHERE expires_at <= ?", (now,))
            return len(claims) + len(ended)

        return await self._file.write(run)

    async def orphans(self, namespace: str | None, before: float, limit: int) -> list[Orphan]:
        sql = (
            f"SELECT orphaned_at, {STORED} FROM blobs WHERE orphaned_at < ? AND (? IS NULL OR namespace = ?)"
            " AND state != 'condemned' ORDER BY orphaned_at LIMIT ?"
        )
        rows = await self._file.read(lambda db: db.execute(sql, (before, namespace, namespace, limit)).fetchall())
        return [Orphan(stored(tuple(row)), since) for since, *row in rows]

    async def condemn(
        self, namespace: str, digests: Several[Digest], reason: str, before: float | None = None
    ) -> list[Condemned]:
        sql = f"""
            UPDATE blobs SET state = 'condemned', reason = ?, condemned_seq = ?, orphaned_at = NULL
            WHERE namespace = ? AND digest = ? AND state != 'condemned'
              AND (? IS NULL OR orphaned_at < ?) AND {UNUSED}
            RETURNING {CONDEMNED}"""

        def run(db: sqlite3.Connection) -> list[Row]:
            if before is not None and is_pinned(db, namespace):
                return []
            seq = next_count(db)
            return [
                row
                for digest in digests
                for row in db.execute(sql, (reason, seq, namespace, digest.raw, before, before)).fetchall()
            ]

        return [condemned(row) for row in await self._file.write(run)]

    async def condemned(self, limit: int) -> list[Condemned]:
        sql = f"SELECT {CONDEMNED} FROM blobs WHERE state = 'condemned' ORDER BY condemned_seq LIMIT ?"
        return [condemned(row) for row in await self._file.read(lambda db: db.execute(sql, (limit,)).fetchall())]

    async def buried(self, names: Several[ObjectName], now: float) -> None:
        def run(db: sqlite3.Connection) -> None:
            keys = [(name.namespace, name.digest.raw, name.generation) for name in names]
            db.executemany(
                "INSERT OR IGNORE INTO gone SELECT namespace, digest, generation, size, reason, ?"
                f" FROM blobs WHERE {_NAMED} AND state = 'condemned'",
                [(now, *key) for key in keys],
            )
            sql = f"DELETE FROM blobs WHERE {_NAMED} AND state = 'condemned' RETURNING size"
            for name, key in zip(names, keys, strict=True):
                for (size,) in db.execute(sql, key).fetchall():
                    went(db, name, size)
            db.executemany(_FORGET_ALL, [key[:2] for key in keys])

        await self._file.write(run)

    async def quarantine(self, name: ObjectName) -> bool:
        sql = f"UPDATE blobs SET state = 'quarantined' WHERE {_NAMED} AND state = 'live'"
        key = (name.namespace, name.digest.raw, name.generation)
        return bool(await self._file.execute(sql, key))

    async def verified(self, names: Several[ObjectName], now: float) -> None:
        sql = f"UPDATE blobs SET verified_at = ? WHERE {_NAMED}"
        rows = [(now, name.namespace, name.digest.raw, name.generation) for name in names]
        await self._file.executemany(sql, rows)
