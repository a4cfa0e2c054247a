"""The tables of sums: what their rows say, and how they follow what a transaction does to one stream."""

from collections.abc import Collection, Sequence

from blobstore.sqlite import sqlite3
from records.engines.sqlite.schema import in_lists
from records.engines.summing import Change, by_connector
from records.sums import Sums

Absent = tuple[Collection[bytes], Collection[bytes]]
"""Of some digests those that have no link in the stream, and those that have none in the connector."""

NONE: Absent = ((), ())


def sums_in(db: sqlite3.Connection, connector: str | None = None) -> dict[str, Sums]:
    """Those of every connector in the file, or of this one."""
    return by_connector(db.execute(_LINKED, (connector, connector)), db.execute(_MONTHS, (connector, connector)))


def unlinked_in(db: sqlite3.Connection, part: int, digests: Sequence[bytes]) -> Absent:
    """Those of the blobs that nothing links, in the stream of the partition and in its connector."""
    if not digests:
        return NONE
    ((connector, stream),) = db.execute("SELECT connector, stream FROM partitions WHERE id = ?", (part,)).fetchall()
    parts = db.execute("SELECT id FROM partitions WHERE connector = ? AND stream = ?", (connector, stream))
    there = ",".join(str(number) for (number,) in parts)
    linked: dict[bytes, int] = {}
    for marks, some in in_lists(digests):
        values = "), (".join(marks[1:-1].split(","))
        linked.update(db.execute(_LINKS.format(values=values, parts=there), (*some, connector)).fetchall())
    if not linked:
        return digests, digests
    return [each for each in digests if not linked.get(each)], [each for each in digests if each not in linked]


def sum_up(db: sqlite3.Connection, part: int, change: Change, fresh: Absent = NONE) -> None:
    """Have sums follow what was done to the partition; `fresh` is what `unlinked_in` said before links were added."""
    db.executemany(_COUNT, [(part, month, *counts) for month, counts in change.months.items()])
    if change.shrinks:
        db.execute("DELETE FROM months WHERE part = ? AND records = 0", (part,))
    if not change.links_change:
        return
    lost = unlinked_in(db, part, change.lost)
    ((connector, stream),) = db.execute("SELECT connector, stream FROM partitions WHERE id = ?", (part,)).fetchall()
    for where, come, gone in zip((stream, ""), fresh, lost, strict=True):
        db.execute(_LINK, (connector, where, change.links, change.linked, *change.blobs(come, gone)))
    db.execute("DELETE FROM linked WHERE connector = ? AND links = 0", (connector,))


# Of those that are linked at all: whether the stream links them. One lookup for each, and one for each partition.
_LINKS = """
SELECT w.column1,
    EXISTS (SELECT 1 FROM links l WHERE l.connector = c.id AND l.digest = w.column1 AND l.part IN ({parts}))
FROM (VALUES ({values})) w CROSS JOIN (SELECT ? AS id) c
WHERE EXISTS (SELECT 1 FROM links l WHERE l.connector = c.id AND l.digest = w.column1)
"""

_COUNT = """
INSERT INTO months VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    records = records + excluded.records, bytes = bytes + excluded.bytes, linked = linked + excluded.linked
"""

_LINK = """
INSERT INTO linked VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    links = links + excluded.links, bytes = bytes + excluded.bytes,
    blobs = blobs + excluded.blobs, blob_bytes = blob_bytes + excluded.blob_bytes
"""

_LINKED = """
SELECT c.name, l.stream, l.links, l.bytes, l.blobs, l.blob_bytes
FROM connectors c JOIN linked l ON l.connector = c.id WHERE ? IS NULL OR c.name = ?
"""

_MONTHS = """
SELECT c.name, m.month, sum(m.records), sum(m.bytes), sum(m.linked)
FROM connectors c JOIN partitions p ON p.connector = c.id JOIN months m ON m.part = p.id
WHERE ? IS NULL OR c.name = ? GROUP BY c.name, m.month
"""
