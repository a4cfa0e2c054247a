"""Who holds a blob: hold before link, release after unlink."""

from collections.abc import Collection, Iterable, Sequence

from blobstore.catalogue import Holder
from blobstore.catalogues.sqlite.counting import joined
from blobstore.catalogues.sqlite.schema import HOLDER, OnFile, Row, let_go, next_count, to_holder
from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale


class Holders(OnFile):
    """The part of the port that links use."""

    async def hold(self, namespace: str, holder: str, digests: Collection[Digest], now: float) -> dict[Digest, int]:
        def run(db: sqlite3.Connection) -> dict[Digest, int]:
            version = next_count(db)
            parameters = {"ns": namespace, "holder": holder, "version": version, "now": now}
            rows = ((digest, db.execute(_HOLD, {**parameters, "digest": digest.raw}).fetchone()) for digest in digests)
            return {digest: row[0] for digest, row in rows if row is not None}

        return await self._file.write(run)

    async def settle(self, namespace: str, holder: str, links: Iterable[tuple[Digest, Sequence[str]]]) -> None:
        placed = list(links)

        def run(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE holders SET confirmed = 1 WHERE namespace = ? AND digest = ? AND holder = ? AND NOT confirmed",
                [(namespace, digest.raw, holder) for digest, _ in placed],
            )
            fulfilled = db.executemany(
                _FULFIL, [(namespace, holder, slot, digest.raw) for digest, slots in placed for slot in slots]
            )
            if fulfilled.rowcount > 0:
                mark_stale(db)

        await self._file.write(run)

    async def holders(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[Holder]:
        def run(db: sqlite3.Connection) -> list[Row]:
            sql = f"SELECT {HOLDER} FROM holders WHERE namespace = ? AND digest = ? AND holder = ?"
            rows = (db.execute(sql, (namespace, digest.raw, holder)).fetchone() for digest in digests)
            return [row for row in rows if row is not None]

        return [to_holder(row) for row in await self._file.read(run)]

    async def unconfirmed(self, limit: int) -> list[tuple[str, Holder]]:
        sql = f"SELECT namespace, {HOLDER} FROM holders WHERE NOT confirmed ORDER BY version LIMIT ?"
        rows = await self._file.read(lambda db: db.execute(sql, (limit,)).fetchall())
        return [(namespace, to_holder(tuple(row))) for namespace, *row in rows]

    async def release(self, namespace: str, holders: Collection[Holder], now: float) -> int:
        def run(db: sqlite3.Connection) -> int:
            sql = "DELETE FROM holders WHERE namespace = ? AND digest = ? AND holder = ? AND version = ?"
            rows = [(namespace, held.digest.raw, held.holder) for held in holders]
            versions = [held.version for held in holders]
            gone = [
                row for row, version in zip(rows, versions, strict=True) if db.execute(sql, (*row, version)).rowcount
            ]
            let_go(db, gone, now)
            return len(gone)

        return await self._file.write(run)

    async def former(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Digest]:
        values = (namespace, holder, b"" if after is None else after.raw, limit)
        rows = await self._file.read(lambda db: db.execute(_FORMER, values).fetchall())
        return [Digest.from_bytes(digest) for (digest,) in rows]

    async def forget_former(self, namespace: str, holder: str, limit: int) -> int:
        return await self._file.execute(_FORGET, (namespace, holder, namespace, holder, limit))

    async def rehold(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        def run(db: sqlite3.Connection) -> None:
            version = next_count(db)
            keys = [(namespace, digest.raw) for digest in digests]
            joined(db, [(*key, holder) for key in keys])
            db.executemany(
                "INSERT INTO holders (namespace, digest, holder, version, confirmed) VALUES (?, ?, ?, ?, 0)"
                " ON CONFLICT DO UPDATE SET version = excluded.version, confirmed = 0",
                [(*key, holder, version) for key in keys],
            )
            db.executemany("UPDATE blobs SET orphaned_at = NULL WHERE namespace = ? AND digest = ?", keys)

        await self._file.write(run)


# Only where the hold is still there: a claim must not go before something else protects the blob.
_FULFIL = """
DELETE FROM claims WHERE namespace = ? AND holder = ? AND slot = ? AND digest = ? AND EXISTS (
    SELECT 1 FROM holders h
    WHERE h.namespace = claims.namespace AND h.digest = claims.digest AND h.holder = claims.holder)
"""

_FORMER = """
SELECT digest FROM former f WHERE namespace = ? AND holder = ? AND digest > ?
  AND EXISTS (SELECT 1 FROM blobs b
              WHERE b.namespace = f.namespace AND b.digest = f.digest AND b.state != 'condemned')
  AND NOT EXISTS (SELECT 1 FROM holders h
                  WHERE h.namespace = f.namespace AND h.digest = f.digest AND h.holder != f.holder)
  AND NOT EXISTS (SELECT 1 FROM claims c
                  WHERE c.namespace = f.namespace AND c.digest = f.digest AND c.holder != f.holder)
ORDER BY digest LIMIT ?
"""

_FORGET = """
DELETE FROM former WHERE namespace = ? AND holder = ? AND digest IN (
    SELECT digest FROM former WHERE namespace = ? AND holder = ? ORDER BY digest LIMIT ?)
"""

_HOLD = """
INSERT INTO holders (namespace, digest, holder, version, confirmed)
SELECT :ns, :digest, :holder, :version, 0
WHERE EXISTS (SELECT 1 FROM blobs WHERE namespace = :ns AND digest = :digest AND state = 'live')
  AND (EXISTS (SELECT 1 FROM holders WHERE namespace = :ns AND digest = :digest AND holder = :holder)
    OR EXISTS (SELECT 1 FROM claims
               WHERE namespace = :ns AND digest = :digest AND holder = :holder AND expires_at > :now))
ON CONFLICT DO UPDATE SET version = excluded.version, confirmed = 0
RETURNING (SELECT size FROM blobs WHERE namespace = :ns AND digest = :digest AND state = 'live')
"""
