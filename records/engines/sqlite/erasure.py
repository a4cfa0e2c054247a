"""Taking records away for good: fences, rows, and (`blobstore.sqliteslack`) what pages still show of rows gone."""

from dataclasses import dataclass

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqliteslack import mark_stale, sanitize
from records.engines.sqlite.schema import CONTENT, OnFile, Row, connector_id, in_lists, note_unlinked
from records.model import Erased, Target


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
        return await sanitize(self._file, CONTENT, timeout)


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
    if target.stream is None:
        for _, part in places:
            _erase_tombstones(db, part, step)
    if step.left < limit:
        mark_stale(db)
    lost = note_unlinked(db, places[0][0], dropped) if dropped else set()
    finished = not any(_is_left(db, part, target) for _, part in places)
    return Erased(step.records, step.size, frozenset(lost), finished)


def _erase_records(db: sqlite3.Connection, part: int, step: _Step) -> set[Digest]:
    one, which = _which(step.target)
    sql = f"SELECT id, key, octet_length(data), links FROM records WHERE part = ? {one} ORDER BY key LIMIT ?"
    rows = db.execute(sql, (part, *which, step.left)).fetchall()
    if not rows:
        return set()
    dropped = _drop_links(db, part, [key for _, key, _, links in rows if links])
    db.executemany("DELETE FROM records WHERE id = ?", [row[:1] for row in rows])
    size = sum(size for _, _, size, _ in rows)
    counts = db.execute(_COUNT_DOWN, (len(rows), size, sum(links for _, _, _, links in rows), part)).fetchone()
    if not counts[0]:
        db.execute("UPDATE partitions SET updated_at = NULL WHERE id = ?", (part,))
    if step.target.stream is not None:
        _bury(db, part, rows, step.deleted_at)
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


def _bury(db: sqlite3.Connection, part: int, rows: list[Row], deleted_at: str) -> None:
    """Tombstones for erased records, each with a version of its own."""
    sql = "UPDATE partitions SET version = version + ? WHERE id = ? RETURNING version"
    version = db.execute(sql, (len(rows), part)).fetchone()[0] - len(rows)
    graves = [(part, key, version + n, deleted_at, deleted_at) for n, (_, key, _, _) in enumerate(rows, 1)]
    db.executemany("INSERT INTO tombstones VALUES (?, ?, ?, ?, ?)", graves)


def _erase_tombstones(db: sqlite3.Connection, part: int, step: _Step) -> None:
    sql = "SELECT part, key FROM tombstones WHERE part = ? ORDER BY key LIMIT ?"
    graves = db.execute(sql, (part, step.left)).fetchall()
    db.executemany("DELETE FROM tombstones WHERE part = ? AND key = ?", graves)
    step.left -= len(graves)


def _is_left(db: sqlite3.Connection, part: int, target: Target) -> bool:
    one, which = _which(target)
    tables = ["records"] if target.stream is not None else ["records", "tombstones"]
    found = (db.execute(f"SELECT 1 FROM {table} WHERE part = ? {one} LIMIT 1", (part, *which)) for table in tables)
    return any(cursor.fetchone() for cursor in found)


def _which(target: Target) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if target.key is None else ("AND key = ?", (target.key,))


_FENCE = "INSERT INTO instances VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1"

_COVERED = """
SELECT p.connector, p.id FROM connectors c JOIN partitions p ON p.connector = c.id
WHERE c.name = ? AND (? IS NULL OR p.instance = ?) AND (? IS NULL OR p.stream = ?)
ORDER BY p.instance, p.stream
"""

_COUNT_DOWN = """
UPDATE partitions SET records = records - ?, bytes = bytes - ?, links = links - ? WHERE id = ? RETURNING records
"""
