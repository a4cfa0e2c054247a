"""The tables of sums: what their rows say, and how they follow what a transaction does to one stream.

Of one connector only one transaction at a time adds or removes links (`schema.lock_links`), from before it looks which
blobs are linked until it is over: of two that each took one of two last links away both would see the other's.
"""

from collections.abc import Collection, Sequence

from blobstore.postgres import Connection
from records.engines.postgres.schema import connector_id, listed, lock_links, part_of
from records.engines.summing import Change
from records.model import Partition

Absent = tuple[Collection[bytes], Collection[bytes]]
"""Of some digests those that have no link in the stream, and those that have none in the connector."""

NONE: Absent = ((), ())


async def unlinked_in(db: Connection, owner: str, place: Partition, digests: Sequence[bytes]) -> Absent:
    """Those of the blobs that nothing links, in the partition's stream and in its connector; the links are locked."""
    if not digests:
        return NONE
    connector, stream = connector_id(place.connector), place.stream.encode()
    await lock_links(db, owner, connector)
    parts = [part for (part,) in await db.fetch(_PARTS, owner, connector, stream, part_of(place))]
    rows = await db.fetch(_LINKS, owner, connector, parts, list(digests))
    linked: dict[bytes, bool] = {digest: in_stream for digest, in_stream in rows}  # noqa: C416 - rows are no tuples
    return [each for each in digests if not linked.get(each)], [each for each in digests if each not in linked]


async def sum_up(db: Connection, owner: str, place: Partition, change: Change, fresh: Absent = NONE) -> None:
    """Have sums follow what was done to the partition; `fresh` is what `unlinked_in` said before links were added."""
    part = part_of(place)
    months = sorted(change.months)
    counts = [[change.months[month][number] for month in months] for number in range(3)]
    await db.execute(_COUNT, owner, part, months, *counts)
    if change.shrinks:
        await db.execute("DELETE FROM records.months WHERE owner = $1 AND part = $2 AND records = 0", owner, part)
    if not change.links_change:
        return
    connector = connector_id(place.connector)
    await lock_links(db, owner, connector)
    lost = await unlinked_in(db, owner, place, change.lost)
    (blobs, size), (all_blobs, all_size) = (change.blobs(*each) for each in zip(fresh, lost, strict=True))
    streams, links = [b"", place.stream.encode()], [change.links, change.links]
    sizes = [change.linked, change.linked]
    await db.execute(_LINK, owner, connector, streams, links, sizes, [all_blobs, blobs], [all_size, size])
    if change.links < 0 or change.lost:
        await db.execute(
            "DELETE FROM records.linked WHERE owner = $1 AND connector = $2 AND links = 0", owner, connector
        )


_PARTS = """
SELECT part FROM records.partitions WHERE owner = $1 AND connector = $2 AND stream = $3 UNION SELECT $4::bytea
"""

# Of those that are linked at all: whether the stream links them.
_LINKS = f"""
SELECT w.digest, (
    SELECT true FROM unnest($3::bytea[]) AS p(part) CROSS JOIN LATERAL (
        SELECT 1 FROM records.links l
        WHERE l.owner = $1 AND l.connector = $2 AND l.digest = w.digest AND {listed("l.part")} = {listed("p.part")}
        LIMIT 1
    ) AS one LIMIT 1
) IS NOT NULL
FROM unnest($4::bytea[]) AS w(digest)
WHERE (
    SELECT true FROM records.links l WHERE l.owner = $1 AND l.connector = $2 AND l.digest = w.digest LIMIT 1
)
"""

_COUNT = """
INSERT INTO records.months AS m (owner, part, month, records, bytes, linked)
SELECT $1, $2, w.* FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) AS w
ON CONFLICT (owner, part, month) DO UPDATE SET
    records = m.records + excluded.records, bytes = m.bytes + excluded.bytes, linked = m.linked + excluded.linked
"""

_LINK = """
INSERT INTO records.linked AS l (owner, connector, stream, links, bytes, blobs, blob_bytes)
SELECT $1, $2, w.* FROM unnest($3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS w
ON CONFLICT (owner, connector, stream) DO UPDATE SET
    links = l.links + excluded.links, bytes = l.bytes + excluded.bytes,
    blobs = l.blobs + excluded.blobs, blob_bytes = l.blob_bytes + excluded.blob_bytes
"""
