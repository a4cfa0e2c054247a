"""Where bytes live, and how they move from one place to another."""

import json
from collections.abc import Mapping

from blobstore.backend import ObjectName
from blobstore.catalogue import Lease, Stored
from blobstore.catalogues.postgres.leaving import abandon
from blobstore.catalogues.postgres.quotas import LOST
from blobstore.catalogues.postgres.rows import LEASE, STORED, stored
from blobstore.catalogues.postgres.rows import lease as lease_of
from blobstore.catalogues.postgres.schema import OnDatabase
from blobstore.errors import LeaseLost
from blobstore.place import FIRST, Contents, Place
from blobstore.postgres import Connection, Record

INTAKE = f"coalesce((SELECT id FROM catalogue.places WHERE left_at IS NULL), {FIRST})"
"""Where new bytes go."""

LOCK = "catalogue places"
"""Whoever changes places has it alone."""

SCAN_TIMEOUT = 3600.0
"""Seconds for going through all blobs."""


class Places(OnDatabase):
    """The part of the port about places."""

    async def first_place(self, location: str, options: Mapping[str, str]) -> list[Place]:
        if known := await self.places():
            return known
        values = (FIRST, location, _text(options))
        await self._database.write(lambda db: db.execute(_FIRST, *values), lock=LOCK)
        return await self.places()

    async def places(self) -> list[Place]:
        return [_place(row) for row in await self._database.fetch(_PLACES)]

    async def take_in(self, location: str, options: Mapping[str, str], now: float) -> Place:
        async def run(db: Connection) -> Place:
            await db.execute(_LEAVE, now, location)
            id = await db.fetchval(_TAKE_IN, location, _text(options))
            return Place(id, location, dict(options), intake=True)

        return await self._database.write(run, lock=LOCK)

    async def elsewhere(self, place: int, after: ObjectName | None, limit: int) -> list[Stored]:
        start = ("", b"", "") if after is None else (after.namespace, after.digest.raw, after.generation)
        rows = await self._database.read(lambda db: db.fetch(_ELSEWHERE, *start, place, limit), timeout=SCAN_TIMEOUT)
        return [stored(row) for row in rows]

    async def copy(self, lease: Lease, of: ObjectName) -> ObjectName | None:
        values = (
            *(of.namespace, of.digest.raw, of.generation, lease.id, lease.holder.encode(), lease.scope.encode()),
            *(lease.process, lease.expires_at, lease.slot.encode()),
        )
        place = await self._write(of.namespace, lambda db: db.fetchval(_COPY, *values))
        return None if place is None else ObjectName(of.namespace, of.digest, lease.id, place)

    async def moved(self, lease: Lease, now: float, kept_until: float, late_until: float | None = None) -> bool:
        async def run(db: Connection) -> bool:
            row = await db.fetchrow(_COPYING, lease.namespace, lease.id)
            if row is None:
                raise LeaseLost(LOST)
            copying = lease_of(row)
            assert copying.content is not None
            key = (copying.namespace, copying.content.digest.raw, copying.copies)
            live = await db.fetchrow(_LIVE, *key)
            if live is None:
                await abandon(db, lease, late_until)
                return False
            await db.execute("DELETE FROM catalogue.leases WHERE namespace = $1 AND id = $2", *key[:1], lease.id)
            await db.execute(_LEAVE_BEHIND, *key, kept_until)
            content = copying.content
            new = (lease.id, copying.place, content.sha256, content.size, now, live["orphaned_at"], late_until)
            await db.execute(_MOVED, *key[:2], *new)
            return True

        return await self._write(lease.namespace, run)

    async def gather(self, location: str, options: Mapping[str, str]) -> None:
        async def run(db: Connection) -> None:
            await db.execute("DELETE FROM catalogue.places")
            await db.execute(_FIRST, FIRST, location, _text(options))
            await db.execute("UPDATE catalogue.leases SET place = $1 WHERE place != $1", FIRST)
            await db.execute(_GATHER, FIRST)

        await self._database.write(run, lock=LOCK, timeout=SCAN_TIMEOUT)

    async def shorten(self, until: float) -> None:
        await self._database.execute("UPDATE catalogue.blobs SET kept_until = $1 WHERE kept_until > $1", until)

    async def contents(self) -> list[Contents]:
        rows = await self._database.read(lambda db: db.fetch(_CONTENTS), timeout=SCAN_TIMEOUT)
        return [Contents(*row) for row in rows]

    async def leave_places(self, before: float) -> list[Place]:
        if len(await self.places()) < 2:
            return []
        rows = await self._database.write(lambda db: db.fetch(_FORGET, before), lock=LOCK, timeout=SCAN_TIMEOUT)
        return [_place(row) for row in sorted(rows, key=lambda row: row["id"])]


def _place(row: Record) -> Place:
    id, location, options, intake = row
    return Place(id, location, json.loads(options), intake)


def _text(options: Mapping[str, str]) -> str:
    return json.dumps(dict(options), sort_keys=True)


_PLACES = "SELECT id, location, options, left_at IS NULL FROM catalogue.places ORDER BY id"

_FIRST = """
INSERT INTO catalogue.places (id, location, options)
SELECT $1::bigint, $2::text, $3::text WHERE NOT EXISTS (SELECT 1 FROM catalogue.places)
"""
_LEAVE = "UPDATE catalogue.places SET left_at = $1 WHERE left_at IS NULL AND location != $2"

_TAKE_IN = """
INSERT INTO catalogue.places (id, location, options)
VALUES (coalesce((SELECT id FROM catalogue.places WHERE location = $1), nextval('catalogue.counter')), $1, $2)
ON CONFLICT (location) DO UPDATE SET options = excluded.options, left_at = NULL RETURNING id
"""
_ELSEWHERE = f"""
SELECT {STORED} FROM catalogue.blobs
WHERE (namespace, digest, generation) > ($1, $2, $3) AND state = 'live' AND place != $4
ORDER BY namespace, digest, generation LIMIT $5
"""
_COPY = f"""
INSERT INTO catalogue.leases
    (id, namespace, holder, scope, process, expires_at, digest, sha256, size, reserved, slot, place, copies)
SELECT $4, namespace, $5, $6, $7, $8, digest, sha256, size, 0, $9, {INTAKE}, generation FROM catalogue.blobs
WHERE namespace = $1 AND digest = $2 AND generation = $3 AND state = 'live' AND place != {INTAKE}
RETURNING place
"""
_COPYING = f"SELECT {LEASE} FROM catalogue.leases WHERE namespace = $1 AND id = $2 AND copies IS NOT NULL"

_LIVE = """
SELECT orphaned_at FROM catalogue.blobs
WHERE namespace = $1 AND digest = $2 AND generation = $3 AND state = 'live'
"""
_LEAVE_BEHIND = """
UPDATE catalogue.blobs SET state = 'condemned', reason = 'moved', orphaned_at = NULL, kept_until = $4,
    condemned_seq = nextval('catalogue.counter')
WHERE namespace = $1 AND digest = $2 AND generation = $3
"""
_MOVED = """
INSERT INTO catalogue.blobs
    (namespace, digest, generation, place, sha256, size, verified_at, orphaned_at, late_until, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'live')
"""
_GATHER = """
UPDATE catalogue.blobs SET place = $1, kept_until = NULL, late_until = NULL
WHERE place != $1 OR kept_until IS NOT NULL OR late_until IS NOT NULL
"""
_CONTENTS = """
SELECT place, state, kept_until IS NOT NULL, count(*), sum(size)::bigint FROM catalogue.blobs
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_FORGET = """
DELETE FROM catalogue.places p WHERE left_at < $1
AND NOT EXISTS (SELECT 1 FROM catalogue.blobs WHERE place = p.id)
AND NOT EXISTS (SELECT 1 FROM catalogue.leases WHERE place = p.id)
RETURNING id, location, options, FALSE
"""
