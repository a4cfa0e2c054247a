"""Taking records away for good: fences, rows, and what pages still show of rows that are gone.

`secure_delete` overwrites a row where it lay. But when SQLite moves rows about inside a page (it does so when pages
are split and merged), copies of them stay behind in the page's unused part, and are not overwritten when the row
goes. So after an erasure the tables that hold content are written anew, from live rows alone: every old page is
overwritten, no new one has held anything else. `tests/test_records/test_sqlite_erasure.py` shows both.
"""

import time
from dataclasses import dataclass

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqliteconnection import rewrite_table
from records.engines.plan import Alive
from records.engines.plan import bury as tombstone
from records.engines.sqlite.schema import (
    CONTENT,
    OnFile,
    Row,
    bury,
    connector_id,
    in_lists,
    mark_stale,
    note_unlinked,
    version_of,
)
from records.model import Delete, Erased, Target
from records.times import unpacked


class Erasure(OnFile):
    """The part of the port that erases."""

    async def fence(self, connector: str, instance: str | None) -> None:
        def run(db: sqlite3.Connection) -> None:
            number = connector_id(db, connector)
            if instance is None:  # counts for instances that nobody has seen yet, too
                db.execute("UPDATE connectors SET epoch = epoch + 1 WHERE id = ?", (number,))
            else:
                db.execute(_FENCE, (number, instance))

        await self._file.write(run)

    async def erase(self, target: Target, deleted_at: str, limit: int) -> Erased:
        return await self._file.write(lambda db: _erase(db, target, deleted_at, limit))

    async def sanitize(self, timeout: float) -> bool:
        """As the port says. Writing the tables anew takes as long as it takes: other writers wait, readers do not."""
        deadline = time.monotonic() + timeout
        await self._file.write_alone(_write_anew)
        return await self._file.truncate_wal(deadline - time.monotonic())


@dataclass(slots=True)
class _Step:
    """One step of an erasure while it goes through partitions."""

    target: Target
    deleted_at: str
    left: int
    records: int = 0
    size: int = 0


def _erase(db: sqlite3.Connection, target: Target, deleted_at: str, limit: int) -> Erased:
    step = _Step(target, deleted_at, limit)
    values = (target.connector, target.instance, target.instance, target.stream, target.stream)
    places = db.execute(_COVERED, values).fetchall()
    dropped: set[Digest] = set()
    for _, part in places:
        dropped |= _erase_records(db, part, step)
    for _, part in places:
        _erase_past(db, part, step)
    if step.left < limit:
        mark_stale(db)
    lost = note_unlinked(db, places[0][0], dropped) if dropped else set()
    finished = not any(_is_left(db, part, target) for _, part in places)
    return Erased(step.records, step.size, frozenset(lost), finished)


def _erase_records(db: sqlite3.Connection, part: int, step: _Step) -> set[Digest]:
    one, which = _which(step.target)
    # Where no tombstone needs the data it is not read.
    data = "CAST(data AS BLOB)" if step.target.consent_field else "NULL"
    sql = f"""SELECT id, key, octet_length(data), links, emitted_at, revisions, {data} FROM records
              WHERE part = ? {one} ORDER BY key LIMIT ?"""
    rows = db.execute(sql, (part, *which, step.left)).fetchall()
    if not rows:
        return set()
    dropped = _drop_links(db, part, [key for _, key, _, links, *_ in rows if links])
    db.executemany("DELETE FROM records WHERE id = ?", [row[:1] for row in rows])
    size = sum(row[2] for row in rows)
    counts = db.execute(_COUNT_DOWN, (len(rows), size, sum(row[3] for row in rows), part)).fetchone()
    if not counts[0]:
        db.execute("UPDATE partitions SET updated_at = NULL WHERE id = ?", (part,))
    if step.target.stream is not None:
        _bury(db, part, rows, step)
    step.left -= len(rows)
    step.records += len(rows)
    step.size += size
    return dropped


def _drop_links(db: sqlite3.Connection, part: int, keys: list[str]) -> set[Digest]:
    dropped: set[Digest] = set()
    for marks, some in in_lists(keys):
        where = f"WHERE part = ? AND key IN {marks}"
        dropped |= {Digest.from_bytes(row[0]) for row in db.execute(f"SELECT digest FROM links {where}", (part, *some))}
        db.execute(f"DELETE FROM links {where}", (part, *some))
    return dropped


def _bury(db: sqlite3.Connection, part: int, rows: list[Row], step: _Step) -> None:
    """Tombstones for erased records, each with a version of its own; what is remembered of them goes."""
    sql = "UPDATE partitions SET version = version + ? WHERE id = ? RETURNING version"
    version = db.execute(sql, (len(rows), part)).fetchone()[0] - len(rows)
    graves = []
    for record, key, size, _, emitted_at, revisions, data in rows:
        version += 1
        alive = Alive(data, size, (), version_of(record), unpacked(emitted_at), revisions)
        delete = Delete(key, step.deleted_at, step.deleted_at)
        graves.append(tombstone(alive, delete, version, step.target.consent_field))
    bury(db, part, graves, int(time.time()))
    db.executemany("DELETE FROM history WHERE part = ? AND key = ?", [(part, row[1]) for row in rows])


def _erase_past(db: sqlite3.Connection, part: int, step: _Step) -> None:
    """What is remembered of the target; where more than a stream goes, old tombstones too, and all tokens end."""
    one, which = _which(step.target)
    sql = f"SELECT part, until FROM history WHERE part = ? {one} ORDER BY until LIMIT ?"
    rows = db.execute(sql, (part, *which, step.left)).fetchall()
    db.executemany("DELETE FROM history WHERE part = ? AND until = ?", rows)
    step.left -= len(rows)
    if step.target.stream is None:
        sql = "SELECT part, version FROM tombstones WHERE part = ? ORDER BY version LIMIT ?"
        graves = db.execute(sql, (part, step.left)).fetchall()
        db.executemany("DELETE FROM tombstones WHERE part = ? AND version = ?", graves)
        step.left -= len(graves)
        db.execute("UPDATE partitions SET floor = version WHERE id = ?", (part,))


def _is_left(db: sqlite3.Connection, part: int, target: Target) -> bool:
    one, which = _which(target)
    tables = ["records", "history"] if target.stream is not None else ["records", "history", "tombstones"]
    found = (db.execute(f"SELECT 1 FROM {table} WHERE part = ? {one} LIMIT 1", (part, *which)) for table in tables)
    return any(cursor.fetchone() for cursor in found)


def _which(target: Target) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if target.key is None else ("AND key = ?", (target.key,))


def _write_anew(db: sqlite3.Connection) -> None:
    if db.execute("SELECT stale FROM state").fetchone()[0]:
        for table in CONTENT:
            rewrite_table(db, table)
        db.execute("UPDATE state SET stale = 0")


_FENCE = "INSERT INTO instances VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1"

_COVERED = """
SELECT p.connector, p.id FROM connectors c JOIN partitions p ON p.connector = c.id
WHERE c.name = ? AND (? IS NULL OR p.instance = ?) AND (? IS NULL OR p.stream = ?)
ORDER BY p.instance, p.stream
"""

_COUNT_DOWN = """
UPDATE partitions SET records = records - ?, bytes = bytes - ?, links = links - ? WHERE id = ? RETURNING records
"""
