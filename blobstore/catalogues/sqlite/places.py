"""Where bytes live, and how they move from one place to another."""

import json
from collections.abc import Mapping

from blobstore.backend import ObjectName
from blobstore.catalogue import Lease, Stored
from blobstore.catalogues.sqlite.quotas import LOST
from blobstore.catalogues.sqlite.schema import LEASE, STORED, OnFile, Row, abandon, next_count, stored
from blobstore.catalogues.sqlite.schema import lease as lease_of
from blobstore.errors import LeaseLost
from blobstore.place import FIRST, Contents, Place
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale

_PLACES = "SELECT id, location, options, left_at IS NULL FROM places ORDER BY id"

_ELSEWHERE = f"""
SELECT {STORED} FROM blobs
WHERE (namespace, digest, generation) > (?, ?, ?) AND state = 'live' AND place != ?
ORDER BY namespace, digest, generation LIMIT ?
"""
_LIVE = f"""
SELECT orphaned_at, {STORED} FROM blobs WHERE namespace = ? AND digest = ? AND generation = ? AND state = 'live'
"""
_LEAVE_BEHIND = """
UPDATE blobs SET state = 'condemned', reason = 'moved', condemned_seq = ?, orphaned_at = NULL, kept_until = ?
WHERE namespace = ? AND digest = ? AND generation = ?
"""
_CONTENTS = """
SELECT place, state, kept_until IS NOT NULL, count(*), sum(size) FROM blobs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_FORGET = """
DELETE FROM places WHERE left_at < ?
AND NOT EXISTS (SELECT 1 FROM blobs WHERE place = places.id)
AND NOT EXISTS (SELECT 1 FROM leases WHERE place = places.id)
RETURNING id, location, options, FALSE
"""


class Places(OnFile):
    """The part of the port about places."""

    async def first_place(self, location: str, options: Mapping[str, str]) -> list[Place]:
        if known := await self.places():
            return known
        sql = "INSERT INTO places SELECT ?, ?, ?, NULL WHERE NOT EXISTS (SELECT 1 FROM places)"
        await self._file.execute(sql, (FIRST, location, _text(options)))
        return await self.places()

    async def places(self) -> list[Place]:
        return [_place(row) for row in await self._file.read(lambda db: db.execute(_PLACES).fetchall())]

    async def take_in(self, location: str, options: Mapping[str, str], now: float) -> Place:
        def run(db: sqlite3.Connection) -> Place:
            db.execute("UPDATE places SET left_at = ? WHERE left_at IS NULL AND location != ?", (now, location))
            known = db.execute("SELECT id FROM places WHERE location = ?", (location,)).fetchone()
            id = known[0] if known else next_count(db)
            db.execute(
                "INSERT INTO places VALUES (?, ?, ?, NULL)"
                " ON CONFLICT DO UPDATE SET options = excluded.options, left_at = NULL",
                (id, location, _text(options)),
            )
            return Place(id, location, dict(options), intake=True)

        return await self._file.write(run)

    async def elsewhere(self, place: int, after: ObjectName | None, limit: int) -> list[Stored]:
        start = ("", b"", "") if after is None else (after.namespace, after.digest.raw, after.generation)
        rows = await self._file.read(lambda db: db.execute(_ELSEWHERE, (*start, place, limit)).fetchall())
        return [stored(row) for row in rows]

    async def copy(self, lease: Lease, of: ObjectName) -> ObjectName | None:
        def run(db: sqlite3.Connection) -> ObjectName | None:
            live, place = _live(db, of), intake(db)
            if live is None or live[1].name.place == place:
                return None
            found = live[1]
            marks = ", ".join("?" * len(LEASE.split(", ")))
            db.execute(
                f"INSERT INTO leases ({LEASE}) VALUES ({marks})",
                (
                    *(lease.id, of.namespace, lease.holder, lease.scope, lease.process, lease.expires_at),
                    *(of.digest.raw, found.sha256, found.size, 0, lease.slot, place, of.generation),
                ),
            )
            return ObjectName(of.namespace, of.digest, lease.id, place)

        return await self._file.write(run)

    async def moved(self, lease: Lease, now: float, kept_until: float, late_until: float | None = None) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            row = db.execute(f"SELECT {LEASE} FROM leases WHERE id = ?", (lease.id,)).fetchone()
            copying = None if row is None else lease_of(row)
            if copying is None or copying.content is None or copying.copies is None:
                raise LeaseLost(LOST)
            content = copying.content
            live = _live(db, ObjectName(copying.namespace, content.digest, copying.copies))
            if live is None:
                abandon(db, lease.id, late_until)
                return False
            db.execute("DELETE FROM leases WHERE id = ?", (lease.id,))
            mark_stale(db)
            key = (copying.namespace, content.digest.raw)
            db.execute(_LEAVE_BEHIND, (next_count(db), kept_until, *key, copying.copies))
            db.execute(
                f"INSERT INTO blobs ({STORED}, orphaned_at) VALUES (?, ?, ?, ?, ?, ?, 'live', ?, NULL, ?, ?)",
                (*key, lease.id, copying.place, content.sha256, content.size, now, late_until, live[0]),
            )
            return True

        return await self._file.write(run)

    async def gather(self, location: str, options: Mapping[str, str]) -> None:
        def run(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM places")
            db.execute("INSERT INTO places VALUES (?, ?, ?, NULL)", (FIRST, location, _text(options)))
            db.execute("UPDATE leases SET place = ? WHERE place != ?", (FIRST, FIRST))
            db.execute(
                "UPDATE blobs SET place = ?, kept_until = NULL, late_until = NULL"
                " WHERE place != ? OR kept_until IS NOT NULL OR late_until IS NOT NULL",
                (FIRST, FIRST),
            )

        await self._file.write(run)

    async def shorten(self, until: float) -> None:
        await self._file.execute("UPDATE blobs SET kept_until = ? WHERE kept_until > ?", (until, until))

    async def contents(self) -> list[Contents]:
        rows = await self._file.read(lambda db: db.execute(_CONTENTS).fetchall())
        return [Contents(place, state, bool(kept), *counts) for place, state, kept, *counts in rows]

    async def leave_places(self, before: float) -> list[Place]:
        if len(await self.places()) < 2:
            return []
        rows = await self._file.write(lambda db: db.execute(_FORGET, (before,)).fetchall())
        return [_place(row) for row in rows]


def intake(db: sqlite3.Connection) -> int:
    """Where new bytes go, in the transaction that is open."""
    row = db.execute("SELECT id FROM places WHERE left_at IS NULL").fetchone()
    return FIRST if row is None else int(row[0])


def _live(db: sqlite3.Connection, name: ObjectName) -> tuple[float | None, Stored] | None:
    """The generation while it is live, after since when it is an orphan."""
    row = db.execute(_LIVE, (name.namespace, name.digest.raw, name.generation)).fetchone()
    return None if row is None else (row[0], stored(tuple(row[1:])))


def _place(row: Row) -> Place:
    id, location, options, intake = row
    return Place(id, location, json.loads(options), bool(intake))


def _text(options: Mapping[str, str]) -> str:
    return json.dumps(dict(options), sort_keys=True)
