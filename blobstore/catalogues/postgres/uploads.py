"""Leases, and how they become blobs and claims.

Each step asks and writes in as few statements as it can: between them others of the namespace wait.
"""

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Claim, Lease, State, Stored
from blobstore.catalogues.postgres.counting import WHOLE, Changes, change, drop_emptied
from blobstore.catalogues.postgres.leaving import abandon
from blobstore.catalogues.postgres.places import INTAKE
from blobstore.catalogues.postgres.quotas import LOST, require, reserved
from blobstore.catalogues.postgres.rows import LEASE, STORED, of, stored
from blobstore.catalogues.postgres.rows import lease as lease_of
from blobstore.catalogues.postgres.schema import OnDatabase, slot_id
from blobstore.digest import Content
from blobstore.errors import LeaseLost
from blobstore.postgres import Connection, Record
from blobstore.quota import NOTHING_BESIDE, Beside


class Uploads(OnDatabase):
    """The part of the port that uploads use."""

    async def lease(self, lease: Lease, beside: Beside = NOTHING_BESIDE) -> int:
        changes = Changes()
        changes.reserved(lease.namespace, lease.holder.encode(), lease.reserved)
        values = (
            *(lease.id, lease.namespace, lease.holder.encode(), lease.scope.encode(), lease.process),
            *(lease.expires_at, lease.reserved, lease.slot.encode(), *changes.columns()),
        )

        async def run(db: Connection) -> None:
            await require(db, lease, lease.reserved, lease.reserved, beside)
            await db.execute(_LEASE, *values)

        await self._write_by_key(lease.namespace, run)
        # After the commit: of two that begin in two namespaces at once one must see the other.
        return await reserved(self._database)

    async def renew(self, process: str, expires_at: float) -> None:
        async def run(db: Connection) -> None:
            await db.execute("UPDATE catalogue.leases SET expires_at = $1 WHERE process = $2", expires_at, process)
            sql = "UPDATE catalogue.blobs SET late_until = $1 WHERE process = $2"
            await db.execute(sql, expires_at + LATE_SECONDS, process)

        await self._database.write(run)

    async def adopt(
        self, lease: Lease, content: Content, claim: Claim, event: bytes | None = None
    ) -> Stored | ObjectName:
        async def run(db: Connection) -> Stored | ObjectName:
            noted = (content.digest.raw, content.sha256, content.size, lease.namespace, lease.id)
            (found,) = await db.fetch(_ADOPT, *noted)
            if found["live"]:
                return await _claim(db, await _end(db, lease, content.digest.raw), claim, event)
            if found["place"] is None:
                raise LeaseLost(LOST)
            return ObjectName(lease.namespace, content.digest, lease.id, found["place"])

        return await self._write_by_key(lease.namespace, run)

    async def publish(
        self, lease: Lease, claim: Claim, now: float, event: bytes | None = None, late_until: float | None = None
    ) -> Stored:
        async def run(db: Connection) -> Stored:
            ending = await _end(db, lease, None)
            if ending.content is None:
                raise LeaseLost(LOST)
            state = State.LIVE if ending.live is None else State.CONDEMNED
            name = ObjectName(lease.namespace, ending.content.digest, lease.id, ending.place)
            new = Stored(name, ending.content.sha256, ending.content.size, state, now, late_until=late_until)
            if ending.live is None:
                return await _add(db, ending, new, claim, event)
            await db.execute(_DUPLICATE, *_columns(new))
            ending.changes.stored(lease.namespace, WHOLE, new.size)
            return await _claim(db, ending, claim, event)

        return await self._write_by_key(lease.namespace, run)

    async def abandon(self, lease: Lease, late_until: float | None = None) -> None:
        await self._write(lease.namespace, lambda db: abandon(db, lease, late_until))


class _Ending:
    """A lease that was taken away, and how its blob stands at that moment."""

    def __init__(self, row: Record) -> None:
        lease = lease_of(row[: len(_LEASE_COLUMNS)])
        self.content = lease.content
        self.place = lease.place
        self.live = None if row["generation"] is None else stored(row[len(_LEASE_COLUMNS) :][: len(_STORED_COLUMNS)])
        self.orphaned = row["orphaned_at"] is not None
        self.known: bool = row["known"]
        self.damaged: bool = row["damaged"]
        self.parties = set(row["parties"])
        self.changes = Changes()
        self.changes.reserved(lease.namespace, lease.holder.encode(), -lease.reserved)


async def _end(db: Connection, lease: Lease, digest: bytes | None) -> _Ending:
    """Take the lease's row away: rule P3, exactly one row must go. `digest`: of the blob, where it was not noted."""
    row = await db.fetchrow(_END, lease.namespace, lease.id, digest)
    if row is None:
        raise LeaseLost(LOST)
    return _Ending(row)


async def _claim(db: Connection, ending: _Ending, claim: Claim, event: bytes | None) -> Stored:
    """Claim the live generation that is there: rule P2."""
    blob = ending.live
    assert blob is not None
    if claim.holder.encode() not in ending.parties:
        ending.changes.stored(blob.name.namespace, claim.holder.encode(), blob.size)
    if ending.orphaned:
        await db.execute(_NO_ORPHAN, blob.name.namespace, blob.name.digest.raw, blob.name.generation)
    await drop_emptied(db, await db.fetch(_CLAIM, *_claim_columns(blob.name, claim), event, *ending.changes.columns()))
    return blob


async def _add(db: Connection, ending: _Ending, new: Stored, claim: Claim, event: bytes | None) -> Stored:
    """Add the new live generation, and claim it."""
    name, holder = new.name, claim.holder.encode()
    if ending.damaged:
        # Bytes that match are back: what was quarantined under this digest is not needed any more.
        await db.execute(_HEAL, name.namespace, name.digest.raw)
    # It begins to count for others only where links were found that the catalogue had lost.
    begin = {holder} - ending.parties if ending.known else {holder} | ending.parties
    for each in (WHOLE, *begin):
        ending.changes.stored(name.namespace, each, new.size)
    await drop_emptied(
        db, await db.fetch(_ADD, *_claim_columns(name, claim), event, *ending.changes.columns(), *_columns(new)[2:])
    )
    return new


def _claim_columns(name: ObjectName, claim: Claim) -> tuple[object, ...]:
    slot = claim.slot.encode()
    return (
        *(name.namespace, name.digest.raw, claim.holder.encode(), slot_id(slot), slot),
        *(claim.scope.encode(), claim.media_type.encode(), claim.expires_at),
    )


def _columns(new: Stored) -> tuple[object, ...]:
    return (
        new.name.namespace,
        new.name.digest.raw,
        new.name.generation,
        new.sha256,
        new.size,
        new.verified_at,
        new.name.place,
        new.late_until,
    )


_LEASE_COLUMNS = LEASE.split(", ")
_STORED_COLUMNS = STORED.split(", ")

_LEASE = f"""
WITH made AS (
    INSERT INTO catalogue.leases (id, namespace, holder, scope, process, expires_at, reserved, slot)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
)
{change(9)}"""

_ADOPT = f"""
WITH live AS (SELECT 1 FROM catalogue.blobs WHERE namespace = $4 AND digest = $1 AND state = 'live'),
noted AS (
    UPDATE catalogue.leases SET digest = $1, sha256 = $2, size = $3, place = {INTAKE}
    WHERE namespace = $4 AND id = $5 AND NOT EXISTS (SELECT 1 FROM live) RETURNING place
)
SELECT EXISTS (SELECT 1 FROM live) AS live, (SELECT place FROM noted) AS place
"""

_END = f"""
WITH ended AS (DELETE FROM catalogue.leases WHERE namespace = $1 AND id = $2 RETURNING {LEASE}),
e AS (SELECT *, coalesce($3::bytea, digest) AS blob FROM ended)
SELECT {of("e", LEASE)}, {of("b", STORED)}, b.orphaned_at,
    ARRAY (
        SELECT holder FROM catalogue.holders WHERE namespace = $1 AND digest = e.blob
        UNION SELECT holder FROM catalogue.claims WHERE namespace = $1 AND digest = e.blob
    ) AS parties,
    EXISTS (SELECT 1 FROM catalogue.blobs WHERE namespace = $1 AND digest = e.blob) AS known,
    EXISTS (SELECT 1 FROM catalogue.blobs
            WHERE namespace = $1 AND digest = e.blob AND state = 'quarantined') AS damaged
FROM e LEFT JOIN catalogue.blobs b ON b.namespace = $1 AND b.digest = e.blob AND b.state = 'live'
"""

_HEAL = """
UPDATE catalogue.blobs SET state = 'condemned', reason = 'healed', orphaned_at = NULL,
    condemned_seq = nextval('catalogue.counter')
WHERE namespace = $1 AND digest = $2 AND state = 'quarantined'
"""

_NO_ORPHAN = """
UPDATE catalogue.blobs SET orphaned_at = NULL WHERE namespace = $1 AND digest = $2 AND generation = $3
"""

_CLAIMED = """
claimed AS (
    INSERT INTO catalogue.claims (namespace, digest, holder, slot_id, slot, scope, media_type, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (namespace, digest, holder, slot_id) DO UPDATE
    SET scope = excluded.scope, media_type = excluded.media_type, expires_at = excluded.expires_at
),
noted AS (INSERT INTO catalogue.outbox (namespace, body) SELECT $1, $9::bytea WHERE $9 IS NOT NULL)
"""

_CLAIM = f"WITH {_CLAIMED} {change(10)}"

_ADD = f"""
WITH kept AS (
    INSERT INTO catalogue.blobs (namespace, digest, generation, sha256, size, verified_at, place, late_until, state)
    VALUES ($1, $2, $14, $15, $16, $17, $18, $19, 'live')
),
{_CLAIMED} {change(10)}"""

_DUPLICATE = """
INSERT INTO catalogue.blobs
    (namespace, digest, generation, sha256, size, verified_at, place, late_until, state, reason, condemned_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'condemned', 'duplicate', nextval('catalogue.counter'))
"""
