"""Batches into rows: read what is there once, decide in `plan`, write in bulk."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqliteslack import mark_stale
from records.engines.plan import Plan, Present, plan
from records.engines.sqlite.schema import LINK, OnFile, Row, connector_id, in_lists, link_rows, note_unlinked
from records.errors import Fenced, Released
from records.model import Batch, Delete, Outcome, Partition, PartitionStats, Put
from records.order import split


class Writes(OnFile):
    """The part of the port that changes records."""

    async def epoch(self, connector: str, instance: str) -> int:
        row = await self._file.read(lambda db: db.execute(_EPOCH, (instance, connector)).fetchone())
        return 0 if row is None else int(row[0])

    async def release_epoch(self, connector: str) -> int:
        sql = "SELECT release_epoch FROM connectors WHERE name = ?"
        row = await self._file.read(lambda db: db.execute(sql, (connector,)).fetchone())
        return 0 if row is None else int(row[0])

    async def apply(self, batch: Batch) -> list[Outcome]:
        return await self._file.write(lambda db: _apply(db, batch))


@dataclass(frozen=True, slots=True)
class _Place:
    """A partition as the batch finds it; `part` and `connector` are None before they are first written to."""

    connector: int | None
    epoch: int
    release_epoch: int
    part: int | None
    stats: PartitionStats


def _apply(db: sqlite3.Connection, batch: Batch) -> list[Outcome]:
    place = _find(db, batch.partition)
    if batch.epoch != place.epoch:
        raise Fenced("the connection was erased while the request ran")
    if batch.release_epoch not in (None, place.release_epoch):
        raise Released("blobs were released while the request ran")
    present = {} if place.part is None else _present(db, place.part, sorted({each.key for each in batch.mutations}))
    done, stats = plan(batch, present, place.stats)
    if done.changed:
        connector = place.connector or connector_id(db, batch.partition.connector)
        part = place.part or _new_part(db, connector, batch.partition)
        _write(db, connector, part, done, present)
        counts = (stats.records, stats.bytes, stats.links, stats.version, stats.updated_at)
        db.execute(_SET_STATS, (*counts, part))
        note_unlinked(db, connector, done.dropped)
        if batch.event is not None:
            db.execute("INSERT INTO outbox (body) VALUES (?)", (batch.event,))
    return done.outcomes


def _find(db: sqlite3.Connection, partition: Partition) -> _Place:
    row = db.execute(_FIND, (partition.instance, partition.instance, partition.stream, partition.connector)).fetchone()
    if row is None:
        return _Place(None, 0, 0, None, PartitionStats(0, 0, 0, 0, None))
    connector, epoch, release_epoch, part, *counts = row
    stats = PartitionStats(0, 0, 0, 0, None) if part is None else PartitionStats(*counts)
    return _Place(connector, epoch, release_epoch, part, stats)


def _new_part(db: sqlite3.Connection, connector: int, partition: Partition) -> int:
    sql = "INSERT INTO partitions (connector, instance, stream) VALUES (?, ?, ?) RETURNING id"
    return int(db.execute(sql, (connector, partition.instance, partition.stream)).fetchone()[0])


def _present(db: sqlite3.Connection, part: int, keys: Sequence[str]) -> dict[str, Present]:
    rows: list[Row] = []
    for marks, some in in_lists(keys):
        sql = f"SELECT key, fingerprint, octet_length(data), links FROM records WHERE part = ? AND key IN {marks}"
        rows += db.execute(sql, (part, *some))
    digests: defaultdict[str, list[Digest]] = defaultdict(list)
    for marks, some in in_lists([key for key, _, _, links in rows if links]):
        for key, digest in db.execute(
            f"SELECT key, digest FROM links WHERE part = ? AND key IN {marks}", (part, *some)
        ):
            digests[key].append(Digest.from_bytes(digest))
    return {key: Present(fingerprint, size, tuple(digests[key])) for key, fingerprint, size, _ in rows}


def _write(db: sqlite3.Connection, connector: int, part: int, done: Plan, present: dict[str, Present]) -> None:
    puts = [(each, version) for each, version in done.last.values() if isinstance(each, Put)]
    deletes = [(each, version) for each, version in done.last.values() if isinstance(each, Delete)]
    if not present.keys().isdisjoint(done.last):
        mark_stale(db)
    unlinked = [(part, key) for key in done.last if key in present and present[key].digests]
    db.executemany("DELETE FROM links WHERE part = ? AND key = ?", unlinked)
    db.executemany("DELETE FROM records WHERE part = ? AND key = ?", [(part, each.key) for each, _ in deletes])
    db.executemany(_UPDATE, [_row(part, each, version) for each, version in puts if each.key in present])
    new = [(each, version) for each, version in puts if each.key not in present]
    db.executemany(_INSERT, [_row(part, each, version) for each, version in new])
    db.executemany(LINK, (row for each, _ in puts for row in link_rows(connector, part, each.key, each.links)))
    db.executemany(
        "INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?, ?, ?)",
        [(part, each.key, version, each.deleted_at, each.emitted_at) for each, version in deletes],
    )
    if new and db.execute("SELECT 1 FROM tombstones WHERE part = ? LIMIT 1", (part,)).fetchone():
        db.executemany("DELETE FROM tombstones WHERE part = ? AND key = ?", [(part, each.key) for each, _ in new])


def _row(part: int, put: Put, version: int) -> Row:
    cursor, _ = split(put.sort, put.key)
    return (
        put.sort.absent,
        cursor,
        put.emitted_at,
        put.fingerprint,
        version,
        len(put.links),
        put.data,
        part,
        put.key,
    )


_EPOCH = """
SELECT c.epoch + coalesce(i.epoch, 0)
FROM connectors c LEFT JOIN instances i ON i.connector = c.id AND i.name = ? WHERE c.name = ?
"""

_FIND = """
SELECT c.id, c.epoch + coalesce(i.epoch, 0), c.release_epoch,
       p.id, p.records, p.bytes, p.links, p.version, p.updated_at
FROM connectors c
LEFT JOIN instances i ON i.connector = c.id AND i.name = ?
LEFT JOIN partitions p ON p.connector = c.id AND p.instance = ? AND p.stream = ?
WHERE c.name = ?
"""

_SET_STATS = "UPDATE partitions SET records = ?, bytes = ?, links = ?, version = ?, updated_at = ? WHERE id = ?"

# CAST: the text goes in and comes out as the bytes that it is, unread.
_INSERT = """
INSERT INTO records (absent, cursor, emitted_at, fingerprint, version, links, data, part, key)
VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?)
"""

_UPDATE = """
UPDATE records SET absent = ?, cursor = ?, emitted_at = ?, fingerprint = ?, version = ?, links = ?,
                   data = CAST(? AS TEXT)
WHERE part = ? AND key = ?
"""
