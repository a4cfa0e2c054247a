"""Tables of the catalogue, and rows of them as values."""

import secrets
from typing import Any

from sqlite_utils import Database, Migrations

from blobstore.backend import LATE_SECONDS, ObjectName
from blobstore.catalogue import Claim, ClaimedBlob, Condemned, Holder, Lease, State, Stored
from blobstore.catalogues.sqlite.counting import TABLES as VOLUMES
from blobstore.catalogues.sqlite.counting import came, left
from blobstore.catalogues.sqlite.totals import TABLES as TOTALS
from blobstore.digest import Content, Digest
from blobstore.place import MOVED
from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.slack import SLACK, mark_stale

MIGRATIONS = Migrations("catalogue")

CONTENT = ("claims", "leases", "derived")
"""Tables whose rows hold what an erasure must leave no trace of: slots name records, keys open what was derived."""

Row = tuple[Any, ...]


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    """Blobs and their generations, who holds or claims them, what is on its way, what is gone."""
    for statement in _INITIAL.split(";\n"):
        db.execute(statement)
    db.execute("INSERT INTO store VALUES (?, 0)", [secrets.token_hex(16)])


# `counter` orders events and gives every hold a version that was never used before, also not by a deleted row. Claims
# have no indexes but those of constraints, so that the table can be written anew; without rowid these cost no more.
# `former`: who let go of a blob that is there. `uploader`: whose lease it was that was taken, or given up. `left_at`:
# when the place ceased to be the intake; NULL while it is.
_INITIAL = f"""
CREATE TABLE store (id TEXT NOT NULL, counter INTEGER NOT NULL);
CREATE TABLE blobs (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, generation TEXT NOT NULL,
    sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'quarantined', 'condemned')),
    verified_at REAL NOT NULL, orphaned_at REAL,
    condemned_seq INTEGER, reason TEXT, process TEXT,
    place INTEGER NOT NULL DEFAULT 0, kept_until REAL, late_until REAL, uploader TEXT,
    PRIMARY KEY (namespace, digest, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX blobs_live ON blobs (namespace, digest) WHERE state = 'live';
CREATE INDEX blobs_by_sha256 ON blobs (namespace, sha256) WHERE state = 'live';
CREATE INDEX blobs_orphaned ON blobs (orphaned_at, namespace, digest, generation, size) WHERE orphaned_at IS NOT NULL;
CREATE INDEX blobs_condemned ON blobs (condemned_seq) WHERE state = 'condemned' AND kept_until IS NULL;
CREATE INDEX blobs_kept ON blobs (kept_until) WHERE kept_until IS NOT NULL;
CREATE INDEX blobs_taken ON blobs (process) WHERE process IS NOT NULL;
CREATE INDEX blobs_by_verification ON blobs (verified_at) WHERE state = 'live';
CREATE TABLE holders (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, holder TEXT NOT NULL,
    version INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    PRIMARY KEY (namespace, digest, holder)
) WITHOUT ROWID;
CREATE INDEX holders_by_holder ON holders (namespace, holder, digest);
CREATE INDEX holders_unconfirmed ON holders (version) WHERE NOT confirmed;
CREATE TABLE former (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, holder TEXT NOT NULL,
    PRIMARY KEY (namespace, holder, digest)
) WITHOUT ROWID;
CREATE INDEX former_by_blob ON former (namespace, digest);
CREATE TABLE claims (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, slot TEXT NOT NULL, digest BLOB NOT NULL,
    scope TEXT NOT NULL, media_type TEXT NOT NULL, expires_at REAL NOT NULL,
    PRIMARY KEY (namespace, holder, slot, digest), UNIQUE (namespace, digest, holder, slot),
    UNIQUE (expires_at, namespace, holder, slot, digest)
) WITHOUT ROWID;
CREATE TABLE leases (
    id TEXT PRIMARY KEY, namespace TEXT NOT NULL, holder TEXT NOT NULL, scope TEXT NOT NULL,
    process TEXT NOT NULL, expires_at REAL NOT NULL, digest BLOB, sha256 BLOB, size INTEGER,
    reserved INTEGER NOT NULL DEFAULT 0, slot TEXT NOT NULL, place INTEGER NOT NULL DEFAULT 0, copies TEXT
) WITHOUT ROWID;
CREATE TABLE places (
    id INTEGER PRIMARY KEY, location TEXT NOT NULL UNIQUE, options TEXT NOT NULL, left_at REAL
) WITHOUT ROWID;
CREATE UNIQUE INDEX places_intake ON places (left_at IS NULL) WHERE left_at IS NULL;
CREATE TABLE pins (
    id TEXT PRIMARY KEY, namespace TEXT, process TEXT NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE derived (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (namespace, digest, kind), UNIQUE (namespace, number)
) WITHOUT ROWID;
CREATE TABLE derived_bytes (number INTEGER PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE gone (
    namespace TEXT NOT NULL, digest BLOB NOT NULL, generation TEXT NOT NULL,
    size INTEGER NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (namespace, digest, generation)
) WITHOUT ROWID;
CREATE INDEX gone_by_reason ON gone (namespace, reason, digest, generation);
{VOLUMES};
{TOTALS};
{SLACK}"""

STORED = "namespace, digest, generation, place, sha256, size, state, verified_at, kept_until, late_until"
LEASE = "id, namespace, holder, scope, process, expires_at, digest, sha256, size, reserved, slot, place, copies"
CLAIM = "digest, holder, scope, slot, media_type, expires_at"
HOLDER = "digest, holder, version, confirmed"
CONDEMNED = "namespace, digest, generation, place, size, reason, process, condemned_seq, late_until"

UNUSED = """
    NOT EXISTS (SELECT 1 FROM holders h WHERE h.namespace = blobs.namespace AND h.digest = blobs.digest)
    AND NOT EXISTS (SELECT 1 FROM claims c WHERE c.namespace = blobs.namespace AND c.digest = blobs.digest)
"""


SLOTS = "slot >= ? AND (? IS NULL OR slot < ?)"
"""Slots with a beginning; takes the values of `slots`."""

_LAST = "\U0010ffff"


class OnFile:
    """What the parts of the adapter share: the file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file


def slots(beginning: str) -> tuple[str, str | None, str | None]:
    """The bounds of all texts that begin so: from the beginning itself to the first that is beyond them all."""
    stem = beginning.rstrip(_LAST)
    if not stem:
        return beginning, None, None
    last = ord(stem[-1]) + 1
    beyond = stem[:-1] + chr(0xE000 if 0xD800 <= last < 0xE000 else last)  # surrogates are no characters
    return beginning, beyond, beyond


def next_count(db: sqlite3.Connection) -> int:
    """The counter's next value."""
    count: int = db.execute("UPDATE store SET counter = counter + 1 RETURNING counter").fetchone()[0]
    return count


def note(db: sqlite3.Connection, namespace: str, event: bytes | None) -> None:
    """Put an event, where there is one, into the outbox."""
    if event is not None:
        db.execute("INSERT INTO outbox (namespace, body) VALUES (?, ?)", (namespace, event))


def name(namespace: str, digest: bytes, generation: str, place: int = 0) -> ObjectName:
    """An object name from its columns."""
    return ObjectName(namespace, Digest.from_bytes(digest), generation, place)


def stored(row: Row) -> Stored:
    """A row of `STORED`."""
    namespace, digest, generation, place, sha256, size, state, *times = row
    return Stored(name(namespace, digest, generation, place), sha256, size, State(state), *times)


def lease(row: Row) -> Lease:
    """A row of `LEASE`."""
    id, namespace, holder, scope, process, expires_at, digest, sha256, size, *rest = row
    content = None if digest is None else Content(Digest.from_bytes(digest), sha256, size)
    return Lease(id, namespace, holder, scope, process, expires_at, content, *rest)


def claimed(row: Row) -> ClaimedBlob:
    """A row of `CLAIM`."""
    digest, *claim = row
    return ClaimedBlob(Digest.from_bytes(digest), Claim(*claim))


def to_holder(row: Row) -> Holder:
    """A row of `HOLDER`."""
    digest, who, version, confirmed = row
    return Holder(Digest.from_bytes(digest), who, version, bool(confirmed))


def condemned(row: Row) -> Condemned:
    """A row of `CONDEMNED`."""
    namespace, digest, generation, place, size, *rest = row
    return Condemned(name(namespace, digest, generation, place), size, *rest)


def let_go(db: sqlite3.Connection, rows: list[tuple[str, bytes, str]], now: float) -> None:
    """Of (namespace, digest, holder) a hold or a claim went: remember whose the blob was, and whether it is an orphan.

    Who is an orphan already does not get younger.
    """
    left(db, rows)
    db.executemany(_REMEMBER, rows)
    db.executemany(
        "UPDATE blobs SET orphaned_at = ? WHERE namespace = ? AND digest = ? AND orphaned_at IS NULL"
        f" AND state != 'condemned' AND {UNUSED}",
        [(now, namespace, digest) for namespace, digest, _ in rows],
    )


_REMEMBER = """
INSERT OR IGNORE INTO former (namespace, digest, holder)
SELECT b.namespace, b.digest, x.holder FROM (SELECT ? AS namespace, ? AS digest, ? AS holder) x
CROSS JOIN blobs b ON b.namespace = x.namespace AND b.digest = x.digest LIMIT 1
"""


def end_leases(db: sqlite3.Connection, where: str, parameters: Row, late_until: float | None = None) -> list[Lease]:
    """Take leases away (rule P3: the row first). Where all bytes were in, their object may exist, or come: condemn it.

    `late_until` is told of those whose process is over; the others say so themselves, or expire.
    """
    ended = [lease(row) for row in db.execute(f"DELETE FROM leases WHERE {where} RETURNING {LEASE}", parameters)]
    if ended:
        mark_stale(db)
    for gone in ended:
        if gone.content is not None:
            db.execute(
                f"INSERT INTO blobs ({CONDEMNED}, sha256, uploader, state, verified_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'condemned', 0)",
                (
                    *(gone.namespace, gone.content.digest.raw, gone.id, gone.place, gone.content.size),
                    *("abandoned" if gone.copies is None else MOVED, gone.process, next_count(db)),
                    gone.expires_at + LATE_SECONDS if late_until is None else late_until,
                    *(gone.content.sha256, gone.holder),
                ),
            )
            came(db, ObjectName(gone.namespace, gone.content.digest, gone.id), gone.content.size)
    return ended


def abandon(db: sqlite3.Connection, lease: str, late_until: float | None) -> None:
    """Who had the lease, or lost it to somebody, says until when bytes may come of it."""
    end_leases(db, "id = ?", (lease,))
    db.execute(_OVER, (late_until, lease))


_OVER = """
UPDATE blobs SET process = NULL, late_until = ? WHERE process IS NOT NULL AND generation = ?
"""
