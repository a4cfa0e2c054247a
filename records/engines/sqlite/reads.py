"""Rows into records: by key, and in pages that continue where the last one ended."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeVar

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.recalled import size_of
from records.engines.sqlite.schema import OnFile, Row, in_lists, part_of, record_id
from records.engines.sqlite.summing import sums_in
from records.engines.sqlite.walk import COLUMNS, Placed, parts_of, record, walk
from records.model import Keep, Link, Order, Page, Partition, PartitionStats, Position, StoredRecord
from records.reading.paging import take, up_to
from records.sums import Sums

T = TypeVar("T")
Linked = tuple[StoredRecord, Sequence[Link]]


class Reads(OnFile):
    """The part of the port that reads records and counts."""

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        def run(db: sqlite3.Connection) -> list[StoredRecord]:
            # Closed, so that no statement stays open and holds the snapshot.
            with closing(_named(db, parts_of(db, partitions), sorted(set(keys)))) as rows:
                return up_to(rows, max_bytes)

        return await self._file.read(self.here(_connectors(partitions), run))

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
        def run(db: sqlite3.Connection) -> Page:
            # Closed, so that no statement stays open and holds the snapshot.
            with closing(walk(db, parts_of(db, partitions), order, after)) as rows:
                return take(rows, lambda each: record(*each), _seen, keep, limit, max_bytes)

        return await self._file.read(self.here(_connectors(partitions), run))

    async def visit(self, partitions: Collection[Partition], see: Callable[[Iterable[Linked]], T]) -> T:
        def run(db: sqlite3.Connection) -> T:
            # Closed, so that no statement stays open and holds the snapshot.
            with closing(visited(db, partitions)) as records:
                return see(records)

        return await self._file.read(self.here(_connectors(partitions), run))

    @contextmanager
    def visiting(self, partitions: Collection[Partition]) -> Iterator[Iterator[Linked]]:
        """As `visit`, for a thread of the caller's. Blocks."""
        with self._file.snapshot() as db, closing(visited(db, partitions)) as records:
            yield self.here(_connectors(partitions), lambda _: records)(db)

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        def run(db: sqlite3.Connection) -> list[StoredRecord]:
            part = part_of(db, partition)
            return [] if part is None else up_to(_sampled(db, partition, part, sorted(versions)), max_bytes)

        return await self._file.read(self.here([partition.connector], run))

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        named = [] if connector is None else [connector]
        name = ("stats", connector, self._regardless)
        run = self.here(named, partial(stats_in, connector=connector))
        found = await self._file.recall(name, run, size_of)
        return dict(found)

    async def sums(self, connector: str | None = None) -> dict[str, Sums]:
        named = [] if connector is None else [connector]
        name = ("sums", connector, self._regardless)
        run = self.here(named, partial(sums_in, connector=connector))
        found = await self._file.recall(name, run, lambda sums: size_of(range(sum(map(len, sums.values())))))
        return dict(found)


def stats_in(db: sqlite3.Connection, connector: str | None = None) -> dict[Partition, PartitionStats]:
    """What every partition in the file holds, or every one of this connector."""
    rows = db.execute(_STATS, (connector, connector))
    return {Partition(*row[:3]): PartitionStats(*row[3:]) for row in rows}


def _connectors(partitions: Collection[Partition]) -> set[str]:
    return {partition.connector for partition in partitions}


def _named(db: sqlite3.Connection, parts: list[tuple[Partition, int]], keys: Sequence[str]) -> Generator[StoredRecord]:
    """The records with these keys, in the order of partitions and keys, which is that of the arguments."""
    for place, part in parts:
        for marks, some in in_lists(keys):
            for row in db.execute(_GET.format(marks=marks), (part, *some)):
                yield record(place, row)


def _sampled(db: sqlite3.Connection, place: Partition, part: int, versions: Sequence[int]) -> Iterator[StoredRecord]:
    last = -1
    for version in versions:
        if version > last:
            row = db.execute(_FROM, (record_id(part, version), record_id(part + 1, 0))).fetchone()
            if row is None:
                return
            found = record(place, row)
            last = found.version
            yield found


def visited(db: sqlite3.Connection, partitions: Collection[Partition]) -> Generator[Linked]:
    """Every record with its links: two walks side by side, one over records and one over links, in the same order."""
    for place, part in parts_of(db, partitions):
        links = db.execute(_LINKS_BY_KEY, (part,))
        for row in db.execute(_BY_KEY, (part,)):
            found = record(place, row)
            yield found, [_link(each) for each in links.fetchmany(row[_LINKS])] if found.linked else []


def _link(row: Row) -> Link:
    digest, pointer, media_type, filename, size = row
    return Link(Digest.from_bytes(digest), pointer, media_type, filename, size)


def _seen(placed: Placed) -> tuple[Partition, str, bytes]:
    place, row = placed
    return place, row[0], row[-1]


_LINKS = 5
"""Where a row of `COLUMNS` has the number of links."""

_BY_KEY = f"SELECT {COLUMNS} FROM records WHERE part = ? ORDER BY key"

_LINKS_BY_KEY = "SELECT digest, pointer, media_type, filename, size FROM links WHERE part = ? ORDER BY key, pointer"

_GET = f"SELECT {COLUMNS} FROM records WHERE part = ? AND key IN {{marks}} ORDER BY key"

_FROM = f"SELECT {COLUMNS} FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1"

_STATS = """
SELECT c.name, p.instance, p.stream, p.records, p.bytes, p.links, p.version, p.updated_at, p.floor
FROM partitions p JOIN connectors c ON c.id = p.connector
WHERE ? IS NULL OR c.name = ? ORDER BY c.name, p.instance, p.stream
"""
