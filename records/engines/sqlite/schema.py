"""Tables of one owner's record file, and what the engine's parts share."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlite_utils import Database, Migrations

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlitefile import SqliteFile
from blobstore.sqliteslack import SLACK
from records.model import Link, Partition

MIGRATIONS = Migrations("records")

CONTENT = ("records", "links", "tombstones")
"""Tables whose rows hold what an erasure must leave no trace of. They have no indexes but those of constraints."""

IN_LIST = 500
"""Values in one `IN (…)`."""

Row = tuple[Any, ...]


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    """Records, links, tombstones, epochs, and the outbox."""
    for statement in _INITIAL.split(";\n"):
        db.execute(statement)


# Partitions keep counters, so that nobody has to count rows. `records.cursor` is the sort key without the key at its
# end: pairs (cursor, key) compare as whole sort keys do. `data` comes last, so that the other columns are read without
# it.
_INITIAL = f"""
CREATE TABLE connectors (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL DEFAULT 0, release_epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE instances (
    connector INTEGER NOT NULL REFERENCES connectors, name TEXT NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (connector, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, connector INTEGER NOT NULL REFERENCES connectors,
    instance TEXT NOT NULL, stream TEXT NOT NULL,
    records INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, links INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0, updated_at TEXT,
    UNIQUE (connector, instance, stream)
) STRICT;
CREATE TABLE records (
    id INTEGER PRIMARY KEY, part INTEGER NOT NULL, key TEXT NOT NULL,
    absent INTEGER NOT NULL, cursor BLOB NOT NULL, emitted_at TEXT NOT NULL, fingerprint BLOB NOT NULL,
    version INTEGER NOT NULL, links INTEGER NOT NULL, data TEXT NOT NULL,
    UNIQUE (part, key), UNIQUE (part, absent, cursor, key)
) STRICT;
CREATE TABLE links (
    part INTEGER NOT NULL, key TEXT NOT NULL, pointer TEXT NOT NULL,
    connector INTEGER NOT NULL, digest BLOB NOT NULL, media_type TEXT NOT NULL, filename TEXT,
    PRIMARY KEY (part, key, pointer), UNIQUE (connector, digest, part, key, pointer)
) STRICT, WITHOUT ROWID;
CREATE TABLE tombstones (
    part INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
    deleted_at TEXT NOT NULL, emitted_at TEXT NOT NULL,
    PRIMARY KEY (part, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE unlinked (
    note INTEGER PRIMARY KEY AUTOINCREMENT, connector INTEGER NOT NULL REFERENCES connectors, digest BLOB NOT NULL,
    UNIQUE (connector, digest)
) STRICT;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT;
{SLACK}
"""


class OnFile:
    """A part of the engine: statements on the file that all parts share."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file


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


def in_lists(values: Sequence[object]) -> Iterator[tuple[str, Sequence[object]]]:
    """The values in lists of bounded length, each with its `(?, …)`."""
    for start in range(0, len(values), IN_LIST):
        some = values[start : start + IN_LIST]
        yield f"({','.join('?' * len(some))})", some


def link_rows(connector: int, part: int, key: str, links: Iterable[Link]) -> list[Row]:
    """The rows of a record's links, for `LINK`."""
    return [(part, key, each.pointer, connector, each.digest.raw, each.media_type, each.filename) for each in links]


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


LINK = """
INSERT INTO links (part, key, pointer, connector, digest, media_type, filename) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
"""Takes rows of `link_rows`."""

_PART = """
SELECT p.id FROM connectors c JOIN partitions p ON p.connector = c.id
WHERE c.name = ? AND p.instance = ? AND p.stream = ?
"""
