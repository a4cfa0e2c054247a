"""Who holds a blob: hold before link, release after unlink."""

from collections.abc import Collection, Iterable, Sequence

from blobstore.catalogue import Holder
from blobstore.catalogues.postgres.counting import Changes
from blobstore.catalogues.postgres.leaving import let_go
from blobstore.catalogues.postgres.rows import HOLDER, to_holder
from blobstore.catalogues.postgres.schema import OnDatabase, slot_id
from blobstore.digest import Digest
from blobstore.postgres import Connection, Record, changed


class Holders(OnDatabase):
    """The part of the port that links use."""

    async def hold(self, namespace: str, holder: str, digests: Collection[Digest], now: float) -> dict[Digest, int]:
        wanted = {digest.raw for digest in digests}

        async def run(db: Connection) -> list[Record]:
            return await db.fetch(_HOLD, namespace, holder.encode(), sorted(wanted), now)

        return {Digest.from_bytes(raw): size for raw, size in await self._write(namespace, run)}

    async def settle(self, namespace: str, holder: str, links: Iterable[tuple[Digest, Sequence[str]]]) -> None:
        placed = list(links)
        digests = sorted({digest.raw for digest, _ in placed})
        fulfilled = sorted({(digest.raw, slot_id(slot.encode())) for digest, slots in placed for slot in slots})
        values = (
            *(namespace, holder.encode(), digests),
            *([digest for digest, _ in fulfilled], [slot for _, slot in fulfilled]),
        )
        await self._write(namespace, lambda db: db.execute(_SETTLE, *values))

    async def holders(self, namespace: str, holder: str, digests: Collection[Digest]) -> list[Holder]:
        sql = f"SELECT {HOLDER} FROM catalogue.holders WHERE namespace = $1 AND holder = $2 AND digest = ANY ($3)"
        asked = [digest.raw for digest in digests]
        found = {row[0]: to_holder(row) for row in await self._database.fetch(sql, namespace, holder.encode(), asked)}
        return [found[raw] for raw in asked if raw in found]

    async def unconfirmed(self, limit: int) -> list[tuple[str, Holder]]:
        sql = f"""
            SELECT namespace, {HOLDER} FROM catalogue.holders WHERE NOT confirmed
            ORDER BY version, namespace, digest LIMIT $1"""
        return [(namespace, to_holder(row)) for namespace, *row in await self._database.fetch(sql, limit)]

    async def release(self, namespace: str, holders: Collection[Holder], now: float) -> int:
        rows = [(held.digest.raw, held.holder.encode(), held.version) for held in holders]
        columns = [[row[place] for row in rows] for place in range(3)]

        async def run(db: Connection) -> int:
            gone = await db.fetch(_RELEASE, namespace, *columns)
            await let_go(db, [(namespace, digest, holder) for digest, holder in gone], now)
            return len(gone)

        return await self._write(namespace, run)

    async def former(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Digest]:
        beyond = b"" if after is None else after.raw
        rows = await self._database.fetch(_FORMER, namespace, holder.encode(), beyond, limit)
        return [Digest.from_bytes(digest) for (digest,) in rows]

    async def forget_former(self, namespace: str, holder: str, limit: int) -> int:
        return await self._write(namespace, lambda db: changed(db, _FORGET, namespace, holder.encode(), limit))

    async def rehold(self, namespace: str, holder: str, digests: Collection[Digest]) -> None:
        wanted = sorted({digest.raw for digest in digests})

        async def run(db: Connection) -> None:
            changes = Changes()
            changes.stored(namespace, holder.encode(), await db.fetchval(_JOIN, namespace, holder.encode(), wanted))
            await db.execute(_REHOLD, namespace, holder.encode(), wanted)
            await changes.write(db)

        await self._write(namespace, run)


# Here and below OFFSET, and '' beside a holder, keep PostgreSQL from gathering all that the holder holds or claims,
# instead of looking for each blob by its key.
_HOLD = """
WITH v AS MATERIALIZED (SELECT nextval('catalogue.counter') AS version)
INSERT INTO catalogue.holders (namespace, digest, holder, version, confirmed)
SELECT $1, x.digest, $2, v.version, FALSE FROM unnest($3::bytea[]) AS x (digest), v
WHERE EXISTS (SELECT 1 FROM catalogue.blobs b
              WHERE b.namespace = $1 AND b.digest = x.digest AND state = 'live' OFFSET 0)
  AND (EXISTS (SELECT 1 FROM catalogue.holders h
               WHERE h.namespace = $1 AND h.digest = x.digest AND h.holder = $2 OFFSET 0)
    OR EXISTS (SELECT 1 FROM catalogue.claims c
               WHERE c.namespace = $1 AND c.digest = x.digest AND c.holder = $2 AND expires_at > $4 OFFSET 0))
ON CONFLICT (namespace, digest, holder) DO UPDATE SET version = excluded.version, confirmed = FALSE
RETURNING digest, (
    SELECT size FROM catalogue.blobs b WHERE b.namespace = $1 AND b.digest = holders.digest AND state = 'live' OFFSET 0)
"""

# A claim goes only where the hold is still there: not before something else protects the blob.
_SETTLE = """
WITH confirmed AS (
    UPDATE catalogue.holders h SET confirmed = TRUE FROM unnest($3::bytea[]) AS x (digest)
    WHERE h.namespace = $1 AND h.digest = x.digest AND h.holder || ''::bytea = $2 AND NOT confirmed
)
DELETE FROM catalogue.claims c USING unnest($4::bytea[], $5::bytea[]) AS x (digest, slot_id)
WHERE c.namespace = $1 AND c.holder || ''::bytea = $2 AND c.digest = x.digest AND c.slot_id = x.slot_id
  AND EXISTS (SELECT 1 FROM catalogue.holders h
              WHERE h.namespace = $1 AND h.digest = c.digest AND h.holder = $2 OFFSET 0)
"""

_RELEASE = """
DELETE FROM catalogue.holders h USING unnest($2::bytea[], $3::bytea[], $4::bigint[]) AS x (digest, holder, version)
WHERE h.namespace = $1 AND h.digest = x.digest AND h.holder = x.holder AND h.version = x.version
RETURNING h.digest, h.holder
"""

_FORMER = """
SELECT digest FROM catalogue.former f WHERE namespace = $1 AND holder = $2 AND digest > $3
  AND EXISTS (SELECT 1 FROM catalogue.blobs b
              WHERE b.namespace = f.namespace AND b.digest = f.digest AND b.state != 'condemned')
  AND NOT EXISTS (SELECT 1 FROM catalogue.holders h
                  WHERE h.namespace = f.namespace AND h.digest = f.digest AND h.holder != f.holder)
  AND NOT EXISTS (SELECT 1 FROM catalogue.claims c
                  WHERE c.namespace = f.namespace AND c.digest = f.digest AND c.holder != f.holder)
ORDER BY digest LIMIT $4
"""

_FORGET = """
DELETE FROM catalogue.former WHERE namespace = $1 AND holder = $2 AND digest IN (
    SELECT digest FROM catalogue.former WHERE namespace = $1 AND holder = $2 ORDER BY digest LIMIT $3)
"""

# Bytes of blobs that the holder neither holds nor claims yet.
_JOIN = """
SELECT coalesce(sum(size), 0)::bigint FROM (
    SELECT max(b.size) AS size FROM unnest($3::bytea[]) AS x (digest)
    JOIN catalogue.blobs b ON b.namespace = $1 AND b.digest = x.digest
    WHERE NOT EXISTS (SELECT 1 FROM catalogue.holders h
                      WHERE h.namespace = $1 AND h.digest = x.digest AND h.holder = $2)
      AND NOT EXISTS (SELECT 1 FROM catalogue.claims c
                      WHERE c.namespace = $1 AND c.digest = x.digest AND c.holder = $2)
    GROUP BY x.digest
) AS joined
"""

_REHOLD = """
WITH v AS MATERIALIZED (SELECT nextval('catalogue.counter') AS version),
used AS (
    UPDATE catalogue.blobs SET orphaned_at = NULL
    WHERE namespace = $1 AND digest = ANY ($3) AND orphaned_at IS NOT NULL
)
INSERT INTO catalogue.holders (namespace, digest, holder, version, confirmed)
SELECT $1, x.digest, $2, v.version, FALSE FROM unnest($3::bytea[]) AS x (digest), v
ON CONFLICT (namespace, digest, holder) DO UPDATE SET version = excluded.version, confirmed = FALSE
"""
