"""What is wrong with an owner's rows: counters that disagree with them, rows that disagree with each other."""

from blobstore.postgres import Connection


async def disagreements(db: Connection, owner: str) -> list[str]:
    """One sentence for each, without content; partitions are named by their number in the database."""
    return [sentence.format(*row) for sql, sentence in _CHECKS for row in await db.fetch(sql, owner)]


_COUNTED = """
WITH counted AS (
    SELECT part, count(*) AS records, sum(octet_length(data)) AS bytes, sum(links) AS links,
           max(version) AS version, max(emitted_at) AS updated_at
    FROM records.records WHERE owner = $1 GROUP BY part
)
SELECT encode(p.part, 'hex'), {counter}, {rows}
FROM records.partitions p LEFT JOIN counted n ON n.part = p.part WHERE p.owner = $1 AND ({wrong})
"""


def _counter(name: str) -> tuple[str, str]:
    rows = f"coalesce(n.{name}, 0)"
    sql = _COUNTED.format(counter=f"p.{name}", rows=rows, wrong=f"p.{name} <> {rows}")
    return sql, f"partition {{}} counts {{}} {name}, but has {{}}"


def _by_partition(rows: str) -> str:
    return f"SELECT encode(part, 'hex'), count(*) FROM ({rows}) AS wrong GROUP BY part ORDER BY part"


_CHECKS = (
    _counter("records"),
    _counter("bytes"),
    _counter("links"),
    (
        _COUNTED.format(counter="p.version", rows="n.version", wrong="p.version < n.version"),
        "partition {} is at version {}, but has a record of version {}",
    ),
    (
        "SELECT encode(p.part, 'hex'), p.version, max(t.version) FROM records.partitions p "
        "JOIN records.tombstones t ON t.owner = $1 AND t.part = p.part "
        "WHERE p.owner = $1 GROUP BY p.part, p.version HAVING p.version < max(t.version)",
        "partition {} is at version {}, but has a tombstone of version {}",
    ),
    (
        _COUNTED.format(
            counter="p.updated_at",
            rows="n.updated_at",
            wrong="(p.updated_at IS NULL) <> (n.updated_at IS NULL) OR p.updated_at < n.updated_at",
        ),
        "partition {} was updated at {}, but has a record of {}",
    ),
    (
        _by_partition(
            "SELECT part FROM (SELECT DISTINCT part FROM records.records WHERE owner = $1 "
            "UNION ALL SELECT DISTINCT part FROM records.tombstones WHERE owner = $1) AS used "
            "WHERE part NOT IN (SELECT part FROM records.partitions WHERE owner = $1)"
        ),
        "there are rows of partition {}, but no such partition",
    ),
    (
        _by_partition(
            "SELECT r.part FROM records.records r LEFT JOIN ("
            "SELECT part, key, count(*) AS links FROM records.links WHERE owner = $1 GROUP BY part, key"
            ") AS l ON l.part = r.part AND l.key = r.key WHERE r.owner = $1 AND r.links <> coalesce(l.links, 0)"
        ),
        "partition {} has {} records whose links are not those that they count",
    ),
    (
        _by_partition(
            "SELECT l.part FROM records.links l LEFT JOIN records.records r "
            "ON r.owner = $1 AND r.part = l.part AND r.key = l.key WHERE l.owner = $1 AND r.key IS NULL"
        ),
        "partition {} has {} links of records that are not there",
    ),
    (
        _by_partition(
            "SELECT l.part FROM records.links l LEFT JOIN records.partitions p ON p.owner = $1 AND p.part = l.part "
            "WHERE l.owner = $1 AND l.connector IS DISTINCT FROM p.connector"
        ),
        "partition {} has {} links of another connector",
    ),
    (
        _by_partition("SELECT part FROM records.history WHERE owner = $1 AND until <= version"),
        "partition {} remembers {} states that ended before they began",
    ),
    (
        _by_partition(
            "SELECT h.part FROM records.history h LEFT JOIN records.partitions p ON p.owner = $1 AND p.part = h.part "
            "WHERE h.owner = $1 AND (p.part IS NULL OR h.until > p.version)"
        ),
        "partition {} remembers {} states that were superseded by none",
    ),
    (
        # A key's states follow each other; what was erased or forgotten leaves gaps.
        _by_partition("""
            SELECT part FROM (
                SELECT part, version, lag(until) OVER (PARTITION BY part, key ORDER BY version) AS ended FROM (
                    SELECT part, key, version, until FROM records.history WHERE owner = $1
                    UNION ALL SELECT part, key, version, NULL FROM records.records WHERE owner = $1
                    UNION ALL SELECT part, key, version, NULL FROM records.tombstones WHERE owner = $1
                ) AS states
            ) AS followed WHERE ended > version"""),
        "partition {} remembers {} states that began before the one before them ended",
    ),
    (
        "SELECT encode(part, 'hex'), floor, version FROM records.partitions WHERE owner = $1 AND floor > version "
        # A copy that is being made has its floors at once.
        "AND connector NOT IN (SELECT connector FROM records.moving WHERE owner = $1)",
        "partition {} has forgotten what was before {}, but is at version {}",
    ),
    (
        _by_partition(
            "SELECT t.part FROM records.tombstones t JOIN records.records r "
            "ON r.owner = $1 AND r.part = t.part AND r.key = t.key WHERE t.owner = $1"
        ),
        "partition {} has {} tombstones of records that are there",
    ),
    (
        "SELECT max(seq), (SELECT given FROM records.owners WHERE owner = $1) FROM records.outbox WHERE owner = $1 "
        "HAVING max(seq) > (SELECT given FROM records.owners WHERE owner = $1)",
        "the outbox has an event of number {}, but has given none above {}",
    ),
)
