"""Batches into rows: read what is there once, decide in `plan`, write in bulk."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale
from records.engines.plan import Plan, Present, plan
from records.engines.sqlite.schema import (
    LINK,
    OnFile,
    Row,
    add_records,
    bury,
    connector_id,
    in_lists,
    link_rows,
    note_unlinked,
    record_id,
    record_row,
    version_of,
)
from records.engines.sqlite.summing import sum_up, unlinked_in
from records.engines.sqlite.views import View, keep
from records.engines.summing import Sized
from records.errors import Fenced, Released
from records.model import Batch, Delete, Outcome, Partition, PartitionStats, Put
from records.times import unpacked


class Writes(OnFile):
    """The part of the port that changes records."""

    async def epoch(self, partition: Partition) -> int:
        values = (partition.instance, partition.stream, partition.connector)
        read = self.here([partition.connector], lambda db: db.execute(_EPOCH, values).fetchone())
        row = await self._file.recall(("epoch", partition, self._regardless), read)
        return 0 if row is None else int(row[0])

    async def release_epoch(self, connector: str) -> int:
        sql = "SELECT release_epoch FROM connectors WHERE name = ?"
        row = await self._file.read(self.here([connector], lambda db: db.execute(sql, (connector,)).fetchone()))
        return 0 if row is None else int(row[0])

    async def apply(self, batch: Batch) -> list[Outcome]:
        view = View.of(batch.partition, batch.fields, own_file=self.own_file)
        fresh = None if view in self._views else view
        run = self.here([batch.partition.connector], lambda db: _apply(db, batch, self.now(), fresh))
        outcomes = await self._file.write(run)
        self._views.add(view)
        return outcomes


@dataclass(frozen=True, slots=True)
class _Found:
    """A partition as the batch finds it; `part` and `connector` are None before they are first written to."""

    connector: int | None
    epoch: int
    release_epoch: int
    part: int | None
    stats: PartitionStats


def _apply(db: sqlite3.Connection, batch: Batch, now: int, fresh: View | None) -> list[Outcome]:
    found = _find(db, batch.partition)
    if batch.epoch != found.epoch:
        raise Fenced("the connection was erased while the request ran")
    if batch.release_epoch not in (None, found.release_epoch):
        raise Released("blobs were released while the request ran")
    present = {} if found.part is None else _present(db, found.part, batch)
    buried = {} if found.part is None else _buried(db, found.part, batch)
    done, stats = plan(batch, present, buried, found.stats, lambda version: _data(db, found.part, version))
    if done.changed:
        connector = found.connector or connector_id(db, batch.partition.connector)
        part = found.part or _new_part(db, connector, batch.partition)
        change = done.change(present)
        unlinked = unlinked_in(db, part, change.fresh)
        _remove(db, part, done, present, buried)
        _insert(db, connector, part, done, now)
        sum_up(db, part, change, unlinked)
        counts = (stats.records, stats.bytes, stats.links, stats.version, stats.updated_at)
        db.execute(_SET_STATS, (*counts, part))
        note_unlinked(db, connector, done.dropped)
        if batch.event is not None:
            db.execute("INSERT INTO outbox (body) VALUES (?)", (batch.event,))
    if fresh is not None:
        keep(db, fresh)
    return done.outcomes


def _find(db: sqlite3.Connection, partition: Partition) -> _Found:
    place = (partition.instance, partition.stream)
    row = db.execute(_FIND, (*place, *place, partition.connector)).fetchone()
    connector, epoch, release_epoch, part, *counts = row or (None, 0, 0, None)
    if part is not None:
        return _Found(connector, epoch, release_epoch, part, PartitionStats(*counts))
    (base,) = db.execute("SELECT base FROM versions").fetchone()
    return _Found(connector, epoch, release_epoch, None, PartitionStats(0, 0, 0, base, None, base))


def _new_part(db: sqlite3.Connection, connector: int, partition: Partition) -> int:
    sql = """
        INSERT INTO partitions (connector, instance, stream, version, floor)
        SELECT ?, ?, ?, base, base FROM versions RETURNING id"""
    return int(db.execute(sql, (connector, partition.instance, partition.stream)).fetchone()[0])


def _present(db: sqlite3.Connection, part: int, batch: Batch) -> dict[str, Present]:
    """The records that are there; their data only where the batch may supersede it, and not if it is long."""
    keys = {each.key for each in batch.mutations}
    superseded = {each.key for each in batch.mutations if isinstance(each, Delete)} if batch.append_only else keys
    rows: list[Row] = []
    for some, data in ((superseded, _SHORT), (keys - superseded, "NULL")):
        for marks, values in in_lists(sorted(some)):
            sql = f"SELECT key, id, emitted_at, revisions, {data}, octet_length(data), links"
            sql = f"{sql} FROM records WHERE part = ? AND key IN {marks}"
            rows += db.execute(sql, (part, *values))
    links: defaultdict[str, list[Sized]] = defaultdict(list)
    for marks, values in in_lists([row[0] for row in rows if row[-1] and row[0] in superseded]):
        sql = f"SELECT key, digest, size FROM links WHERE part = ? AND key IN {marks}"
        for key, digest, size in db.execute(sql, (part, *values)):
            links[key].append((Digest.from_bytes(digest), size))
    return {
        key: Present(version_of(number), unpacked(emitted_at), revisions, data, size, tuple(links[key]))
        for key, number, emitted_at, revisions, data, size, _ in rows
    }


def _data(db: sqlite3.Connection, part: int | None, version: int) -> bytes:
    sql = "SELECT CAST(data AS BLOB) FROM records WHERE id = ?"
    return bytes(db.execute(sql, (record_id(part or 0, version),)).fetchone()[0])


def _buried(db: sqlite3.Connection, part: int, batch: Batch) -> dict[str, int]:
    """The versions of the tombstones that are there."""
    if db.execute("SELECT 1 FROM tombstones WHERE part = ? LIMIT 1", (part,)).fetchone() is None:
        return {}
    found: dict[str, int] = {}
    for marks, values in in_lists(sorted({each.key for each in batch.mutations if isinstance(each, Put)})):
        sql = f"SELECT key, version FROM tombstones WHERE part = ? AND key IN {marks}"
        found.update(db.execute(sql, (part, *values)).fetchall())
    return found


def _remove(
    db: sqlite3.Connection, part: int, done: Plan, present: Mapping[str, Present], buried: Mapping[str, int]
) -> None:
    """Take out what is superseded; what stands in the end is inserted anew."""
    changed = done.records.keys() | done.graves.keys()
    superseded = done.superseded(present)
    risen = [(part, version) for key, version in buried.items() if key in changed]
    if superseded or risen:
        mark_stale(db)
    db.executemany(
        "DELETE FROM links WHERE part = ? AND key = ?", [(part, key) for key, each in superseded if each.links]
    )
    db.executemany("DELETE FROM records WHERE id = ?", [(record_id(part, each.version),) for _, each in superseded])
    db.executemany("DELETE FROM tombstones WHERE part = ? AND version = ?", risen)


def _insert(db: sqlite3.Connection, connector: int, part: int, done: Plan, now: int) -> None:
    news = done.records.values()
    rows = (record_row(part, each.version, each.put, len(each.put.links), each.revisions) for each in news)
    add_records(db, rows)
    linking = (each.put for each in news if each.put.links)
    db.executemany(LINK, (row for put in linking for row in link_rows(connector, part, put.key, put.links)))
    bury(db, part, done.graves.values(), now)
    past = [(part, each.until, each.key, each.version, now, each.remembered) for each in done.past]
    db.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, 0, ?)", past)


_RAISED = """
c.epoch + (SELECT coalesce(sum(e.epoch), 0) FROM epochs e
           WHERE e.connector = c.id AND e.instance = ? AND e.stream IN ('', ?))
"""

_EPOCH = f"SELECT {_RAISED} FROM connectors c WHERE c.name = ?"

_FIND = f"""
SELECT c.id, {_RAISED}, c.release_epoch,
       p.id, p.records, p.bytes, p.links, p.version, p.updated_at, p.floor
FROM connectors c
LEFT JOIN partitions p ON p.connector = c.id AND p.instance = ? AND p.stream = ?
WHERE c.name = ?
"""

_SET_STATS = "UPDATE partitions SET records = ?, bytes = ?, links = ?, version = ?, updated_at = ? WHERE id = ?"

_LONG = 64 << 10
"""Bytes of data that are not read before they are needed: a batch may replace 500 records of 16 MiB each."""

_SHORT = f"CASE WHEN octet_length(data) <= {_LONG} THEN CAST(data AS BLOB) END"
