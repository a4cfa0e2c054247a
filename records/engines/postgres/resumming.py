"""Sums added up anew from all rows: which are wrong, and setting them right."""

from collections import defaultdict

from blobstore.postgres import Connection
from records.engines.postgres.schema import copy, lock_owner
from records.sums import month_of

Months = dict[tuple[bytes, str], list[int]]
"""By partition and month: records, bytes, and sizes of links."""


async def wrong_sums(db: Connection, owner: str) -> list[str]:
    """One sentence for each, without content; connectors and partitions are named by their number in the database."""
    found = [sentence.format(*row) for sql, sentence in _CHECKS for row in await db.fetch(sql, owner)]
    true = await _true_months(db, owner)
    kept = {(part, month): counts for part, month, *counts in await db.fetch(_MONTHS, owner)}
    for part, month in sorted(kept.keys() | true.keys()):
        counts, has = kept.get((part, month)), true.get((part, month))
        if counts != has:
            found.append(f"of month {month} partition {part.hex()} counts {counts} records and bytes, but has {has}")
    return found


async def mend_sums(db: Connection, owner: str) -> None:
    """Replace all of them; nothing else is written meanwhile."""
    await lock_owner(db, owner)
    for table in ("linked", "months"):
        await db.execute(f"DELETE FROM records.{table} WHERE owner = $1", owner)
    await db.execute(_LINK, owner)
    months = (await _true_months(db, owner)).items()
    await copy(db, "months", _MONTH_COLUMNS, [(owner, *key, *counts) for key, counts in months])


async def _true_months(db: Connection, owner: str) -> Months:
    """Times that are not in UTC are put into their months here, as `month_of` has them."""
    true: defaultdict[tuple[bytes, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for part, emitted_at, *counts in await db.fetch(_MONTHLY, owner):
        of = true[part, month_of(emitted_at)]
        of[:] = [was + more for was, more in zip(of, counts, strict=True)]
    return true


# As `month_of` has them but for those that are not in UTC, which stay as they are.
_MONTHLY = """
SELECT r.part, CASE WHEN right(r.emitted_at, 1) IN ('Z', 'z') THEN left(r.emitted_at, 7) || 'Z'
    ELSE r.emitted_at END AS at, count(*), sum(octet_length(r.data))::bigint, coalesce(sum(l.size), 0)::bigint
FROM records.records r LEFT JOIN (
    SELECT part, key, sum(size) AS size FROM records.links WHERE owner = $1 GROUP BY part, key
) AS l ON l.part = r.part AND l.key = r.key
WHERE r.owner = $1 GROUP BY r.part, at
"""

_MONTHS = "SELECT part, month, records, bytes, linked FROM records.months WHERE owner = $1"

_LINKED = """
    SELECT connector, {stream} AS stream, sum(links)::bigint AS links, sum(links * size)::bigint AS bytes,
           count(DISTINCT digest) AS blobs, sum(size) FILTER (WHERE first)::bigint AS blob_bytes
    FROM (
        SELECT connector, stream, digest, size, links,
               row_number() OVER (PARTITION BY connector, {stream}, digest) = 1 AS first
        FROM (
            SELECT l.connector, p.stream, l.digest, l.size, count(*) AS links
            FROM records.links l JOIN records.partitions p ON p.owner = $1 AND p.part = l.part
            WHERE l.owner = $1 GROUP BY l.connector, p.stream, l.digest, l.size
        ) AS each
    ) AS numbered GROUP BY connector, {stream}
"""

_BLANK = "''::bytea"

_ALL_LINKED = f"""{_LINKED.format(stream="stream")} UNION ALL {_LINKED.format(stream=_BLANK)}"""

_LINK = f"""
INSERT INTO records.linked (owner, connector, stream, links, bytes, blobs, blob_bytes)
SELECT $1, c.connector, c.stream, c.links, c.bytes, c.blobs, c.blob_bytes FROM ({_ALL_LINKED}) AS c
"""

_MONTH_COLUMNS = ("owner", "part", "month", "records", "bytes", "linked")

_CHECKS = (
    (
        f"""
        WITH kept AS (
            SELECT connector, stream, links, bytes, blobs, blob_bytes FROM records.linked WHERE owner = $1
        ), counted AS (
            {_ALL_LINKED}
        )
        SELECT encode(coalesce(k.connector, n.connector), 'hex'),
               coalesce(k.links, 0), coalesce(k.bytes, 0), coalesce(k.blobs, 0), coalesce(k.blob_bytes, 0),
               coalesce(n.links, 0), coalesce(n.bytes, 0), coalesce(n.blobs, 0), coalesce(n.blob_bytes, 0)
        FROM kept k FULL JOIN counted n ON n.connector = k.connector AND n.stream = k.stream
        WHERE (k.links, k.bytes, k.blobs, k.blob_bytes) IS DISTINCT FROM (n.links, n.bytes, n.blobs, n.blob_bytes)
        """,
        "connector {} counts {} links of {} bytes and {} blobs of {} bytes in a stream,"
        " but has {} links of {} bytes and {} blobs of {} bytes",
    ),
    (
        "SELECT encode(connector, 'hex'), count(*) FROM (SELECT connector, digest FROM records.links WHERE owner = $1 "
        "GROUP BY connector, digest HAVING min(size) <> max(size)) AS odd GROUP BY connector",
        "connector {} links {} blobs with several sizes",
    ),
)
