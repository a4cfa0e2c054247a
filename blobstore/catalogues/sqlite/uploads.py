"""Leases, and how they become blobs and claims."""

from dataclasses import replace

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Claim, Lease, State, Stored
from blobstore.catalogues.sqlite.counting import came, joined
from blobstore.catalogues.sqlite.places import intake
from blobstore.catalogues.sqlite.quotas import LOST, require, reserved
from blobstore.catalogues.sqlite.schema import LEASE, STORED, OnFile, Row, abandon, next_count, note, stored
from blobstore.catalogues.sqlite.schema import lease as lease_of
from blobstore.digest import Content
from blobstore.errors import LeaseLost
from blobstore.quota import NOTHING_BESIDE, Beside
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale


class Uploads(OnFile):
    """The part of the port that uploads use."""

    async def lease(self, lease: Lease, beside: Beside = NOTHING_BESIDE) -> int:
        row = (lease.id, lease.namespace, lease.holder, lease.scope, lease.process, lease.expires_at)

        def run(db: sqlite3.Connection) -> int:
            require(db, lease, lease.reserved, lease.reserved, beside)
            sql = f"INSERT INTO leases ({LEASE}) VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, ?, 0, NULL)"
            db.execute(sql, (*row, lease.reserved, lease.slot))
            return reserved(db)  # there is one writer at a time: nobody else's lease is hidden here

        return await self._file.write(run)

    async def renew(self, process: str, expires_at: float) -> None:
        def run(db: sqlite3.Connection) -> None:
            db.execute("UPDATE leases SET expires_at = ? WHERE process = ?", (expires_at, process))
            db.execute("UPDATE blobs SET late_until = ? WHERE process = ?", (expires_at + LATE_SECONDS, process))

        await self._file.write(run)

    async def adopt(
        self, lease: Lease, content: Content, claim: Claim, event: bytes | None = None
    ) -> Stored | ObjectName:
        def run(db: sqlite3.Connection) -> Stored | ObjectName:
            existing = _claim_live(db, lease.namespace, content, claim)
            if existing is not None:
                _end(db, lease)
                note(db, lease.namespace, event)
                return existing
            place = intake(db)
            noted = (content.digest.raw, content.sha256, content.size, place, lease.id)
            changed = db.execute("UPDATE leases SET digest = ?, sha256 = ?, size = ?, place = ? WHERE id = ?", noted)
            _require_one(changed.rowcount)
            return ObjectName(lease.namespace, content.digest, lease.id, place)

        return await self._file.write(run)

    async def publish(
        self, lease: Lease, claim: Claim, now: float, event: bytes | None = None, late_until: float | None = None
    ) -> Stored:
        def run(db: sqlite3.Connection) -> Stored:
            row = db.execute(f"SELECT {LEASE} FROM leases WHERE id = ?", (lease.id,)).fetchone()
            content, place = (None, 0) if row is None else _noted(row)
            if content is None:
                raise LeaseLost(LOST)
            _end(db, lease)
            note(db, lease.namespace, event)
            name = ObjectName(lease.namespace, content.digest, lease.id, place)
            new = Stored(name, content.sha256, content.size, State.LIVE, now, late_until=late_until)
            existing = _claim_live(db, lease.namespace, content, claim)
            if existing is not None:
                _insert(db, replace(new, state=State.CONDEMNED), "duplicate")
                return existing
            # Bytes that match are back: what was quarantined under this digest is not needed any more.
            db.execute(
                "UPDATE blobs SET state = 'condemned', reason = 'healed', condemned_seq = ?, orphaned_at = NULL"
                " WHERE namespace = ? AND digest = ? AND state = 'quarantined'",
                (next_count(db), lease.namespace, content.digest.raw),
            )
            _insert(db, new, None)
            _claim_live(db, lease.namespace, content, claim)
            return new

        return await self._file.write(run)

    async def abandon(self, lease: Lease, late_until: float | None = None) -> None:
        await self._file.write(lambda db: abandon(db, lease.id, late_until))


def _noted(row: Row) -> tuple[Content | None, int]:
    """What a lease says of what is published under it, and where."""
    lease = lease_of(row)
    return lease.content, lease.place


def _claim_live(db: sqlite3.Connection, namespace: str, content: Content, claim: Claim) -> Stored | None:
    """Claim where the generation is live: one transaction, so that no collection comes between look and claim."""
    key = (namespace, content.digest.raw)
    row = db.execute(
        f"UPDATE blobs SET orphaned_at = NULL WHERE namespace = ? AND digest = ? AND state = 'live' RETURNING {STORED}",
        key,
    ).fetchone()
    if row is None:
        return None
    joined(db, [(*key, claim.holder)])
    db.execute(
        "INSERT INTO claims (namespace, digest, holder, scope, slot, media_type, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " scope = excluded.scope, media_type = excluded.media_type, expires_at = excluded.expires_at",
        (*key, claim.holder, claim.scope, claim.slot, claim.media_type, claim.expires_at),
    )
    return stored(row)


def _insert(db: sqlite3.Connection, new: Stored, reason: str | None) -> None:
    name = new.name
    seq = None if reason is None else next_count(db)
    db.execute(
        f"INSERT INTO blobs ({STORED}, condemned_seq, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
        (
            *(name.namespace, name.digest.raw, name.generation, name.place, new.sha256, new.size),
            *(new.state, new.verified_at, new.late_until, seq, reason),
        ),
    )
    came(db, name, new.size)


def _end(db: sqlite3.Connection, lease: Lease) -> None:
    """Take the lease's row away: rule P3, exactly one row must go."""
    _require_one(db.execute("DELETE FROM leases WHERE id = ?", (lease.id,)).rowcount)
    mark_stale(db)


def _require_one(rows: int) -> None:
    if rows != 1:
        raise LeaseLost(LOST)
