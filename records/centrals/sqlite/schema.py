"""Tables of the central store, and what its parts share."""

from typing import Any

from sqlite_utils import Database, Migrations

from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.slack import SLACK
from records.errors import Conflict, Unknown

MIGRATIONS = Migrations("central")

CONTENT = ("states", "targets", "samples", "subjects", "grants", "homes")
"""Tables whose rows hold what an erasure must leave no trace of. To be written anew they have neither indexes but those
of constraints nor foreign keys: who writes a row looks first whether what it belongs to is there."""

Row = tuple[Any, ...]


@MIGRATIONS()
def m001_initial(db: Database) -> None:
    """Owners and who acts for them, their connectors, sync state, erasures and spines."""
    for statement in _INITIAL.split(";\n"):
        db.execute(statement)


# `owners.events` is how far the owner's spine has come: a checker sees by it when the spine has lost its end.
# A subject's name stands in `subjects` until the owner is erased, then its digest in `owners`.
# `number` keeps the order of insertion where times are equal. `states.grant_id` is empty for the global namespace:
# nulls would not be unique. `noted` finds events of the spine by what they are about. A target, which may name a
# record's key, is in `targets` until it is redacted, and in `erasures` from then on: that table, which only grows,
# never holds a key.
_INITIAL = f"""
CREATE TABLE bound (name TEXT NOT NULL) STRICT;
CREATE TABLE owners (
    id TEXT PRIMARY KEY, created_at TEXT NOT NULL, events INTEGER NOT NULL DEFAULT 0, erased_at TEXT, digest TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE subjects (owner TEXT PRIMARY KEY, subject TEXT NOT NULL UNIQUE) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    client TEXT NOT NULL, connector TEXT NOT NULL, document BLOB NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT,
    UNIQUE (owner, created_at, number)
) STRICT;
CREATE TABLE tokens (
    number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,
    owner TEXT NOT NULL REFERENCES owners, created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT, label TEXT,
    grant_id TEXT
) STRICT;
CREATE TABLE connectors (
    owner TEXT NOT NULL REFERENCES owners, id TEXT NOT NULL, manifest BLOB NOT NULL,
    registered_at TEXT NOT NULL, erased_at TEXT,
    PRIMARY KEY (owner, id)
) STRICT;
CREATE TABLE instances (
    owner TEXT NOT NULL, id TEXT NOT NULL, connector TEXT NOT NULL, is_default INTEGER NOT NULL,
    created_at TEXT NOT NULL, erased_at TEXT, erasure TEXT,
    PRIMARY KEY (owner, id), FOREIGN KEY (owner, connector) REFERENCES connectors (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX instances_living ON instances (owner, connector, id) WHERE erased_at IS NULL;
CREATE INDEX instances_by_erasure ON instances (owner, erasure, connector, id) WHERE erasure IS NOT NULL;
CREATE UNIQUE INDEX instances_default ON instances (owner, connector) WHERE is_default AND erased_at IS NULL;
CREATE TABLE states (
    owner TEXT NOT NULL, instance TEXT NOT NULL, grant_id TEXT NOT NULL, stream TEXT NOT NULL,
    value BLOB NOT NULL, updated_at TEXT NOT NULL,
    PRIMARY KEY (owner, instance, grant_id, stream)
) STRICT;
CREATE TABLE erasures (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL REFERENCES owners,
    target BLOB, state TEXT NOT NULL, requested_at TEXT NOT NULL, completed_at TEXT, result BLOB,
    connector TEXT, instance TEXT, owner_digest TEXT, resumed INTEGER NOT NULL DEFAULT 0, receipt BLOB,
    paused INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX erasures_by_owner ON erasures (owner, number);
CREATE INDEX erasures_unfinished ON erasures (requested_at) WHERE state != 'done';
CREATE TABLE targets (erasure TEXT PRIMARY KEY, target BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE samples (
    erasure TEXT PRIMARY KEY, key BLOB NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE spine (
    owner TEXT NOT NULL REFERENCES owners, seq INTEGER NOT NULL, at TEXT NOT NULL,
    body BLOB NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (owner, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    owner TEXT NOT NULL REFERENCES owners, seq INTEGER NOT NULL, made_at TEXT NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (owner, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE noted (
    owner TEXT NOT NULL REFERENCES owners, seq INTEGER NOT NULL, grant_id TEXT, connector TEXT, blob TEXT,
    PRIMARY KEY (owner, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX noted_by_grant ON noted (owner, grant_id, seq) WHERE grant_id IS NOT NULL;
CREATE INDEX noted_by_connector ON noted (owner, connector, seq) WHERE connector IS NOT NULL;
CREATE INDEX noted_by_blob ON noted (owner, blob, seq) WHERE blob IS NOT NULL;
CREATE TABLE topologies (
    owner TEXT PRIMARY KEY REFERENCES owners, topology TEXT, revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE homes (
    owner TEXT NOT NULL, connector TEXT NOT NULL, shard TEXT NOT NULL,
    number INTEGER NOT NULL DEFAULT 1, rests INTEGER NOT NULL DEFAULT 0,
    notes INTEGER NOT NULL DEFAULT 0, stale INTEGER NOT NULL DEFAULT 0, oldest REAL, holds BLOB,
    PRIMARY KEY (owner, connector)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivered (
    owner TEXT NOT NULL REFERENCES owners, source TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (owner, source)
) STRICT, WITHOUT ROWID;
{SLACK}"""


SUBJECT = "coalesce((SELECT subject FROM subjects WHERE subjects.owner = owners.id), owners.digest)"
"""What an owner is called: its name, or what stands for it once it is erased."""


class OnFile:
    """What the parts of the adapter share: the file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file


def require_owner(db: sqlite3.Connection, owner: str) -> None:
    """Raise `Unknown` when the owner was not made here."""
    if db.execute("SELECT 1 FROM owners WHERE id = ?", (owner,)).fetchone() is None:
        raise Unknown("no such owner")


def require_present(db: sqlite3.Connection, owner: str) -> None:
    """Raise `Unknown` or `Conflict` when nothing new may be made for the owner."""
    require_owner(db, owner)
    if db.execute("SELECT 1 FROM owners WHERE id = ? AND erased_at IS NOT NULL", (owner,)).fetchone():
        raise Conflict("the owner was erased")


def require_living(db: sqlite3.Connection, owner: str, connector: str) -> None:
    """Raise `Unknown` or `Conflict` when the connector takes no writes."""
    sql = "SELECT erased_at FROM connectors WHERE owner = ? AND id = ?"
    row = db.execute(sql, (owner, connector)).fetchone()
    if row is None:
        raise Unknown("no such connector")
    if row[0] is not None:
        raise Conflict("the connector was erased")
