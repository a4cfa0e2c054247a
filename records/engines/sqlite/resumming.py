"""Sums added up anew from all rows: which are wrong, and setting them right."""

from blobstore.sqlite import sqlite3
from records.sums import month_of
from records.times import unpacked


def wrong_sums(db: sqlite3.Connection) -> list[str]:
    """One sentence for each, without content; connectors and partitions are named by their number in the file."""
    _prepare(db)
    return [sentence.format(*row) for sql, sentence in _CHECKS for row in db.execute(sql)]


def mend_sums(db: sqlite3.Connection) -> None:
    """Replace all of them."""
    _prepare(db)
    for table, counted in (("linked", _ALL_LINKED), ("months", _MONTHLY)):
        db.execute(f"DELETE FROM {table}")
        db.execute(f"INSERT INTO {table} {counted}")


def _prepare(db: sqlite3.Connection) -> None:
    db.create_function("month_of", 1, lambda packed: month_of(unpacked(packed)), deterministic=True)


_OF_EACH = """
WITH kept AS (SELECT {kept} FROM {table}), counted AS ({counted})
SELECT *, 'is kept' FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)
UNION ALL SELECT *, 'is true' FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
"""

_LINKED = """
SELECT connector, stream, count(*), sum(size), count(DISTINCT digest),
       sum(CASE WHEN first THEN size ELSE 0 END)
FROM (
    SELECT connector, stream, digest, size,
           row_number() OVER (PARTITION BY connector, stream, digest) = 1 AS first
    FROM (SELECT l.connector, {stream} AS stream, l.digest, l.size FROM links l JOIN partitions p ON p.id = l.part)
) GROUP BY connector, stream
"""

_ALL_LINKED = _LINKED.format(stream="p.stream") + " UNION ALL " + _LINKED.format(stream="''")

_MONTHLY = """
SELECT r.part, month_of(r.emitted_at), count(*), sum(octet_length(r.data)), coalesce(sum(l.size), 0)
FROM records r LEFT JOIN (SELECT part, key, sum(size) AS size FROM links GROUP BY part, key) l
    ON r.links AND l.part = r.part AND l.key = r.key
GROUP BY 1, 2
"""

_CHECKS = (
    (
        _OF_EACH.format(
            kept="connector, stream, links, bytes, blobs, blob_bytes",
            table="linked",
            counted=_ALL_LINKED,
        ),
        "of what connector {0} links in a stream {2} links, {3} bytes, {4} blobs and {5} bytes of them {6}",
    ),
    (
        _OF_EACH.format(kept="part, month, records, bytes, linked", table="months", counted=_MONTHLY),
        "of a month of partition {0} {2} records, {3} bytes and {4} bytes that they link {5}",
    ),
    (
        "SELECT connector, count(*) FROM (SELECT connector, digest FROM links GROUP BY connector, digest"
        " HAVING min(size) != max(size)) GROUP BY connector",
        "connector {} links {} blobs with several sizes",
    ),
)
