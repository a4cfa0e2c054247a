"""Batches into rows: read what is there once, decide in `plan`, write in bulk."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from records.engines.plan import Alive, Buried, Plan, Written, plan
from records.engines.sqlite.schema import (
    OnFile,
    Row,
    bury,
    connector_id,
    in_lists,
    mark_stale,
    note_unlinked,
    record_id,
    version_of,
)
from records.errors import Fenced, Released
from records.model import Batch, Delete, Outcome, Partition, PartitionStats, Put
from records.order import split
from records.times import packed, unpacked


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
    present = {} if place.part is None else _present(db, place.part, batch)
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


def _present(db: sqlite3.Connection, part: int, batch: Batch) -> dict[str, Alive | Buried]:
    """What the batch finds of its keys: records, with their data where it may be superseded, and tombstones."""
    keys = sorted({each.key for each in batch.mutations})
    needed = {each.key for each in batch.mutations if isinstance(each, Delete) or not batch.append_only}
    rows: list[Row] = []
    for column, some in (("CAST(data AS BLOB)", sorted(needed)), ("NULL", sorted(set(keys) - needed))):
        for marks, values in in_lists(some):
            sql = f"SELECT {column}, {_ALIVE} FROM records WHERE part = ? AND key IN {marks}"
            rows += db.execute(sql, (part, *values))
    digests = _digests(db, part, [key for _, key, _, _, _, links, _ in rows if links])
    found: dict[str, Alive | Buried] = {
        key: Alive(data, size, tuple(digests[key]), version_of(record), unpacked(emitted_at), revisions)
        for data, key, size, record, emitted_at, _, revisions in rows
    }
    if len(found) < len(keys) and db.execute("SELECT 1 FROM tombstones WHERE part = ? LIMIT 1", (part,)).fetchone():
        for marks, values in in_lists(keys):
            sql = f"SELECT key, version FROM tombstones WHERE part = ? AND key IN {marks}"
            found |= {key: Buried(version) for key, version in db.execute(sql, (part, *values))}
    return found


def _digests(db: sqlite3.Connection, part: int, keys: Sequence[str]) -> dict[str, list[Digest]]:
    digests: defaultdict[str, list[Digest]] = defaultdict(list)
    for marks, some in in_lists(keys):
        for key, digest in db.execute(
            f"SELECT key, digest FROM links WHERE part = ? AND key IN {marks}", (part, *some)
        ):
            digests[key].append(Digest.from_bytes(digest))
    return digests


def _write(
    db: sqlite3.Connection, connector: int, part: int, done: Plan, present: Mapping[str, Alive | Buried]
) -> None:
    alive = {key: each for key, each in present.items() if isinstance(each, Alive) and key in done.last}
    graves = [(part, key) for key, each in present.items() if isinstance(each, Buried) and key in done.last]
    written = list(done.written())
    if alive or graves:
        mark_stale(db)
    db.executemany(
        "DELETE FROM links WHERE part = ? AND key = ?", [(part, key) for key, each in alive.items() if each.digests]
    )
    db.executemany("DELETE FROM tombstones WHERE part = ? AND key = ?", graves)
    gone = [(part, grave.key) for grave in done.buried() if grave.key in alive]
    db.executemany("DELETE FROM records WHERE part = ? AND key = ?", gone)
    db.executemany(_UPDATE, [_row(part, each) for each in written if each.put.key in alive])
    db.executemany(_INSERT, [_row(part, each) for each in written if each.put.key not in alive])
    db.executemany(_LINK, _link_rows(connector, part, [each.put for each in written]))
    _remember(db, part, done)


def _remember(db: sqlite3.Connection, part: int, done: Plan) -> None:
    now = int(time.time())
    bury(db, part, list(done.buried()), now)
    past = [(part, each.until, each.key, each.version, now, each.remembered) for each in done.past]
    db.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", past)


def _row(part: int, of: Written) -> Row:
    put = of.put
    cursor, _ = split(put.sort, put.key)
    return (
        record_id(part, of.version),
        put.sort.absent,
        cursor,
        packed(put.emitted_at),
        len(put.links),
        of.revisions,
        put.data,
        part,
        put.key,
    )


def _link_rows(connector: int, part: int, puts: Iterable[Put]) -> list[Row]:
    return [
        (part, put.key, link.pointer, connector, link.digest.raw, link.media_type, link.filename)
        for put in puts
        for link in put.links
    ]


_EPOCH = """
SELECT c.epoch + coalesce(i.epoch, 0)
FROM connectors c LEFT JOIN instances i ON i.connector = c.id AND i.name = ? WHERE c.name = ?
"""

_FIND = """
SELECT c.id, c.epoch + coalesce(i.epoch, 0), c.release_epoch,
       p.id, p.records, p.bytes, p.links, p.version, p.updated_at, p.floor
FROM connectors c
LEFT JOIN instances i ON i.connector = c.id AND i.name = ?
LEFT JOIN partitions p ON p.connector = c.id AND p.instance = ? AND p.stream = ?
WHERE c.name = ?
"""

_SET_STATS = "UPDATE partitions SET records = ?, bytes = ?, links = ?, version = ?, updated_at = ? WHERE id = ?"

_ALIVE = "key, octet_length(data), id, emitted_at, links, revisions"

# CAST: the text goes in and comes out as the bytes that it is, unread.
_INSERT = """
INSERT INTO records (id, absent, cursor, emitted_at, links, revisions, data, part, key)
VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?)
"""

_UPDATE = """
UPDATE records SET id = ?, absent = ?, cursor = ?, emitted_at = ?, links = ?, revisions = ?, data = CAST(? AS TEXT)
WHERE part = ? AND key = ?
"""

_LINK = """
INSERT INTO links (part, key, pointer, connector, digest, media_type, filename) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
