"""What counts against quotas, kept up to date in the transactions that change it.

Triggers count generations, but those that a move left behind, and reservations. What a holder has stored depends on
claims, too, whose table is dropped when it is written anew and may therefore stand in no trigger of another: it is
counted by `joined`, `left`, `came` and `went`.
"""

from collections.abc import Iterable

from blobstore.backend import ObjectName
from blobstore.sqlite import sqlite3

TABLES = """CREATE TABLE limits (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, bytes INTEGER, PRIMARY KEY (namespace, holder)
) WITHOUT ROWID;
CREATE TABLE volumes (
    namespace TEXT NOT NULL, holder TEXT NOT NULL, stored INTEGER NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (namespace, holder)
) WITHOUT ROWID;
CREATE TRIGGER blobs_kept AFTER INSERT ON blobs WHEN NEW.reason IS NOT 'moved' BEGIN
    INSERT INTO volumes VALUES (NEW.namespace, '', NEW.size, 0)
    ON CONFLICT DO UPDATE SET stored = stored + excluded.stored; END;
CREATE TRIGGER blobs_moved AFTER UPDATE OF reason ON blobs WHEN NEW.reason = 'moved' AND OLD.reason IS NULL BEGIN
    UPDATE volumes SET stored = stored - OLD.size WHERE namespace = OLD.namespace AND holder = ''; END;
CREATE TRIGGER blobs_buried AFTER DELETE ON blobs WHEN OLD.reason IS NOT 'moved' BEGIN
    UPDATE volumes SET stored = stored - OLD.size WHERE namespace = OLD.namespace AND holder = ''; END;
CREATE TRIGGER leases_made AFTER INSERT ON leases BEGIN
    INSERT INTO volumes VALUES (NEW.namespace, '', 0, NEW.reserved), (NEW.namespace, NEW.holder, 0, NEW.reserved)
    ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved; END;
CREATE TRIGGER leases_grown AFTER UPDATE OF reserved ON leases BEGIN
    INSERT INTO volumes VALUES (NEW.namespace, '', 0, NEW.reserved - OLD.reserved),
        (NEW.namespace, NEW.holder, 0, NEW.reserved - OLD.reserved)
    ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved; END;
CREATE TRIGGER leases_ended AFTER DELETE ON leases BEGIN
    UPDATE volumes SET reserved = reserved - OLD.reserved
    WHERE namespace = OLD.namespace AND holder IN ('', OLD.holder); END;
CREATE TRIGGER volumes_emptied AFTER UPDATE ON volumes WHEN NEW.stored = 0 AND NEW.reserved = 0 BEGIN
    DELETE FROM volumes WHERE namespace = NEW.namespace AND holder = NEW.holder; END"""
"""For the schema of the catalogue. A volume whose holder is empty is that of the whole namespace."""

Party = tuple[str, bytes, str]
"""Namespace, digest and holder: who holds or claims which blob."""

_APART = """
    NOT EXISTS (SELECT 1 FROM holders WHERE namespace = ?1 AND digest = ?2 AND holder = ?3)
    AND NOT EXISTS (SELECT 1 FROM claims WHERE namespace = ?1 AND digest = ?2 AND holder = ?3)
"""
_SIZE = "(SELECT coalesce(max(size), 0) FROM blobs WHERE namespace = ?1 AND digest = ?2)"
_JOIN = f"""
INSERT INTO volumes SELECT ?1, ?3, {_SIZE}, 0 WHERE {_APART} AND {_SIZE} > 0
ON CONFLICT DO UPDATE SET stored = stored + excluded.stored
"""
_LEAVE = f"UPDATE volumes SET stored = stored - {_SIZE} WHERE namespace = ?1 AND holder = ?3 AND {_APART}"
# Nearly always for nobody: only links that the catalogue had lost are held without a generation.
_FOR_ALL = """
INSERT INTO volumes SELECT ?1, holder, ?4, 0 FROM (
    SELECT holder FROM holders WHERE namespace = ?1 AND digest = ?2
    UNION SELECT holder FROM claims WHERE namespace = ?1 AND digest = ?2)
WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE namespace = ?1 AND digest = ?2 AND generation != ?3)
ON CONFLICT DO UPDATE SET stored = stored + excluded.stored
"""


def joined(db: sqlite3.Connection, parties: Iterable[Party]) -> None:
    """These are about to hold or claim a blob: where they do neither yet, it begins to count for them."""
    db.executemany(_JOIN, set(parties))


def left(db: sqlite3.Connection, parties: Iterable[Party]) -> None:
    """These have lost a hold or a claim: where they have neither any more, the blob counts for them no longer."""
    db.executemany(_LEAVE, set(parties))


def came(db: sqlite3.Connection, name: ObjectName, size: int) -> None:
    """This generation was added: if it is the blob's only one, it begins to count for whoever holds the blob."""
    db.execute(_FOR_ALL, (name.namespace, name.digest.raw, name.generation, size))


def went(db: sqlite3.Connection, name: ObjectName, size: int) -> None:
    """This generation was removed: if it was the blob's last one, it counts for nobody any more."""
    db.execute(_FOR_ALL, (name.namespace, name.digest.raw, name.generation, -size))
