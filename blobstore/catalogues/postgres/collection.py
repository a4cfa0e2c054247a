"""What must go: fences, expiry, orphans, condemnation, quarantine."""

from collections.abc import Callable
from collections.abc import Collection as Several

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Condemned, Forecast, Lease, Orphan, Removal, removals
from blobstore.catalogues.postgres.counting import WHOLE, Changes, first_or_last
from blobstore.catalogues.postgres.deriving import forget_derived
from blobstore.catalogues.postgres.leaving import end_leases, let_go
from blobstore.catalogues.postgres.outbox import note
from blobstore.catalogues.postgres.pins import is_pinned, keep_no_longer
from blobstore.catalogues.postgres.rows import CONDEMNED, STORED, beyond, condemned, of, stored
from blobstore.catalogues.postgres.schema import UNUSED, OnDatabase, lock_namespaces
from blobstore.digest import Digest
from blobstore.place import MOVED
from blobstore.postgres import Connection, Record


class Collection(OnDatabase):
    """The part of the port that erasure, collection and scrubbing use."""

    async def fence(self, namespace: str, holder: str, scope: str | None, beginning: str = "") -> list[Lease]:
        values = _covered(namespace, holder, scope, beginning)
        return await self._write(namespace, lambda db: end_leases(db, _COVERED, *values))

    async def drop_claims(
        self, namespace: str, holder: str, *, scope: str | None, beginning: str = "", now: float
    ) -> set[Digest]:
        values = _covered(namespace, holder, scope, beginning)

        async def run(db: Connection) -> set[bytes]:
            dropped = {row[0] for row in await db.fetch(_DROP, *values)}
            await let_go(db, [(namespace, digest, holder.encode()) for digest in dropped], now)
            return dropped

        return {Digest.from_bytes(raw) for raw in await self._write(namespace, run)}

    async def expire(self, now: float, dead_processes: Several[str], limit: int = 1000) -> int:
        dead = list(dead_processes)

        async def run(db: Connection) -> int:
            namespaces = [row[0] for row in await db.fetch(_EXPIRING, now, dead, limit)]
            await lock_namespaces(db, namespaces)
            claims = await db.fetch(_EXPIRE, now, namespaces, limit)
            await let_go(db, [tuple(row) for row in claims], now)
            ended = await end_leases(
                db,
                "(expires_at <= $1 OR process = ANY ($2)) AND namespace = ANY ($3)",
                *(now, dead, namespaces),
                late_until=now + LATE_SECONDS,
            )
            await db.execute(_DEAD, now + LATE_SECONDS, dead)
            await db.execute("DELETE FROM catalogue.pins WHERE expires_at <= $1 OR process = ANY ($2)", now, dead)
            await keep_no_longer(db, now)
            return len(claims) + len(ended)

        return await self._database.write(run)

    async def orphans(
        self, namespace: str | None, before: float, limit: int, after: Orphan | None = None
    ) -> list[Orphan]:
        start: tuple[object, ...] = (-1.0, "", b"", "")
        if after is not None:
            at = after.stored.name
            start = (after.since, at.namespace, at.digest.raw, at.generation)
        rows = await self._database.fetch(_ORPHANS, *start, before, namespace, limit)
        return [Orphan(stored(row), since) for since, *row in rows]

    async def forecast(self, namespace: str | None, before: float) -> Forecast:
        (row,) = await self._database.fetch(_FORECAST, before, namespace)
        return Forecast(*row)

    async def condemn(
        self, namespace: str, digests: Several[Digest], reason: str, before: float | None = None
    ) -> list[Condemned]:
        raw = [digest.raw for digest in digests]
        places = {digest: place for place, digest in enumerate(raw)}

        async def run(db: Connection) -> list[Record]:
            if before is not None and await is_pinned(db, namespace):
                return []
            rows = await db.fetch(_CONDEMN, namespace, raw, reason, before)
            if going := sorted({row["digest"] for row in rows}):
                # What moves left behind of these, and what moves have on its way, goes as well.
                await db.execute(_ERASE_KEPT, namespace, going)
                await end_leases(db, "namespace = $1 AND copies IS NOT NULL AND digest = ANY ($2)", namespace, going)
                await forget_derived(db, namespace, going)
            return rows

        found = [condemned(row) for row in await self._write(namespace, run)]
        return sorted(found, key=lambda each: (places[each.name.digest.raw], each.name.generation))

    async def condemned(self, limit: int, after: Condemned | None = None) -> list[Condemned]:
        start: tuple[object, ...] = (-1, "", b"", "")
        if after is not None:
            start = (after.order, after.name.namespace, after.name.digest.raw, after.name.generation)
        return [condemned(row) for row in await self._database.fetch(_CONDEMNED, *start, limit)]

    async def may_come(self, namespace: str, holder: str | None, reason: str, now: float) -> bool:
        who = None if holder is None else holder.encode()
        return bool(await self._database.fetchval(_MAY_COME, now, namespace, who, reason))

    async def buried(
        self, names: Several[ObjectName], now: float, event: Callable[[Removal], bytes | None] | None = None
    ) -> list[Condemned]:
        columns = _columns(names)

        async def run(db: Connection) -> list[Condemned]:
            await lock_namespaces(db, columns[0])
            forgotten = [condemned(row) for row in await db.fetch(_BURY, *columns)]
            forgotten.sort(key=lambda each: names_in_order[each.name])
            await _remember(db, forgotten, now)
            await db.execute(_FORGET_ALL, *columns[:2])
            if event is not None:
                for removal in removals(forgotten):
                    await note(db, removal.namespace, event(removal))
            return forgotten

        names_in_order = {name: place for place, name in enumerate(names)}
        return await self._database.write(run)

    async def quarantine(self, name: ObjectName) -> bool:
        key = (name.namespace, name.digest.raw, name.generation)
        return await self._write(name.namespace, lambda db: db.fetchval(_QUARANTINE, *key)) is not None

    async def verified(self, names: Several[ObjectName], now: float) -> None:
        await self._database.execute(_VERIFIED, *_columns(names), now)


async def _remember(db: Connection, forgotten: list[Condemned], now: float) -> None:
    """What is left of removed generations, and what they counted for."""
    if not forgotten:
        return
    told = [each for each in forgotten if each.reason != MOVED]
    await db.execute(
        _GONE,
        *_columns([each.name for each in told]),
        *([each.size for each in told], [each.reason for each in told], now),
    )
    changes = Changes()
    for each in told:
        changes.stored(each.name.namespace, WHOLE, -each.size)
    await first_or_last(db, [(each.name, each.size) for each in forgotten], changes, -1)
    await changes.write(db)


def _columns(names: Several[ObjectName]) -> tuple[list[str], list[bytes], list[str]]:
    return (
        [name.namespace for name in names],
        [name.digest.raw for name in names],
        [name.generation for name in names],
    )


def _covered(namespace: str, holder: str, scope: str | None, beginning: str) -> tuple[object, ...]:
    """The values of `_COVERED`."""
    first = beginning.encode()
    return namespace, holder.encode(), None if scope is None else scope.encode(), first, beyond(first)


# Which leases and claims an erasure covers.
_COVERED = """
namespace = $1 AND holder = $2 AND ($3::bytea IS NULL OR scope = $3)
AND slot >= $4 AND ($5::bytea IS NULL OR slot < $5)
"""
_DROP = f"""
DELETE FROM catalogue.claims WHERE {_COVERED}
AND substring(slot FROM 1 FOR 256) >= substring($4::bytea FROM 1 FOR 256)
AND ($5::bytea IS NULL OR substring(slot FROM 1 FOR 256) <= substring($5::bytea FROM 1 FOR 256))
RETURNING digest
"""

_EXPIRING = """
SELECT namespace FROM (SELECT namespace FROM catalogue.claims WHERE expires_at <= $1 ORDER BY expires_at LIMIT $3) c
UNION SELECT namespace FROM catalogue.leases WHERE expires_at <= $1 OR process = ANY ($2)
"""
_EXPIRE = """
DELETE FROM catalogue.claims WHERE (namespace, digest, holder, slot_id) IN (
    SELECT namespace, digest, holder, slot_id FROM catalogue.claims
    WHERE expires_at <= $1 AND namespace = ANY ($2) ORDER BY expires_at LIMIT $3)
RETURNING namespace, digest, holder
"""

# From the index of orphans alone, in its order: what is no orphan costs nothing.
_ORPHANS = f"""
SELECT orphaned_at, {STORED} FROM catalogue.blobs
WHERE (orphaned_at, namespace, digest, generation) > ($1, $2, $3, $4) AND orphaned_at < $5
  AND ($6::text IS NULL OR namespace = $6)
ORDER BY orphaned_at, namespace, digest, generation LIMIT $7
"""
_FORECAST = """
SELECT count(*), coalesce(sum(size), 0)::bigint,
    (SELECT coalesce(sum(stored), 0)::bigint FROM catalogue.volumes
     WHERE holder = '' AND ($2::text IS NULL OR namespace = $2))
FROM catalogue.blobs WHERE orphaned_at < $1 AND ($2::text IS NULL OR namespace = $2)
"""
_CONDEMN = f"""
WITH v AS MATERIALIZED (SELECT nextval('catalogue.counter') AS seq)
UPDATE catalogue.blobs b SET state = 'condemned', reason = $3, condemned_seq = v.seq, orphaned_at = NULL FROM v
WHERE namespace = $1 AND digest = ANY ($2) AND state != 'condemned'
  AND ($4::float8 IS NULL OR orphaned_at < $4) AND {UNUSED}
RETURNING {CONDEMNED}
"""
_ERASE_KEPT = """
UPDATE catalogue.blobs SET kept_until = NULL WHERE namespace = $1 AND digest = ANY ($2) AND kept_until IS NOT NULL
"""
_CONDEMNED = f"""
SELECT {CONDEMNED} FROM catalogue.blobs
WHERE state = 'condemned' AND kept_until IS NULL AND (condemned_seq, namespace, digest, generation) > ($1, $2, $3, $4)
ORDER BY condemned_seq, namespace, digest, generation LIMIT $5
"""
_DEAD = """
UPDATE catalogue.blobs SET late_until = $1 WHERE process = ANY ($2) AND late_until > $1
"""
_MAY_COME = """
SELECT EXISTS (
    SELECT 1 FROM catalogue.blobs
    WHERE state = 'condemned' AND kept_until IS NULL AND late_until > $1 AND namespace = $2
      AND ($3::bytea IS NULL OR reason = $4 OR uploader IN ($3, '')))
"""
_BURY = f"""
DELETE FROM catalogue.blobs b USING unnest($1::text[], $2::bytea[], $3::text[]) AS x (namespace, digest, generation)
WHERE b.namespace = x.namespace AND b.digest = x.digest AND b.generation = x.generation AND state = 'condemned'
RETURNING {of("b", CONDEMNED)}
"""
_GONE = """
INSERT INTO catalogue.gone (namespace, digest, generation, size, reason, at)
SELECT *, $6::float8 FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::text[]) ON CONFLICT DO NOTHING
"""
_FORGET_ALL = """
DELETE FROM catalogue.former f USING unnest($1::text[], $2::bytea[]) AS x (namespace, digest)
WHERE f.namespace = x.namespace AND f.digest = x.digest AND NOT EXISTS (
    SELECT 1 FROM catalogue.blobs b WHERE b.namespace = f.namespace AND b.digest = f.digest)
"""
_QUARANTINE = """
UPDATE catalogue.blobs SET state = 'quarantined'
WHERE namespace = $1 AND digest = $2 AND generation = $3 AND state = 'live' RETURNING TRUE
"""
_VERIFIED = """
UPDATE catalogue.blobs b SET verified_at = $4
FROM unnest($1::text[], $2::bytea[], $3::text[]) AS x (namespace, digest, generation)
WHERE b.namespace = x.namespace AND b.digest = x.digest AND b.generation = x.generation
"""
