"""What changed between two versions, and how long it is remembered."""

import heapq
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile

from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale
from records.engine import NOTHING_OWED
from records.engines.sqlite.schema import OnFile, in_lists, part_of, record_id, version_of
from records.engines.sqlite.walk import COLUMNS, record
from records.model import Change, Changes, Overtaken, Partition, Tombstone
from records.reading.paging import State, take_states


class History(OnFile):
    """The part of the port that tells of changes."""

    async def changes(
        self,
        partition: Partition,
        since: int,
        after: int,
        horizon: int,
        limit: int,
        *,
        max_bytes: int | None = None,
        owed: Mapping[str, int] = NOTHING_OWED,
    ) -> Changes:
        def run(db: sqlite3.Connection) -> Changes:
            part = part_of(db, partition)
            if part is None:
                return Changes([], [], horizon)
            walk = _Walk(partition, part, after, horizon, limit)
            # Closed, so that no statement stays open and holds the snapshot.
            with closing(_states(db, walk, tombstones=since > 0)) as states:
                taken, reached = take_states(states, horizon, limit, max_bytes)
            overtaken = [each for each in taken if isinstance(each, Overtaken)]
            now = [each for each in taken if not isinstance(each, Overtaken)]
            before = _before(db, part, [each.key for each in now], since, owed)
            return Changes([Change(each, before.get(each.key)) for each in now], overtaken, reached)

        return await self._file.read(self.here([partition.connector], run))

    async def forget(self, before: float, limit: int) -> int:
        def run(db: sqlite3.Connection) -> int:
            gone = 0
            for (part,) in db.execute(_PARTS).fetchall():
                if gone < limit:
                    gone += _forget(db, part, before, limit - gone)
            if gone:
                mark_stale(db)
            return gone

        return await self._file.write(run)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Through versions beyond `after` up to the horizon."""

    partition: Partition
    part: int
    after: int
    horizon: int
    limit: int


def _states(db: sqlite3.Connection, walk: _Walk, *, tombstones: bool) -> Generator[State]:
    """Records, tombstones if they are wanted, and what was overtaken, in the order of versions."""
    part, after, horizon = walk.part, walk.after, walk.horizon
    records = db.execute(_RECORDS, (record_id(part, after), record_id(part, horizon)))
    graves = db.execute(_TOMBSTONES, (part, after, horizon)) if tombstones else ()
    # One beyond the limit tells that there is more; what lies beyond so many records is not of this page.
    late = db.execute(_OVERTAKEN, (part, after, _reach(db, walk), horizon, walk.limit + 1))
    states: list[Iterator[State]] = [
        (record(walk.partition, row) for row in records),
        (Tombstone(*row) for row in graves),
        (Overtaken(*row) for row in late),
    ]
    yield from heapq.merge(*states, key=lambda each: each.version)


def _reach(db: sqlite3.Connection, walk: _Walk) -> int:
    """A version up to which there are as many records as a page takes; the horizon where there are no more."""
    beyond, upto = record_id(walk.part, walk.after), record_id(walk.part, walk.horizon)
    row = db.execute(_NTH, (beyond, upto, walk.limit)).fetchone()
    return walk.horizon if row is None else version_of(row[0])


def _before(
    db: sqlite3.Connection, part: int, keys: Sequence[str], since: int, owed: Mapping[str, int]
) -> dict[str, bytes]:
    """What is remembered of the keys' states as their client knew them; those that were not there then are missing."""
    found: dict[str, bytes] = {}
    versions = defaultdict(list)
    for key in keys:
        versions[owed.get(key, since)].append(key)
    for version, mine in versions.items():
        for marks, some in in_lists(mine) if version else ():
            found.update(db.execute(_BEFORE.format(marks=marks), (part, *some, version, version)).fetchall())
    return found


def _forget(db: sqlite3.Connection, part: int, before: float, limit: int) -> int:
    """The oldest first, by version, as far as they are old enough: tokens below the last of them are too old then."""
    rows = db.execute(_OLDEST, (part, limit, part, limit, limit)).fetchall()
    old = [version for version, _ in takewhile(lambda row: row[1] < before, rows)]
    if not old:
        return 0
    db.execute("UPDATE partitions SET floor = max(floor, ?) WHERE id = ?", (old[-1], part))
    # What a deletion ended and its tombstone have one version: they go together, beyond the limit if need be.
    gone = db.execute("DELETE FROM history WHERE part = ? AND until <= ?", (part, old[-1])).rowcount
    return gone + db.execute("DELETE FROM tombstones WHERE part = ? AND version <= ?", (part, old[-1])).rowcount


_RECORDS = f"SELECT {COLUMNS} FROM records WHERE id > ? AND id <= ? ORDER BY id"

_NTH = "SELECT id FROM records WHERE id > ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?"

_TOMBSTONES = """
SELECT key, version, deleted_at, emitted_at FROM tombstones
WHERE part = ? AND version > ? AND version <= ? ORDER BY version
"""

# At most one row of a key: its states do not overlap.
_BEFORE = """
SELECT key, remembered FROM history WHERE part = ? AND key IN {marks} AND version <= ? AND until > ?
"""

# A state that began in what was walked through and ended beyond the horizon was the key's state at the horizon. `+`: it
# is not found by `until`, for all that changed since the session began lies beyond the horizon.
_OVERTAKEN = """
SELECT key, version FROM history WHERE part = ? AND version > ? AND version <= ? AND +until > ?
ORDER BY version LIMIT ?
"""

_PARTS = """
SELECT p.id FROM partitions p JOIN connectors c ON c.id = p.connector
WHERE NOT EXISTS (SELECT 1 FROM moving m WHERE m.connector = c.name AND m.stage != 'leaving')
ORDER BY c.name, p.instance, p.stream
"""

_OLDEST = """
SELECT version, at FROM (
    SELECT * FROM (SELECT until AS version, at FROM history WHERE part = ? ORDER BY until LIMIT ?)
    UNION ALL
    SELECT * FROM (SELECT version, at FROM tombstones WHERE part = ? ORDER BY version LIMIT ?)
) ORDER BY version LIMIT ?
"""
