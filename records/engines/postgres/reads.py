"""Rows into records: by key, and in pages that continue where the last one ended."""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from blobstore.postgres import Connection
from records.engines.postgres.pieces import LONG, once, seen
from records.engines.postgres.rows import BUDGETED, COLUMNS, PIECE, PIECE_BYTES, record
from records.engines.postgres.schema import InDatabase, connector_id, keyed, link_of, part_of, partition_of
from records.engines.postgres.walk import Placed, Walk
from records.engines.summing import by_connector
from records.model import Keep, Link, Order, Page, Partition, PartitionStats, Position, StoredRecord
from records.reading.paging import take, up_to
from records.sums import Sums

T = TypeVar("T")
Linked = tuple[StoredRecord, Sequence[Link]]


class Reads(InDatabase):
    """The part of the port that reads records and counts."""

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        places = sorted(set(partitions))
        parts, named = [part_of(place) for place in places], [key.encode() for key in set(keys)]
        rows = await self.fetch(_connectors(partitions), _GET, parts, named, max_bytes)
        return up_to((record(places[row["n"] - 1], row) for row in rows), max_bytes)

    async def page(
        self,
        partitions: Collection[Partition],
        order: Order,
        after: Position | None,
        limit: int,
        *,
        max_bytes: int | None = None,
        keep: Keep | None = None,
    ) -> Page:
        walk = Walk(sorted(set(partitions)), order)

        def taken(rows: Iterable[Placed]) -> Page:
            return take(rows, lambda each: record(*each), _seen, keep, limit, max_bytes)

        if keep is None:  # the one after the page tells that there is more
            values = walk.values(after, limit + 1, max_bytes)
            return taken(walk.placed(await self.fetch(_connectors(partitions), walk.sql, *values)))

        async def run(db: Connection) -> Page:
            await self.require_here(db, *_connectors(partitions))
            return await seen(self._threads, walk.pieces(db, self._owner, after), taken)

        return await self._database.read(run)

    async def visit(self, partitions: Collection[Partition], see: Callable[[Iterable[Linked]], T]) -> T:
        places = sorted(set(partitions))

        async def run(db: Connection) -> T:
            await self.require_here(db, *_connectors(partitions))
            return await seen(self._threads, _visited(db, self._owner, places), see)

        return await self._database.read(once(run), timeout=LONG)

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        rows = await self.fetch([partition.connector], _SAMPLE, part_of(partition), list(versions), max_bytes)
        return up_to((record(partition, row) for row in rows), max_bytes)

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        sql = _STATS.format(which="" if connector is None else "AND connector = $2")
        values = () if connector is None else (connector_id(connector),)
        rows = await self.fetch([] if connector is None else [connector], sql, *values)
        return {partition_of(*row[:3]): PartitionStats(*row[3:]) for row in rows}

    async def sums(self, connector: str | None = None) -> dict[str, Sums]:
        which = "" if connector is None else "AND {table}.connector = $2"
        values = () if connector is None else (connector_id(connector),)
        sql = _SUMS.format(of_linked=which.format(table="l"), of_parts=which.format(table="p"))
        rows = await self.fetch([] if connector is None else [connector], sql, *values)
        named = [(name.decode(), stream.decode(), month, counts) for name, stream, month, *counts in rows]
        return by_connector(
            ((name, stream, *counts) for name, stream, month, counts in named if month is None),
            ((name, month, *counts[:3]) for name, _, month, counts in named if month is not None),
        )


async def _visited(db: Connection, owner: str, places: Sequence[Partition]) -> AsyncGenerator[Sequence[Linked], None]:
    for place in places:
        part, last = part_of(place), b""
        sql = _FIRST_BY_KEY
        while True:
            rows = await db.fetch(sql, owner, part, last, PIECE, PIECE_BYTES)
            piece = [row for row in rows if row["data"] is not None]
            links = await links_of_keys(db, owner, part, [row["key"] for row in piece if row["links"]])
            yield [(record(place, row), links.get(row["key"], [])) for row in piece]
            if len(rows) < PIECE and len(piece) == len(rows):
                break
            sql, last = _BY_KEY, piece[-1]["key"]


async def links_of_keys(db: Connection, owner: str, part: bytes, keys: Sequence[bytes]) -> dict[bytes, list[Link]]:
    """The links of these records of a partition, by key."""
    rows = await db.fetch(_LINKS_OF_KEYS, owner, part, keys) if keys else []
    return {key: [link_of(*row[1:]) for row in some] for key, some in groupby(rows, key=lambda row: row[0])}


def _connectors(partitions: Collection[Partition]) -> set[str]:
    return {partition.connector for partition in partitions}


def _seen(placed: Placed) -> tuple[Partition, str, bytes]:
    place, row = placed
    return place, row["key"].decode(), row["data"]


_GET = BUDGETED.format(
    rows=f"""
        SELECT w.n, r.* FROM unnest($2::bytea[]) WITH ORDINALITY AS w(part, n) CROSS JOIN unnest($3::bytea[]) AS k(key)
        CROSS JOIN LATERAL (
            SELECT {COLUMNS} FROM records.records r
            WHERE r.owner = $1 AND {keyed("r.part")} = {keyed("w.part")} AND r.key = k.key LIMIT 1
        ) r""",
    more="",
    order="n, key",
    budget="$4::bigint",
)

_SAMPLE = BUDGETED.format(
    rows=f"""
        SELECT DISTINCT ON (r.version) 1 AS n, r.* FROM unnest($3::bigint[]) AS w(version)
        CROSS JOIN LATERAL (
            SELECT {COLUMNS} FROM records.records r WHERE r.owner = $1 AND r.part = $2 AND r.version >= w.version
            ORDER BY r.version LIMIT 1
        ) r""",
    more="",
    order="version",
    budget="$4::bigint",
)

_BY_KEY = BUDGETED.format(
    rows=f"""
        SELECT 1 AS n, {COLUMNS} FROM records.records
        WHERE owner = $1 AND {keyed("part")} = {keyed("$2")} AND key > $3 ORDER BY key LIMIT $4""",
    more="",
    order="key",
    budget="$5::bigint",
)

_FIRST_BY_KEY = _BY_KEY.replace("key > $3", "key >= $3")

_LINKS_OF_KEYS = """
SELECT l.key, l.digest, l.pointer, l.media_type, l.filename, l.size
FROM unnest($3::bytea[]) AS w(key) CROSS JOIN LATERAL (
    SELECT * FROM records.links l WHERE l.owner = $1 AND l.part = $2 AND l.key = w.key OFFSET 0
) AS l ORDER BY l.key, l.number
"""

_SUMS = """
SELECT c.name, l.stream, NULL AS month, l.links, l.bytes, l.blobs, l.blob_bytes
FROM records.linked l JOIN records.connectors c ON c.owner = $1 AND c.id = l.connector
WHERE l.owner = $1 {of_linked}
UNION ALL
SELECT p.connector_name, ''::bytea, m.month,
       sum(m.records)::bigint, sum(m.bytes)::bigint, sum(m.linked)::bigint, 0
FROM records.partitions p JOIN records.months m ON m.owner = $1 AND m.part = p.part
WHERE p.owner = $1 {of_parts} GROUP BY p.connector_name, m.month
"""

_STATS = """
SELECT connector_name, instance, stream, records, bytes, links, version, updated_at, floor
FROM records.partitions WHERE owner = $1 {which} ORDER BY connector_name, instance, stream
"""
