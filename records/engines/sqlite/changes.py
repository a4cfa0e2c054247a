"""What changed between two versions, and how long it is remembered."""

from blobstore.sqlite import sqlite3
from records.engines.sqlite.reads import COLUMNS, record_of
from records.engines.sqlite.schema import OnFile, in_lists, mark_stale, part_of, record_id
from records.model import Change, Changes, Partition, StoredRecord, Tombstone
from records.paging import cut


class History(OnFile):
    """The part of the port that tells of changes."""

    async def changes(
        self, partition: Partition, since: int, after: int, horizon: int, limit: int, max_bytes: int | None = None
    ) -> Changes:
        def run(db: sqlite3.Connection) -> Changes:
            part = part_of(db, partition)
            if part is None:
                return Changes([], horizon, None)
            records = _records(db, partition, part, after, horizon, limit)
            graves = _graves(db, part, after, horizon, limit) if since else []
            now: list[StoredRecord | Tombstone] = [*records, *graves]
            ordered = sorted(now, key=lambda each: each.version)
            found, reached = cut(ordered, limit, max_bytes, horizon)
            before = _states_at(db, part, since, [each.key for each in found]) if since else {}
            bounds = (part, horizon, max(since, after), reached)
            (overtaken,) = db.execute(_OVERTAKEN, bounds).fetchone()
            return Changes([Change(each, before.get(each.key)) for each in found], reached, overtaken)

        return await self._file.read(run)

    async def forget(self, before: float, limit: int) -> int:
        def run(db: sqlite3.Connection) -> int:
            gone = 0
            for (part,) in db.execute("SELECT id FROM partitions").fetchall():
                if gone < limit:
                    gone += _forget(db, part, before, limit - gone)
            if gone:
                mark_stale(db)
            return gone

        return await self._file.write(run)


def _records(
    db: sqlite3.Connection, place: Partition, part: int, after: int, horizon: int, limit: int
) -> list[StoredRecord]:
    sql = f"SELECT {COLUMNS} FROM records WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
    rows = db.execute(sql, (record_id(part, after), record_id(part, horizon), limit))
    return [record_of(place, row) for row in rows]


def _graves(db: sqlite3.Connection, part: int, after: int, horizon: int, limit: int) -> list[Tombstone]:
    return [Tombstone(*row) for row in db.execute(_GRAVES, (part, after, horizon, limit))]


def _states_at(db: sqlite3.Connection, part: int, version: int, keys: list[str]) -> dict[str, bytes | None]:
    """What is remembered of these keys' states at a version; a key that had none then is not in it."""
    found: dict[str, bytes | None] = {}
    for marks, some in in_lists(keys):
        sql = f"SELECT key, remembered FROM history WHERE part = ? AND key IN {marks} AND version <= ? AND until > ?"
        found |= dict(db.execute(sql, (part, *some, version, version)).fetchall())
    return found


def _forget(db: sqlite3.Connection, part: int, before: float, limit: int) -> int:
    """The oldest first, by version, as far as they are old enough: tokens below the last of them are too old then."""
    rows = db.execute(_OLDEST, (part, limit, part, limit, limit)).fetchall()
    old = []
    for version, at in rows:
        if at >= before:
            break
        old.append(version)
    if not old:
        return 0
    gone = db.execute("DELETE FROM history WHERE part = ? AND until <= ?", (part, old[-1])).rowcount
    gone += db.execute("DELETE FROM tombstones WHERE part = ? AND version <= ?", (part, old[-1])).rowcount
    db.execute("UPDATE partitions SET floor = max(floor, ?) WHERE id = ?", (old[-1], part))
    return gone


_GRAVES = """
SELECT key, version, deleted_at, emitted_at, born, consent FROM tombstones
WHERE part = ? AND version > ? AND version <= ? ORDER BY version LIMIT ?
"""

_OVERTAKEN = "SELECT min(version) FROM history WHERE part = ? AND until > ? AND version > ? AND version <= ?"

_OLDEST = """
SELECT version, at FROM (
    SELECT * FROM (SELECT until AS version, at FROM history WHERE part = ? ORDER BY until LIMIT ?)
    UNION ALL
    SELECT * FROM (SELECT version, at FROM tombstones WHERE part = ? ORDER BY version LIMIT ?)
) ORDER BY version LIMIT ?
"""
