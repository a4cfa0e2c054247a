"""Rows as records, and statements that give as many of them as memory shall hold."""

from blobstore.postgres import Record
from records.model import Partition, SortKey, StoredRecord


def record(place: Partition, row: Record) -> StoredRecord:
    """A row of `BUDGETED`, with `COLUMNS`, as a record."""
    _, key, absent, cursor, emitted_at, version, links, revisions, data, *_ = row
    sort = SortKey(absent, cursor)
    return StoredRecord(place, key.decode(), sort, data, emitted_at, version, links > 0, revisions)


PIECE = 500
PIECE_BYTES = 4 << 20
"""Rows, and bytes of data, that are fetched at once where more than a page may be wanted."""

COLUMNS = "key, absent, cursor, emitted_at, version, links, revisions, data"

BUDGETED = """
SELECT n, key, absent, cursor, emitted_at, version, links, revisions,
       CASE WHEN before IS NULL OR before <= {budget} THEN data END AS data {more}
FROM (SELECT *, CASE WHEN {budget} IS NOT NULL THEN
          sum(octet_length(data)) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) - octet_length(data) END AS before
      FROM ({rows}) AS wanted) AS counted
ORDER BY {order}
"""
"""Rows of which those come without their data that stand beyond so many bytes: they tell that there is more."""
