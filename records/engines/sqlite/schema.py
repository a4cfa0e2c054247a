"""Tables of one owner's record file, and what the engine's parts share."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from sqlite_utils import Database, Migrations

from blobstore.digest import Digest
from blobstore.errors import Moved
from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile, Transaction
from blobstore.sqlite.slack import SLACK
from records.engines.sqlite.views import View
from records.model import Link, Partition, Put, StoredRecord, Tombstone
from records.shards import RECORDS
from records.times import packed

T = TypeVar("T")

MIGRATIONS = Migrations("records")

CONTENT = ("records", "links", "tombstones", "history")
"""Tables whose rows hold what an erasure must leave no trace of. They have no indexes but those of constraints."""

IN_LIST = 500
"""Values in one `IN (…)`."""

TOGETHER = 100
"""Records that are added with one statement, where their data has no more than `SHORT` bytes."""

SHORT = 64 << 10

Row = tuple[Any, ...]


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    """Records, links, tombstones, epochs, and the outbox."""
    for statement in _INITIAL.split(";\n"):
        db.execute(statement)


# No instance and no stream has a blank name: in `epochs` and `finished` a blank stands for all of them. `erased` and
# `finished` have what erasures took and where they are over, so that one that was cut off goes on where it was.
# Partitions keep counters, so that nobody has to count rows; what was before their `floor` is forgotten.
# A new one begins at version `base`. `rests`: see `records.engines.sharded.file`; only shards use it.
# `records.id` is partition and version in one: the table lies in the order of changes, and needs no index for it.
# `records.cursor` is the sort key without the key at its end: pairs (cursor, key) compare as whole sort keys do. `data`
# comes last, so that the other columns are read without it. `emitted_at`: see `times.packed`.
# `linked` and `months` have sums (`records.sums`); a blank stream stands for all of a connector together.
# `history` has the states that were superseded at version `until` and stood since `version`; `remembered` is NULL for
# a tombstone's, and cut to what may stay where the record was `erased` since. `at` (UTC seconds) is when they, and
# tombstones, were made: they are forgotten after some time.
# `moving` has the marks of connectors (`records.transfer`); `disturbances` is there the number that a copy knows of.
_INITIAL = f"""
CREATE TABLE connectors (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL DEFAULT 0, release_epoch INTEGER NOT NULL DEFAULT 0,
    disturbances INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE moving (
    connector TEXT PRIMARY KEY, stage TEXT NOT NULL, other TEXT NOT NULL, disturbances INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (
    connector INTEGER NOT NULL REFERENCES connectors, instance TEXT NOT NULL, stream TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (connector, instance, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, connector INTEGER NOT NULL REFERENCES connectors,
    instance TEXT NOT NULL, stream TEXT NOT NULL,
    records INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, links INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0, updated_at TEXT, floor INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connector, instance, stream)
) STRICT;
CREATE TABLE bound (name TEXT NOT NULL) STRICT;
CREATE TABLE versions (base INTEGER NOT NULL) STRICT;
INSERT INTO versions VALUES (0);
CREATE TABLE rests (number INTEGER NOT NULL) STRICT;
INSERT INTO rests VALUES (0);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, part INTEGER NOT NULL, key TEXT NOT NULL,
    absent INTEGER NOT NULL, cursor BLOB NOT NULL, emitted_at ANY NOT NULL,
    links INTEGER NOT NULL, revisions BLOB, data TEXT NOT NULL,
    UNIQUE (part, key), UNIQUE (part, absent, cursor, key)
) STRICT;
CREATE TABLE links (
    part INTEGER NOT NULL, key TEXT NOT NULL, pointer TEXT NOT NULL,
    connector INTEGER NOT NULL, digest BLOB NOT NULL, media_type TEXT NOT NULL, filename TEXT, size INTEGER NOT NULL,
    PRIMARY KEY (part, key, pointer), UNIQUE (connector, digest, part, key, pointer)
) STRICT, WITHOUT ROWID;
CREATE TABLE linked (
    connector INTEGER NOT NULL REFERENCES connectors, stream TEXT NOT NULL,
    links INTEGER NOT NULL, bytes INTEGER NOT NULL, blobs INTEGER NOT NULL, blob_bytes INTEGER NOT NULL,
    PRIMARY KEY (connector, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE months (
    part INTEGER NOT NULL REFERENCES partitions, month TEXT NOT NULL,
    records INTEGER NOT NULL, bytes INTEGER NOT NULL, linked INTEGER NOT NULL,
    PRIMARY KEY (part, month)
) STRICT, WITHOUT ROWID;
CREATE TABLE tombstones (
    part INTEGER NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL,
    deleted_at TEXT NOT NULL, emitted_at TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (part, version), UNIQUE (part, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    part INTEGER NOT NULL, until INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
    at INTEGER NOT NULL, erased INTEGER NOT NULL, remembered BLOB,
    PRIMARY KEY (part, until), UNIQUE (part, key, until), UNIQUE (part, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE unlinked (
    note INTEGER PRIMARY KEY AUTOINCREMENT, connector INTEGER NOT NULL REFERENCES connectors, digest BLOB NOT NULL,
    UNIQUE (connector, digest)
) STRICT;
CREATE TABLE erased (
    erasure TEXT NOT NULL, part INTEGER NOT NULL REFERENCES partitions, records INTEGER NOT NULL,
    PRIMARY KEY (erasure, part)
) STRICT, WITHOUT ROWID;
CREATE TABLE finished (
    erasure TEXT NOT NULL, connector INTEGER NOT NULL REFERENCES connectors, instance TEXT NOT NULL,
    PRIMARY KEY (erasure, connector, instance)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT;
{SLACK}
"""


VERSIONS = 40
"""Bits of a record's id that are its version; the others are its partition."""


class OnFile:
    """A part of the engine: statements on the file, the clock, and the outbox's name, that all parts share."""

    own_file = False
    """Whether the file has one connector and no other."""

    def __init__(
        self,
        file: SqliteFile,
        clock: Callable[[], float] = time.time,
        source: str = RECORDS,
        *,
        regardless: bool = False,
    ) -> None:
        self._file = file
        self._clock = clock
        self.source = source
        self._regardless = regardless
        self._views: set[View | None] = set()
        """Those that this process knows to be in the file."""

    def now(self) -> int:
        """The time of a change as it is kept: never too early, so that nothing is forgotten too early."""
        return math.ceil(self._clock())

    def here(self, connectors: Iterable[str], run: Transaction[T]) -> Transaction[T]:
        """The transaction; it raises `Moved` where one of these connectors is not served here."""
        if self._regardless:
            return run

        def guarded(db: sqlite3.Connection) -> T:
            _require_here(db, connectors)
            return run(db)

        return guarded


def _require_here(db: sqlite3.Connection, connectors: Iterable[str]) -> None:
    if db.execute("SELECT 1 FROM moving WHERE stage != 'leaving' LIMIT 1").fetchone() is None:
        return
    for name in connectors:
        if db.execute(_AWAY, (name, name)).fetchone():
            raise Moved("these records are kept elsewhere")


def disturb(db: sqlite3.Connection, connector: int) -> None:
    """Something changed of which versions do not tell: a copy that is being made has to begin again."""
    db.execute("UPDATE connectors SET disturbances = disturbances + 1 WHERE id = ?", (connector,))


def connector_id(db: sqlite3.Connection, name: str) -> int:
    """The number of a connector, given when it is first needed."""
    row = db.execute("SELECT id FROM connectors WHERE name = ?", (name,)).fetchone()
    if row is None:
        row = db.execute("INSERT INTO connectors (name) VALUES (?) RETURNING id", (name,)).fetchone()
    return int(row[0])


def part_of(db: sqlite3.Connection, partition: Partition) -> int | None:
    """The number of a partition; None when it was never written to."""
    row = db.execute(_PART, (partition.connector, partition.instance, partition.stream)).fetchone()
    return None if row is None else int(row[0])


def record_id(part: int, version: int) -> int:
    """The id of a record; also a bound: ids of the partition up to this version are not above it."""
    return part << VERSIONS | version


def version_of(record: int) -> int:
    """The version in a record's id."""
    return record & ((1 << VERSIONS) - 1)


def in_lists(values: Sequence[object]) -> Iterator[tuple[str, Sequence[object]]]:
    """The values in lists of bounded length, each with its `(?, …)`."""
    for start in range(0, len(values), IN_LIST):
        some = values[start : start + IN_LIST]
        yield f"({','.join('?' * len(some))})", some


def record_row(part: int, version: int, of: Put | StoredRecord, links: int, revisions: bytes | None) -> Row:
    """A record's row, for `RECORD`."""
    number, emitted_at = record_id(part, version), packed(of.emitted_at)
    return number, part, of.key, of.sort.absent, of.sort.cursor, emitted_at, links, revisions, of.data


def add_records(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Add rows of `record_row`.

    Many with one statement, which takes a fifth less time than one for each; not where they are long, for the
    driver keeps what a statement was given last.
    """
    rows = iter(rows)
    while some := list(islice(rows, TOGETHER)):
        if len(some) == TOGETHER and sum(len(row[-1]) for row in some) <= SHORT:
            db.execute(_RECORDS, list(chain.from_iterable(some)))
        else:
            db.executemany(_RECORD, some)


def link_rows(connector: int, part: int, key: str, links: Iterable[Link]) -> list[Row]:
    """The rows of a record's links, for `LINK`."""
    return [
        (part, key, each.pointer, connector, each.digest.raw, each.media_type, each.filename, each.size)
        for each in links
    ]


def take_links(db: sqlite3.Connection, part: int, keys: Sequence[str]) -> dict[str, list[tuple[Digest, int]]]:
    """Remove the links of these records; by key the blobs that they linked, each with its size."""
    taken: dict[str, list[tuple[Digest, int]]] = {}
    for marks, some in in_lists(keys):
        where = f"WHERE part = ? AND key IN {marks}"
        for key, digest, size in db.execute(f"SELECT key, digest, size FROM links {where}", (part, *some)):
            taken.setdefault(key, []).append((Digest.from_bytes(digest), size))
        db.execute(f"DELETE FROM links {where}", (part, *some))
    return taken


def note_unlinked(db: sqlite3.Connection, connector: int, digests: Collection[Digest]) -> set[Digest]:
    """Those of the digests that have no link in the connector now; each is noted as unlinked."""
    lost = without_links(db, connector, digests)
    # Replaced: who read the old note must not take this one for it.
    sql = "INSERT OR REPLACE INTO unlinked (connector, digest) VALUES (?, ?)"
    db.executemany(sql, [(connector, digest.raw) for digest in sorted(lost)])
    return lost


def without_links(db: sqlite3.Connection, connector: int, digests: Collection[Digest]) -> set[Digest]:
    """Those of the digests that have no link in the connector."""
    sql = "SELECT 1 FROM links WHERE connector = ? AND digest = ? LIMIT 1"
    return {digest for digest in digests if db.execute(sql, (connector, digest.raw)).fetchone() is None}


def bury(db: sqlite3.Connection, part: int, graves: Iterable[Tombstone], now: int) -> None:
    """Add tombstones; `now` in UTC seconds."""
    rows = [(part, each.version, each.key, each.deleted_at, each.emitted_at, now) for each in graves]
    db.executemany("INSERT INTO tombstones VALUES (?, ?, ?, ?, ?, ?)", rows)


# CAST: the text goes in and comes out as the bytes that it is, unread.
_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))"

_RECORDS = _RECORD + ", (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))" * (TOGETHER - 1)

LINK = """
INSERT INTO links (part, key, pointer, connector, digest, media_type, filename, size)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
"""Takes rows of `link_rows`."""

_AWAY = """
SELECT 1 FROM moving WHERE stage != 'leaving' AND (
    connector = ? OR connector = '' AND NOT EXISTS (SELECT 1 FROM connectors WHERE name = ?)
)
"""

_PART = """
SELECT p.id FROM connectors c JOIN partitions p ON p.connector = c.id
WHERE c.name = ? AND p.instance = ? AND p.stream = ?
"""
