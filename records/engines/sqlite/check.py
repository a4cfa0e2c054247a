"""What is wrong with a record file: counters that disagree with rows, rows that disagree with each other."""

from blobstore.sqlite import sqlite3
from records.engines.sqlite.schema import VERSIONS
from records.times import unpacked


def disagreements(db: sqlite3.Connection) -> list[str]:
    """One sentence for each, without content; partitions are named by their number in the file."""
    db.create_function("unpacked", 1, unpacked, deterministic=True)
    return [sentence.format(*row) for sql, sentence in _CHECKS for row in db.execute(sql)]


_MASK = (1 << VERSIONS) - 1

_COUNTED = """
WITH counted AS (
    SELECT part, count(*) AS records, sum(octet_length(data)) AS bytes, sum(links) AS links,
           max(id & {mask}) AS version, max(unpacked(emitted_at)) AS updated_at
    FROM records GROUP BY part
)
SELECT p.id, {counter}, {rows} FROM partitions p LEFT JOIN counted n ON n.part = p.id WHERE {wrong}
""".replace("{mask}", str(_MASK))


def _counter(name: str) -> tuple[str, str]:
    rows = f"coalesce(n.{name}, 0)"
    sql = _COUNTED.format(counter=f"p.{name}", rows=rows, wrong=f"p.{name} != {rows}")
    return sql, f"partition {{}} counts {{}} {name}, but has {{}}"


_CHECKS = (
    _counter("records"),
    _counter("bytes"),
    _counter("links"),
    (
        _COUNTED.format(counter="p.version", rows="n.version", wrong="p.version < n.version"),
        "partition {} is at version {}, but has a record of version {}",
    ),
    (
        "SELECT p.id, p.version, max(t.version) FROM partitions p JOIN tombstones t ON t.part = p.id "
        "GROUP BY p.id HAVING p.version < max(t.version)",
        "partition {} is at version {}, but has a tombstone of version {}",
    ),
    (
        _COUNTED.format(
            counter="p.updated_at",
            rows="n.updated_at",
            wrong="(p.updated_at IS NULL) != (n.updated_at IS NULL) OR p.updated_at < n.updated_at",
        ),
        "partition {} was updated at {}, but has a record of {}",
    ),
    (
        "SELECT part, count(*) FROM (SELECT DISTINCT part FROM records UNION ALL SELECT DISTINCT part FROM tombstones)"
        " WHERE part NOT IN (SELECT id FROM partitions) GROUP BY part",
        "there are rows of partition {}, but no such partition",
    ),
    (
        "SELECT r.part, count(*) FROM records r "
        "WHERE r.links != (SELECT count(*) FROM links l WHERE l.part = r.part AND l.key = r.key) GROUP BY r.part",
        "partition {} has {} records whose links are not those that they count",
    ),
    (
        "SELECT l.part, count(*) FROM links l LEFT JOIN records r ON r.part = l.part AND r.key = l.key "
        "WHERE r.id IS NULL GROUP BY l.part",
        "partition {} has {} links of records that are not there",
    ),
    (
        "SELECT l.part, count(*) FROM links l LEFT JOIN partitions p ON p.id = l.part "
        "WHERE l.connector IS NOT p.connector GROUP BY l.part",
        "partition {} has {} links of another connector",
    ),
    (
        f"SELECT part, count(*) FROM records WHERE id >> {VERSIONS} != part GROUP BY part",
        "partition {} has {} records in the place of another",
    ),
    (
        "SELECT part, count(*) FROM history WHERE until <= version GROUP BY part",
        "partition {} remembers {} states that ended before they began",
    ),
    (
        "SELECT h.part, count(*) FROM history h LEFT JOIN partitions p ON p.id = h.part "
        "WHERE p.id IS NULL OR h.until > p.version GROUP BY h.part",
        "partition {} remembers {} states that were superseded by none",
    ),
    (
        # A key's states follow each other; what was erased or forgotten leaves gaps.
        f"""SELECT part, count(*) FROM (
            SELECT part, version, lag(until) OVER (PARTITION BY part, key ORDER BY version) AS ended FROM (
                SELECT part, key, version, until FROM history
                UNION ALL SELECT part, key, id & {_MASK}, NULL FROM records
                UNION ALL SELECT part, key, version, NULL FROM tombstones
            )
        ) WHERE ended > version GROUP BY part""",
        "partition {} remembers {} states that began before the one before them ended",
    ),
    (
        # A copy that is being made has its floors at once.
        "SELECT id, floor, version FROM partitions WHERE floor > version AND connector NOT IN "
        "(SELECT c.id FROM moving m JOIN connectors c ON c.name = m.connector)",
        "partition {} has forgotten what was before {}, but is at version {}",
    ),
    (
        "SELECT t.part, count(*) FROM tombstones t JOIN records r ON r.part = t.part AND r.key = t.key GROUP BY t.part",
        "partition {} has {} tombstones of records that are there",
    ),
)
