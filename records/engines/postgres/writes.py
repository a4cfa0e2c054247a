"""Batches into rows: read what is there once, decide in `plan`, write in bulk."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from blobstore.digest import Digest
from blobstore.errors import Moved, StorageUnavailable
from blobstore.postgres import Connection, Record
from blobstore.threads import to_the_end
from records.engines.plan import New, Plan, Present, plan
from records.engines.postgres.events import NUMBER
from records.engines.postgres.schema import (
    HISTORY_COLUMNS,
    LINK_COLUMNS,
    InDatabase,
    Row,
    add_connector,
    bury,
    connector_id,
    copy,
    delete,
    keyed,
    link_rows,
    note_unlinked,
    part_of,
    partition_locks,
    place_of,
)
from records.engines.postgres.summing import sum_up, unlinked_in
from records.engines.summing import Sized
from records.errors import Fenced, Released
from records.model import Batch, Delete, Outcome, Partition, PartitionStats, Put, StoredRecord


class Writes(InDatabase):
    """The part of the port that changes records."""

    async def epoch(self, partition: Partition) -> int:
        values = (connector_id(partition.connector), _places(partition))
        rows = await self.fetch([partition.connector], _EPOCH, *values)
        return int(rows[0][0]) if rows else 0

    async def release_epoch(self, connector: str) -> int:
        sql = "SELECT release_epoch FROM records.connectors WHERE owner = $1 AND id = $2"
        rows = await self.fetch([connector], sql, connector_id(connector))
        return int(rows[0][0]) if rows else 0

    async def apply(self, batch: Batch) -> list[Outcome]:
        now = self.now()

        async def run(db: Connection) -> list[Outcome]:
            return await _Applying(db, self._owner, batch, regardless=self._regardless).run(self._threads, now)

        async with self.alone(batch.partition):
            return await self._database.write(run, lock=partition_locks(self._owner, batch.partition))


@dataclass(frozen=True, slots=True)
class _Found:
    """A partition as the batch finds it. `known`: its connector has a row; `buried`: it has tombstones."""

    epoch: int
    release_epoch: int
    known: bool
    buried: bool
    stats: PartitionStats


@dataclass(frozen=True, slots=True)
class _Was:
    """What is there of a batch's keys."""

    present: Mapping[str, Present]
    buried: Mapping[str, int]


class _Applying:
    """One batch in one transaction that has the partition's lock."""

    def __init__(self, db: Connection, owner: str, batch: Batch, *, regardless: bool) -> None:
        self._db = db
        self._batch = batch
        self._regardless = regardless
        self._connector = connector_id(batch.partition.connector)
        self._place = (owner, part_of(batch.partition))

    async def run(self, threads: Executor, now: int) -> list[Outcome]:
        batch, owner = self._batch, self._place[0]
        found = await self._find()
        if batch.epoch != found.epoch:
            raise Fenced("the connection was erased while the request ran")
        if batch.release_epoch not in (None, found.release_epoch):
            raise Released("blobs were released while the request ran")
        was = _Was(await self._present() if found.stats.records else {}, await self._buried() if found.buried else {})
        done, stats = await self._plan(threads, found, was)
        if done.changed:
            if not found.known:
                await add_connector(self._db, owner, batch.partition.connector)
            change = done.change(was.present)
            await self._remove(done, was)
            await self._insert(done, now)
            # Late, for who changes links keeps others from it until the end.
            unlinked = await unlinked_in(self._db, owner, batch.partition, change.fresh)
            await self._link(done)
            await sum_up(self._db, owner, batch.partition, change, unlinked)
            await note_unlinked(self._db, owner, self._connector, done.dropped)
            await self._count(stats)
        return done.outcomes

    async def _find(self) -> _Found:
        owner, part = self._place
        row = await self._db.fetchrow(_FIND, owner, part, self._connector, _places(self._batch.partition))
        if row is None:
            raise StorageUnavailable("there is no such owner's records in the database")
        away, base, epoch, release_epoch, raised, buried, *counts = row
        if away and not self._regardless:
            raise Moved("these records are kept elsewhere")
        stats = PartitionStats(0, 0, 0, base, None, base) if counts[0] is None else PartitionStats(*counts)
        return _Found((epoch or 0) + raised, release_epoch or 0, epoch is not None, buried, stats)

    async def _present(self) -> dict[str, Present]:
        """The records that are there; their data only where the batch may supersede it, and not if it is long."""
        batch = self._batch
        keys = {each.key for each in batch.mutations}
        superseded = {each.key for each in batch.mutations if isinstance(each, Delete)} if batch.append_only else keys
        rows = await self._with_keys(_PRESENT_DATA, superseded)
        linking = [row["key"] for row in rows if row["links"]]
        rows += await self._with_keys(_PRESENT, keys - superseded)
        links = await sized_links(self._db, *self._place, linking)
        return {
            key.decode(): Present(version, emitted_at, revisions, data, size, tuple(links.get(key, ())))
            for key, version, emitted_at, revisions, data, size, _ in rows
        }

    async def _buried(self) -> dict[str, int]:
        """The versions of the tombstones that are there."""
        keys = {each.key for each in self._batch.mutations if isinstance(each, Put)}
        return {key.decode(): version for key, version in await self._with_keys(_BURIED, keys)}

    async def _with_keys(self, sql: str, keys: set[str]) -> list[Record]:
        return await self._db.fetch(sql, *self._place, [key.encode() for key in keys]) if keys else []

    async def _plan(self, threads: Executor, found: _Found, was: _Was) -> tuple[Plan, PartitionStats]:
        """Decided on a thread: comparing and remembering many records takes time, and long data is read from there."""
        loop = asyncio.get_running_loop()

        def read(version: int) -> bytes:
            return asyncio.run_coroutine_threadsafe(self._data(version), loop).result()

        def decide() -> tuple[Plan, PartitionStats]:
            return plan(self._batch, was.present, was.buried, found.stats, read)

        return await to_the_end(loop.run_in_executor(threads, decide))

    async def _data(self, version: int) -> bytes:
        return bytes(await self._db.fetchval(_DATA, *self._place, version))

    async def _remove(self, done: Plan, was: _Was) -> None:
        """Take out what is superseded; what stands in the end is inserted anew."""
        changed = done.records.keys() | done.graves.keys()
        superseded = done.superseded(was.present)
        linking = [key.encode() for key, each in superseded if each.links]
        await delete(self._db, "links", "key", *self._place, linking)
        await delete(self._db, "records", "version", *self._place, [each.version for _, each in superseded])
        risen = [version for key, version in was.buried.items() if key in changed]
        await delete(self._db, "tombstones", "version", *self._place, risen)

    async def _insert(self, done: Plan, now: int) -> None:
        owner, part = self._place
        records = [self._row(each) for each in done.records.values()]
        await copy(self._db, "records", RECORD_COLUMNS, records)
        await bury(self._db, owner, part, done.graves.values(), now)
        past = [(owner, part, p.until, p.key.encode(), p.version, now, False, p.remembered) for p in done.past]
        await copy(self._db, "history", HISTORY_COLUMNS, past)

    async def _link(self, done: Plan) -> None:
        owner, part = self._place
        linking = (each.put for each in done.records.values() if each.put.links)
        links = [row for put in linking for row in link_rows(owner, self._connector, part, put.key, put.links)]
        await copy(self._db, "links", LINK_COLUMNS, links)

    def _row(self, new: New) -> Row:
        return record_row(*self._place, new.version, new.put, len(new.put.links), new.revisions)

    async def _count(self, stats: PartitionStats) -> None:
        """The last thing of the transaction, with its event (see `events.NUMBER`)."""
        partition = self._batch.partition
        names = (each.encode() for each in (partition.connector, partition.instance, partition.stream))
        counts = (stats.records, stats.bytes, stats.links, stats.version, stats.updated_at, stats.floor)
        values = (*self._place, self._connector, *names, *counts)
        if self._batch.event is None:
            await self._db.execute(_SET_STATS, *values)
        else:
            await self._db.execute(_SET_STATS_AND_NUMBER, *values, self._batch.event)


async def sized_links(db: Connection, owner: str, part: bytes, keys: Sequence[bytes]) -> dict[bytes, list[Sized]]:
    """What these records of a partition link, by key: each blob with its size."""
    links: defaultdict[bytes, list[Sized]] = defaultdict(list)
    for key, digest, size in await db.fetch(_SIZED_LINKS, owner, part, keys) if keys else ():
        links[key].append((Digest.from_bytes(digest), size))
    return links


def record_row(
    owner: str, part: bytes, version: int, of: Put | StoredRecord, links: int, revisions: bytes | None
) -> Row:
    """A record as a row of `RECORD_COLUMNS`."""
    key, cursor = of.key.encode(), of.sort.cursor
    return owner, part, version, key, of.sort.absent, cursor, of.emitted_at, links, revisions, of.data


def _places(partition: Partition) -> list[bytes]:
    """Where epochs of the partition are kept, but for the connector's own."""
    return [place_of(partition.instance), place_of(partition.instance, partition.stream)]


RECORD_COLUMNS = ("owner", "part", "version", "key", "absent", "cursor", "emitted_at", "links", "revisions", "data")

_EPOCH = """
SELECT c.epoch + (SELECT coalesce(sum(e.epoch), 0)::bigint FROM records.epochs e
                  WHERE e.owner = $1 AND e.connector = $2 AND e.place = ANY($3::bytea[]))
FROM records.connectors c WHERE c.owner = $1 AND c.id = $2
"""

_FIND = """
SELECT records.are_away($1, ARRAY[$3::bytea]), o.base, c.epoch, c.release_epoch,
       (SELECT coalesce(sum(e.epoch), 0)::bigint FROM records.epochs e
        WHERE e.owner = $1 AND e.connector = $3 AND e.place = ANY($4::bytea[])),
       EXISTS (SELECT FROM records.tombstones t WHERE t.owner = $1 AND t.part = $2),
       p.records, p.bytes, p.links, p.version, p.updated_at, p.floor
FROM records.owners o
LEFT JOIN records.connectors c ON c.owner = $1 AND c.id = $3
LEFT JOIN records.partitions p ON p.owner = $1 AND p.part = $2
WHERE o.owner = $1
"""

_LONG = 64 << 10
"""Bytes of data that are not read before they are needed: a batch may replace 500 records of 16 MiB each."""

_PRESENT = f"""
SELECT r.* FROM unnest($3::bytea[]) AS w(key) CROSS JOIN LATERAL (
    SELECT key, version, emitted_at, revisions, NULL::bytea AS data,
        octet_length(data) AS size, links FROM records.records r
    WHERE r.owner = $1 AND {keyed("r.part")} = {keyed("$2")} AND r.key = w.key LIMIT 1
) AS r
"""

_PRESENT_DATA = _PRESENT.replace("NULL::bytea", f"CASE WHEN octet_length(data) <= {_LONG} THEN data END")

_SIZED_LINKS = """
SELECT l.* FROM unnest($3::bytea[]) AS w(key) CROSS JOIN LATERAL (
    SELECT key, digest, size FROM records.links l WHERE l.owner = $1 AND l.part = $2 AND l.key = w.key OFFSET 0
) AS l
"""

_DATA = "SELECT data FROM records.records WHERE owner = $1 AND part = $2 AND version = $3"

_BURIED = f"""
SELECT t.* FROM unnest($3::bytea[]) AS w(key) CROSS JOIN LATERAL (
    SELECT key, version FROM records.tombstones t
    WHERE t.owner = $1 AND {keyed("t.part")} = {keyed("$2")} AND t.key = w.key LIMIT 1
) AS t
"""

_SET_STATS = """
INSERT INTO records.partitions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (owner, part) DO UPDATE SET
    records = excluded.records, bytes = excluded.bytes, links = excluded.links, version = excluded.version,
    updated_at = excluded.updated_at
"""

_SET_STATS_AND_NUMBER = f"WITH counted AS ({_SET_STATS}), {NUMBER.format(event='$13')}"
