"""What the parts of the engine share: names as they are in tables, locks, links, tombstones."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any
from weakref import WeakValueDictionary

from blobstore.digest import Digest, derive
from blobstore.errors import Moved, StorageUnavailable
from blobstore.postgres import Connection, Database, Record
from blobstore.postgres.advisory import Advisory
from records.model import Link, Partition, Tombstone

Row = tuple[Any, ...]


class InDatabase:
    """A part of the engine: the database, the owner whose rows these are, and the clock, that all parts share."""

    def __init__(
        self,
        database: Database,
        owner: str,
        threads: Executor,
        clock: Callable[[], float] = time.time,
        *,
        regardless: bool = False,
    ) -> None:
        self._opened: Database | None = database
        self._owner = owner
        self._threads = threads
        self._clock = clock
        self._regardless = regardless
        self._writing: WeakValueDictionary[Partition, asyncio.Lock] = WeakValueDictionary()

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise StorageUnavailable("the records are closed")
        return self._opened

    async def fetch(self, connectors: Iterable[str], sql: str, *values: object) -> list[Record]:
        """The rows of a query whose `$1` is the owner. Raises `Moved` where a connector is not served here."""
        if not self._regardless:
            sql = f"SELECT * FROM ({sql}) AS asked WHERE records.require_here($1, ${len(values) + 2}::bytea[])"
            values = (*values, [connector_id(name) for name in connectors])
        try:
            return await self._database.fetch(sql, self._owner, *values)
        except StorageUnavailable as error:
            if getattr(error.__cause__, "sqlstate", None) == "MOVED":
                raise Moved("these records are kept elsewhere") from None
            raise

    async def require_here(self, db: Connection, *connectors: str) -> None:
        """Raise `Moved` where one of the connectors is not served here; where it writes, after it has the lock."""
        if not self._regardless:
            asked = [connector_id(name) for name in connectors]
            if await db.fetchval("SELECT records.are_away($1, $2)", self._owner, asked):
                raise Moved("these records are kept elsewhere")

    def alone(self, partition: Partition) -> asyncio.Lock:
        """Of this process's writers in a partition one at a time asks for its lock, and takes a connection for that.

        The others would wait for it with all connections in their hands, and let nobody else do anything.
        """
        return self._writing.setdefault(partition, asyncio.Lock())

    def now(self) -> int:
        """The time of a change as it is kept: never too early, so that nothing is forgotten too early."""
        return math.ceil(self._clock())


# -- names ---------------------------------------------------------------------------------------------------------


def connector_id(name: str) -> bytes:
    """The number of a connector."""
    return _number("a connector", name)


def part_of(partition: Partition) -> bytes:
    """The number of a partition."""
    return _number("a partition", partition.connector, partition.instance, partition.stream)


def place_of(instance: str, stream: str = "") -> bytes:
    """The number of an instance, or of one of its streams, within a connector."""
    return _number("a place", instance, stream)


def partition_of(connector: bytes, instance: bytes, stream: bytes) -> Partition:
    """The partition with these names, as they are in rows."""
    return Partition(connector.decode(), instance.decode(), stream.decode())


def _number(kind: str, *names: str) -> bytes:
    parts = [name.encode() for name in names]
    return derive(f"blobstore 2026-11 number of {kind}", b"".join(len(p).to_bytes(4, "big") + p for p in parts), 16)


def keyed(part: str) -> str:
    """SQL: a partition's number as it is in indexes by key."""
    return f"({part}::bytea || 'k')"


def listed(part: str) -> str:
    """SQL: a partition's number as it is in the index that has records in order, and in that of what is linked."""
    return f"({part}::bytea || 'l')"


def begun(part: str) -> str:
    """SQL: a partition's number as it is in the index that has superseded states by when they began."""
    return f"({part}::bytea || 'b')"


# -- locks ---------------------------------------------------------------------------------------------------------
#
# Locks are PostgreSQL's advisory ones, held until the transaction is over: who waits is served in turn, and none is a
# row that may not be there yet. A batch shares the owner's and the connector's, and has its partition's for itself;
# what changes epochs, or partitions of a whole connector, has the connector's for itself; `leap` the owner's. They are
# taken in the order owner, connector, partition, the connector's links, the owner's row (`events.number_event`), so
# that no two wait for each other. None is taken by a statement that looks at rows: only those after it see what was
# committed under the lock.


def partition_locks(owner: str, partition: Partition) -> list[Advisory]:
    """For what changes one partition."""
    connector, part = connector_id(partition.connector), part_of(partition)
    shared = (lock_number(owner), lock_number(owner, connector))
    return [*(Advisory(number, shared=True) for number in shared), Advisory(lock_number(owner, part))]


async def lock_connector(db: Connection, owner: str, connector: bytes) -> None:
    """For what changes a connector: nothing else is written in it meanwhile."""
    await db.execute(_SHARED_ONE, lock_number(owner), lock_number(owner, connector))


async def lock_owner(db: Connection, owner: str) -> None:
    """For what changes all of an owner's partitions: nothing else is written meanwhile."""
    await db.execute("SELECT pg_advisory_xact_lock($1)", lock_number(owner))


def lock_number(owner: str, what: bytes = b"", kind: bytes = b"") -> int:
    """The number of a lock."""
    material = owner.encode() + b"\0" + what + kind
    return int.from_bytes(derive("blobstore 2026-11 number of a lock on records", material, 8), "big", signed=True)


_SHARED_ONE = "SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2)"


# -- rows ---------------------------------------------------------------------------------------------------------
#
# PostgreSQL plans by statistics, which new tables, and partitions that just grew, do not have (`tables`). So no
# statement leaves it the choice to go through a whole partition: what names rows by a list asks for each of them
# (`CROSS JOIN LATERAL … LIMIT 1`, `OFFSET 0` where there may be several, `(SELECT true … LIMIT 1)` instead of EXISTS).


async def add_connector(db: Connection, owner: str, name: str) -> bytes:
    """The number of a connector, which has a row from now on."""
    number = connector_id(name)
    sql = "INSERT INTO records.connectors (owner, id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    await db.execute(sql, owner, number, name.encode())
    return number


def link_rows(owner: str, connector: bytes, part: bytes, key: str, links: Iterable[Link]) -> list[Row]:
    """The rows of a record's links, of `LINK_COLUMNS`."""
    ordered = sorted(links, key=lambda each: each.pointer)
    return [
        (
            *(owner, part, key.encode(), number, connector, each.digest.raw),
            *(each.pointer.encode(), each.media_type, name, each.size),
        )
        for number, each in enumerate(ordered)
        for name in [None if each.filename is None else each.filename.encode()]
    ]


def link_of(digest: bytes, pointer: bytes, media_type: str, filename: bytes | None, size: int) -> Link:
    """A link as it is in a row."""
    name = None if filename is None else filename.decode()
    return Link(Digest.from_bytes(digest), pointer.decode(), media_type, name, size)


async def copy(db: Connection, table: str, columns: Sequence[str], rows: Collection[Row]) -> None:
    """Add rows to a table, however many, in one go."""
    if rows:
        await db.copy_records_to_table(table, schema_name="records", columns=columns, records=rows)


async def delete(db: Connection, table: str, column: str, owner: str, part: bytes, values: Collection[object]) -> None:
    """Remove the rows of a partition that have one of these values; nobody else changes them meanwhile."""
    if values:
        form = keyed if column == "key" and table != "links" else str
        which = f"{form('t.part')} = {form('$2')} AND t.{column} = w.value"
        sql = _DELETE.format(table=table, which=which, type="bytea" if column == "key" else "bigint")
        await db.execute(sql, owner, part, list(values))


async def lock_links(db: Connection, owner: str, connector: bytes) -> None:
    """From here on nobody else finds out which blobs the connector links because links of it come or go."""
    await db.execute("SELECT pg_advisory_xact_lock($1)", lock_number(owner, connector, b"links"))


async def note_unlinked(db: Connection, owner: str, connector: bytes, digests: Collection[Digest]) -> frozenset[Digest]:
    """Those of the digests that have no link in the connector now; each is noted as unlinked."""
    if not digests:
        return frozenset()
    # Two batches that each take one of two last links away see the other's link: one after the other sees none.
    await lock_links(db, owner, connector)
    rows = await db.fetch(_NOTE, owner, connector, [digest.raw for digest in digests])
    return frozenset(Digest.from_bytes(row[0]) for row in rows)


async def disturb(db: Connection, owner: str, connector: bytes) -> None:
    """Something changed of which versions do not tell: a copy that is being made has to begin again."""
    sql = "UPDATE records.connectors SET disturbances = disturbances + 1 WHERE owner = $1 AND id = $2"
    await db.execute(sql, owner, connector)


async def mark_removed(db: Connection, owner: str) -> None:
    """Have the next `sanitize` clean up after this transaction."""
    await db.execute("INSERT INTO records.removals (owner) VALUES ($1)", owner)


async def bury(db: Connection, owner: str, part: bytes, graves: Iterable[Tombstone], now: int) -> None:
    """Add tombstones; `now` in UTC seconds."""
    rows = [(owner, part, each.version, each.key.encode(), each.deleted_at, each.emitted_at, now) for each in graves]
    await copy(db, "tombstones", TOMBSTONE_COLUMNS, rows)


LINK_COLUMNS = ("owner", "part", "key", "number", "connector", "digest", "pointer", "media_type", "filename", "size")
"""Columns of the rows of `link_rows`."""

TOMBSTONE_COLUMNS = ("owner", "part", "version", "key", "deleted_at", "emitted_at", "at")

HISTORY_COLUMNS = ("owner", "part", "until", "key", "version", "at", "erased", "remembered")

# Each is looked up by itself, and then taken by the place where it was found.
_DELETE = """
DELETE FROM records.{table} WHERE owner = $1 AND ctid = ANY(ARRAY(
    SELECT f.ctid FROM unnest($3::{type}[]) AS w(value) CROSS JOIN LATERAL (
        SELECT ctid FROM records.{table} t WHERE t.owner = $1 AND {which} OFFSET 0
    ) AS f
))
"""

# Replaced: who read the old note must not take this one for it. Numbered in the order of digests.
_NOTE = """
INSERT INTO records.unlinked (owner, connector, digest, note)
SELECT $1, $2, lost.digest, nextval('records.notes') FROM (
    SELECT DISTINCT d.digest FROM unnest($3::bytea[]) AS d(digest)
    WHERE (
        SELECT true FROM records.links l WHERE l.owner = $1 AND l.connector = $2 AND l.digest = d.digest LIMIT 1
    ) IS NULL
    ORDER BY d.digest
) lost
ON CONFLICT (owner, connector, digest) DO UPDATE SET note = excluded.note RETURNING digest
"""
