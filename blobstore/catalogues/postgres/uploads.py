"""Leases, and how they become blobs and claims."""

from blobstore.backend import ObjectName
from blobstore.catalogue import Claim, Lease, State, Stored
from blobstore.catalogues.postgres.counting import WHOLE, Changes, parties
from blobstore.catalogues.postgres.leaving import end_leases
from blobstore.catalogues.postgres.outbox import note
from blobstore.catalogues.postgres.quotas import LOST, require
from blobstore.catalogues.postgres.rows import LEASE, STORED, stored
from blobstore.catalogues.postgres.rows import lease as lease_of
from blobstore.catalogues.postgres.schema import OnDatabase, slot_id
from blobstore.digest import Content
from blobstore.errors import LeaseLost
from blobstore.postgres import Connection, Record, changed
from blobstore.quota import NOTHING_BESIDE, Beside


class Uploads(OnDatabase):
    """The part of the port that uploads use."""

    async def lease(self, lease: Lease, beside: Beside = NOTHING_BESIDE) -> None:
        async def run(db: Connection) -> None:
            await require(db, lease, lease.reserved, lease.reserved, beside)
            await db.execute(
                _LEASE,
                *(lease.id, lease.namespace, lease.holder.encode(), lease.scope.encode(), lease.process),
                *(lease.expires_at, lease.reserved, lease.slot.encode()),
            )
            changes = Changes()
            changes.reserved(lease.namespace, lease.holder.encode(), lease.reserved)
            await changes.write(db)

        await self._write(lease.namespace, run)

    async def renew(self, process: str, expires_at: float) -> None:
        await self._database.execute(
            "UPDATE catalogue.leases SET expires_at = $1 WHERE process = $2", expires_at, process
        )

    async def adopt(self, lease: Lease, content: Content, claim: Claim, event: bytes | None = None) -> Stored | None:
        async def run(db: Connection) -> Stored | None:
            existing = await _live(db, lease.namespace, content)
            if existing is None:
                noted = (content.digest.raw, content.sha256, content.size, lease.namespace, lease.id)
                if await changed(db, _NOTE, *noted) != 1:
                    raise LeaseLost(LOST)
                return None
            changes = Changes()
            await _end(db, lease, changes)
            await _claim(db, existing, claim, changes)
            await changes.write(db)
            await note(db, lease.namespace, event)
            return stored(existing[:-1])

        return await self._write(lease.namespace, run)

    async def publish(self, lease: Lease, claim: Claim, now: float, event: bytes | None = None) -> Stored:
        async def run(db: Connection) -> Stored:
            changes = Changes()
            content = (await _end(db, lease, changes)).content
            if content is None:
                raise LeaseLost(LOST)
            existing = await _live(db, lease.namespace, content)
            new = Stored(
                ObjectName(lease.namespace, content.digest, lease.id),
                *(content.sha256, content.size, State.LIVE if existing is None else State.CONDEMNED, now),
            )
            result = await _heal_and_add(db, new, claim, changes) if existing is None else stored(existing[:-1])
            if existing is not None:
                await _add(db, new, "duplicate", changes)
                await _claim(db, existing, claim, changes)
            await changes.write(db)
            await note(db, lease.namespace, event)
            return result

        return await self._write(lease.namespace, run)

    async def abandon(self, lease: Lease) -> None:
        await self._write(
            lease.namespace, lambda db: end_leases(db, "namespace = $1 AND id = $2", lease.namespace, lease.id)
        )


async def _live(db: Connection, namespace: str, content: Content) -> Record | None:
    """The live generation, and since when it is an orphan: under the lock, so that none is condemned meanwhile."""
    return await db.fetchrow(_LIVE, namespace, content.digest.raw)


async def _end(db: Connection, lease: Lease, changes: Changes) -> Lease:
    """Take the lease's row away: rule P3, exactly one row must go."""
    row = await db.fetchrow(_END, lease.namespace, lease.id)
    if row is None:
        raise LeaseLost(LOST)
    ended = lease_of(row)
    changes.reserved(ended.namespace, ended.holder.encode(), -ended.reserved)
    return ended


async def _heal_and_add(db: Connection, new: Stored, claim: Claim, changes: Changes) -> Stored:
    """Add the new live generation, and claim it."""
    # Bytes that match are back: what was quarantined under this digest is not needed any more.
    others = await db.fetchval(_HEAL, new.name.namespace, new.name.digest.raw)
    await _add(db, new, None, changes)
    before = await parties(db, new.name.namespace, new.name.digest.raw)
    begin = set() if others else set(before)  # theirs alone where links were found that the catalogue had lost
    if claim.holder.encode() not in before:
        begin.add(claim.holder.encode())
    for holder in begin:
        changes.stored(new.name.namespace, holder, new.size)
    await _put_claim(db, new, claim)
    return new


async def _claim(db: Connection, existing: Record, claim: Claim, changes: Changes) -> None:
    """Claim a live generation that was there: rule P2."""
    blob = stored(existing[:-1])
    namespace, digest = blob.name.namespace, blob.name.digest.raw
    if claim.holder.encode() not in await parties(db, namespace, digest):
        changes.stored(namespace, claim.holder.encode(), blob.size)
    await _put_claim(db, blob, claim)
    if existing["orphaned_at"] is not None:
        await db.execute(_NO_ORPHAN, namespace, digest, blob.name.generation)


async def _put_claim(db: Connection, blob: Stored, claim: Claim) -> None:
    slot = claim.slot.encode()
    await db.execute(
        _CLAIM,
        *(blob.name.namespace, blob.name.digest.raw, claim.holder.encode(), slot_id(slot), slot),
        *(claim.scope.encode(), claim.media_type.encode(), claim.expires_at),
    )


async def _add(db: Connection, new: Stored, reason: str | None, changes: Changes) -> None:
    await db.execute(
        _ADD,
        *(new.name.namespace, new.name.digest.raw, new.name.generation, new.sha256, new.size),
        *(new.state.value, new.verified_at, reason),
    )
    changes.stored(new.name.namespace, WHOLE, new.size)


_LEASE = """
INSERT INTO catalogue.leases (id, namespace, holder, scope, process, expires_at, reserved, slot)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_NOTE = "UPDATE catalogue.leases SET digest = $1, sha256 = $2, size = $3 WHERE namespace = $4 AND id = $5"
_END = f"DELETE FROM catalogue.leases WHERE namespace = $1 AND id = $2 RETURNING {LEASE}"
_LIVE = f"SELECT {STORED}, orphaned_at FROM catalogue.blobs WHERE namespace = $1 AND digest = $2 AND state = 'live'"
_HEAL = """
WITH healed AS (
    UPDATE catalogue.blobs SET state = 'condemned', reason = 'healed', orphaned_at = NULL,
        condemned_seq = nextval('catalogue.counter')
    WHERE namespace = $1 AND digest = $2 AND state = 'quarantined'
)
SELECT EXISTS (SELECT 1 FROM catalogue.blobs WHERE namespace = $1 AND digest = $2)
"""
_ADD = """
INSERT INTO catalogue.blobs
    (namespace, digest, generation, sha256, size, state, verified_at, reason, condemned_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $8::text IS NOT NULL THEN nextval('catalogue.counter') END)
"""
_NO_ORPHAN = """
UPDATE catalogue.blobs SET orphaned_at = NULL WHERE namespace = $1 AND digest = $2 AND generation = $3
"""
_CLAIM = """
INSERT INTO catalogue.claims (namespace, digest, holder, slot_id, slot, scope, media_type, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (namespace, digest, holder, slot_id) DO UPDATE
SET scope = excluded.scope, media_type = excluded.media_type, expires_at = excluded.expires_at
"""
