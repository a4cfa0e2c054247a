"""What follows when a hold, a claim or a lease goes; in the transaction that took it away, under the lock."""

from collections.abc import Iterable, Sequence

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Lease
from blobstore.catalogues.postgres.counting import WHOLE, Changes, drop_emptied, first_or_last
from blobstore.catalogues.postgres.rows import LEASE, lease
from blobstore.catalogues.postgres.schema import UNUSED
from blobstore.place import MOVED
from blobstore.postgres import Connection

Party = tuple[str, bytes, bytes]
"""Namespace, digest and holder: who held or claimed which blob."""


async def let_go(db: Connection, parties: Iterable[Party], now: float) -> None:
    """These lost a hold or a claim: remember whose the blob was, and whether it is an orphan.

    Who is an orphan already does not get younger.
    """
    gone = sorted(set(parties))
    if gone:
        columns = [list(column) for column in zip(*gone, strict=True)]
        await drop_emptied(db, await db.fetch(_LET_GO, *columns, now))


async def end_leases(db: Connection, where: str, *values: object, late_until: float | None = None) -> list[Lease]:
    """Take leases away (rule P3: the row first). Where all bytes were in, their object may exist, or come: condemn it.

    `late_until` is told of those whose process is over; the others say so themselves, or expire.
    """
    sql = f"DELETE FROM catalogue.leases WHERE {where} RETURNING {LEASE}"
    ended = sorted((lease(row) for row in await db.fetch(sql, *values)), key=lambda each: each.id)
    changes = Changes()
    for each in ended:
        changes.reserved(each.namespace, each.holder.encode(), -each.reserved)
    await _condemn(db, ended, changes, late_until)
    await changes.write(db)
    return ended


async def abandon(db: Connection, lease: Lease, late_until: float | None) -> None:
    """Who had the lease, or lost it to somebody, says until when bytes may come of it."""
    await end_leases(db, "namespace = $1 AND id = $2", lease.namespace, lease.id)
    await db.execute(_OVER, late_until, lease.process, lease.namespace, lease.id)


async def _condemn(db: Connection, ended: Sequence[Lease], changes: Changes, late_until: float | None) -> None:
    """What was never published, with the content that was noted."""
    noted = [(each, each.content) for each in ended if each.content is not None]
    if not noted:
        return
    await db.execute(
        _ABANDON,
        [each.namespace for each, _ in noted],
        [content.digest.raw for _, content in noted],
        [each.id for each, _ in noted],
        [content.size for _, content in noted],
        [each.process for each, _ in noted],
        [content.sha256 for _, content in noted],
        [each.place for each, _ in noted],
        ["abandoned" if each.copies is None else MOVED for each, _ in noted],
        [each.expires_at + LATE_SECONDS if late_until is None else late_until for each, _ in noted],
        [each.holder.encode() for each, _ in noted],
    )
    names = [(ObjectName(each.namespace, content.digest, each.id), content.size) for each, content in noted]
    for each, content in noted:
        if each.copies is None:
            changes.stored(each.namespace, WHOLE, content.size)
    await first_or_last(db, names, changes, 1)


_SIZE = """
(SELECT coalesce(max(size), 0) FROM catalogue.blobs b WHERE b.namespace = x.namespace AND b.digest = x.digest)
"""
_OF_HOLDER = "o.namespace = x.namespace AND o.digest = x.digest AND o.holder = x.holder"

# One statement: each part sees what was there when it began, and no part changes what another reads.
_LET_GO = f"""
WITH x AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS x (namespace, digest, holder)),
less AS (
    SELECT namespace, holder, sum({_SIZE})::bigint AS size FROM x
    WHERE NOT EXISTS (SELECT 1 FROM catalogue.holders o WHERE {_OF_HOLDER})
      AND NOT EXISTS (SELECT 1 FROM catalogue.claims o WHERE {_OF_HOLDER})
    GROUP BY namespace, holder
),
remembered AS (
    INSERT INTO catalogue.former (namespace, digest, holder) SELECT * FROM x
    WHERE EXISTS (SELECT 1 FROM catalogue.blobs b WHERE b.namespace = x.namespace AND b.digest = x.digest)
    ON CONFLICT DO NOTHING
),
orphaned AS (
    UPDATE catalogue.blobs b SET orphaned_at = $4
    FROM (SELECT DISTINCT namespace, digest FROM x) y
    WHERE b.namespace = y.namespace AND b.digest = y.digest
      AND orphaned_at IS NULL AND state != 'condemned' AND {UNUSED}
)
UPDATE catalogue.volumes v SET stored = v.stored - less.size
FROM less WHERE v.namespace = less.namespace AND v.holder = less.holder
RETURNING v.namespace, v.holder, v.stored = 0 AND v.reserved = 0
"""

_ABANDON = """
INSERT INTO catalogue.blobs
    (namespace, digest, generation, size, process, sha256, place, reason, late_until, uploader,
     condemned_seq, state, verified_at)
SELECT *, nextval('catalogue.counter'), 'condemned', 0
FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::bigint[], $8::text[],
            $9::float8[], $10::bytea[])
"""

_OVER = """
UPDATE catalogue.blobs SET process = NULL, late_until = $1 WHERE process = $2 AND namespace = $3 AND generation = $4
"""
