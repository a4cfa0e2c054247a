"""A connector's rows as what `records.transfer` copies."""

import heapq
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from records.engines.sqlite.schema import Row, record_id
from records.engines.sqlite.walk import COLUMNS, record
from records.model import Link, Partition, PartitionStats, Tombstone
from records.transfer import Grave, Held, Item, Past, State


def state_of(db: sqlite3.Connection, connector: str) -> State:
    """All of it but its items."""
    row = db.execute(_CONNECTOR, (connector,)).fetchone()
    number, epoch, release_epoch, disturbances = row or (0, 0, 0, 0)
    places = {part: Partition(connector, *place) for part, *place in db.execute(_PARTS, (number,))}
    epochs: dict[tuple[str | None, str | None], int] = {(None, None): epoch} if epoch else {}
    for instance, stream, raised in db.execute(_EPOCHS, (number,)):
        epochs[instance, stream or None] = raised
    erased: defaultdict[str, dict[Partition, int]] = defaultdict(dict)
    for erasure, part, records in db.execute(_ERASED, (number,)):
        erased[erasure][places[part]] = records
    return State(
        connector,
        {Partition(connector, *row[:2]): PartitionStats(*row[2:]) for row in db.execute(_STATS, (number,))},
        epochs,
        release_epoch,
        [Digest.from_bytes(digest) for (digest,) in db.execute(_UNLINKED, (number,))],
        dict(erased),
        frozenset((erasure, instance or None) for erasure, instance in db.execute(_FINISHED, (number,))),
        db.execute("SELECT base FROM versions").fetchone()[0],
        disturbances,
    )


def items_of(db: sqlite3.Connection, connector: str, since: Mapping[Partition, int]) -> Generator[Item]:
    """What came after these versions, in the order of partitions and versions."""
    row = db.execute(_CONNECTOR, (connector,)).fetchone()
    parts = [] if row is None else db.execute(_PARTS, row[:1]).fetchall()
    for part, instance, stream in parts:
        place = Partition(connector, instance, stream)
        start = since.get(place, 0)
        # In this order: of two of one version the first comes first.
        walks: list[Iterator[Item]] = [
            (_past(place, row) for row in db.execute(_PAST, (part, start))),
            _held(db, place, part, start),
            (Grave(place, Tombstone(*row[:4]), row[4]) for row in db.execute(_GRAVES, (part, start))),
        ]
        yield from heapq.merge(*walks, key=lambda item: item.version)


def _held(db: sqlite3.Connection, place: Partition, part: int, start: int) -> Iterator[Held]:
    for row in db.execute(_RECORDS, (record_id(part, start), record_id(part + 1, 0))):
        found = record(place, row)
        links = db.execute(_LINKS, (part, found.key)).fetchall() if found.linked else []
        yield Held(found, tuple(_link(each) for each in links))


def _past(place: Partition, row: Row) -> Past:
    key, began, until, at, erased, remembered = row
    return Past(place, key, began, until, at, bool(erased), remembered)


def _link(row: Row) -> Link:
    digest, pointer, media_type, filename, size = row
    return Link(Digest.from_bytes(digest), pointer, media_type, filename, size)


_CONNECTOR = "SELECT id, epoch, release_epoch, disturbances FROM connectors WHERE name = ?"

_PARTS = "SELECT id, instance, stream FROM partitions WHERE connector = ? ORDER BY instance, stream"

_STATS = """
SELECT instance, stream, records, bytes, links, version, updated_at, floor FROM partitions
WHERE connector = ? ORDER BY instance, stream
"""

_EPOCHS = "SELECT instance, stream, epoch FROM epochs WHERE connector = ? ORDER BY instance, stream"

_UNLINKED = "SELECT digest FROM unlinked WHERE connector = ? ORDER BY digest"

_ERASED = """
SELECT e.erasure, e.part, e.records FROM partitions p JOIN erased e ON e.part = p.id WHERE p.connector = ?
"""

_FINISHED = "SELECT erasure, instance FROM finished WHERE connector = ?"

_RECORDS = f"SELECT {COLUMNS} FROM records WHERE id > ? AND id < ? ORDER BY id"

_LINKS = "SELECT digest, pointer, media_type, filename, size FROM links WHERE part = ? AND key = ? ORDER BY pointer"

_GRAVES = """
SELECT key, version, deleted_at, emitted_at, at FROM tombstones WHERE part = ? AND version > ? ORDER BY version
"""

_PAST = """
SELECT key, version, until, at, erased, remembered FROM history WHERE part = ? AND until > ? ORDER BY until
"""
