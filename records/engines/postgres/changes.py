"""What changed between two versions, and how long it is remembered."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from blobstore.postgres import Connection, Record
from blobstore.postgres.database import changed
from records.engine import NOTHING_OWED
from records.engines.postgres.rows import BUDGETED, COLUMNS, record
from records.engines.postgres.schema import InDatabase, begun, keyed, lock_connector, mark_removed, part_of
from records.model import Change, Changes, Overtaken, Partition, Tombstone
from records.reading.paging import State, take_states


class History(InDatabase):
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
        keys, known = [key.encode() for key in owed], list(owed.values())
        # One beyond the limit tells that there is more.
        values = (part_of(partition), since, after, horizon, limit + 1, max_bytes, keys, known)
        rows = await self.fetch([partition.connector], _STATES, *values)
        before = {row["key"].decode(): row["remembered"] for row in rows if row["n"] != _LATE}
        taken, reached = take_states(_states(partition, rows), horizon, limit, max_bytes)
        now = [each for each in taken if not isinstance(each, Overtaken)]
        overtaken = [each for each in taken if isinstance(each, Overtaken)]
        return Changes([Change(each, before[each.key]) for each in now], overtaken, reached)

    async def forget(self, before: float, limit: int) -> int:
        gone = 0
        for connector, part in await self._database.fetch(_AGED, self._owner, before):
            if gone < limit:
                step = _Forget(self._owner, connector, part, before, limit - gone)
                gone += await self._database.write(step.run)
        return gone


def _states(place: Partition, rows: Sequence[Record]) -> Iterator[State]:
    """Records, tombstones, and what was overtaken."""
    for row in rows:
        if row["n"] == _THERE:
            yield record(place, row)
        elif row["n"] == _GONE:
            yield Tombstone(row["key"].decode(), row["version"], row["deleted_at"], row["emitted_at"])
        else:
            yield Overtaken(row["key"].decode(), row["version"])


class _Forget:
    """A step in one partition: the oldest first, by version, as far as they are old enough.

    Tokens below the last of them are too old then.
    """

    def __init__(self, owner: str, connector: bytes, part: bytes, before: float, limit: int) -> None:
        self._owner = owner
        self._connector = connector
        self._place = (owner, part)
        self._before = before
        self._limit = limit

    async def run(self, db: Connection) -> int:
        """How many rows went."""
        await lock_connector(db, self._owner, self._connector)
        rows = await db.fetch(_OLDEST, *self._place, self._limit)
        old = [row["version"] for row in takewhile(lambda row: row["at"] < self._before, rows)]
        if not old:
            return 0
        values = (*self._place, old[-1])
        await db.execute(_RAISE_FLOOR, *values)
        await mark_removed(db, self._owner)
        # What a deletion ended and its tombstone have one version: they go together, beyond the limit if need be.
        return await changed(db, _FORGET_HISTORY, *values) + await changed(db, _FORGET_TOMBSTONES, *values)


_THERE, _GONE, _LATE = 1, 2, 3
"""Kinds of states: records, tombstones, what was overtaken."""

_WALKED = "owner = $1 AND part = $2 AND version > $4 AND version <= $5"

# What lies beyond as many records as a page takes is not of this page.
_REACH = f"coalesce((SELECT version FROM records.records WHERE {_WALKED} ORDER BY version LIMIT 1 OFFSET $6 - 1), $5)"

# A state that began in what was walked through and ended beyond the horizon was the key's state at the horizon.
_ALL_STATES = f"""
    SELECT * FROM (
        (SELECT {_THERE} AS n, {COLUMNS}, NULL::text AS deleted_at
         FROM records.records WHERE {_WALKED} ORDER BY version LIMIT $6)
        UNION ALL
        (SELECT {_GONE}, key, NULL, NULL, emitted_at, version, NULL, NULL, NULL, deleted_at
         FROM records.tombstones WHERE $3::bigint > 0 AND {_WALKED} ORDER BY version LIMIT $6)
        UNION ALL
        (SELECT {_LATE}, key, NULL, NULL, NULL, version, NULL, NULL, NULL, NULL
         FROM records.history WHERE owner = $1 AND {begun("part")} = {begun("$2")} AND until > $5
             AND version > $4 AND version <= {_REACH} ORDER BY version LIMIT $6)
    ) AS each ORDER BY version LIMIT $6
"""

# At most one row of history of a key: its states do not overlap.
_STATES = f"""
SELECT s.*, (
    SELECT h.remembered FROM records.history h
    WHERE h.owner = $1 AND {keyed("h.part")} = {keyed("$2")} AND h.key = s.key
        AND k.known > 0 AND h.version <= k.known AND h.until > k.known
) AS remembered
FROM ({BUDGETED.format(rows=_ALL_STATES, more=", deleted_at", order="version", budget="$7::bigint")}) AS s
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT o.known FROM unnest($8::bytea[], $9::bigint[]) AS o(key, known) WHERE o.key = s.key
    ), $3) AS known
) AS k
ORDER BY s.version
"""

_AGED = """
SELECT p.connector, p.part FROM records.partitions p
WHERE p.owner = $1 AND NOT EXISTS (
    SELECT FROM records.moving m WHERE m.owner = $1 AND m.connector = p.connector AND m.stage <> 'leaving'
) AND (
    SELECT at FROM (
        (SELECT until AS version, at FROM records.history h
         WHERE h.owner = $1 AND h.part = p.part ORDER BY until LIMIT 1)
        UNION ALL
        (SELECT version, at FROM records.tombstones t
         WHERE t.owner = $1 AND t.part = p.part ORDER BY version LIMIT 1)
    ) AS made ORDER BY version LIMIT 1
) < $2::double precision
ORDER BY p.connector_name, p.instance, p.stream
"""

_OLDEST = """
SELECT version, at FROM (
    (SELECT until AS version, at FROM records.history WHERE owner = $1 AND part = $2 ORDER BY until LIMIT $3)
    UNION ALL
    (SELECT version, at FROM records.tombstones WHERE owner = $1 AND part = $2 ORDER BY version LIMIT $3)
) AS made ORDER BY version LIMIT $3
"""

_RAISE_FLOOR = "UPDATE records.partitions SET floor = greatest(floor, $3) WHERE owner = $1 AND part = $2"

_FORGET_HISTORY = "DELETE FROM records.history WHERE owner = $1 AND part = $2 AND until <= $3"

_FORGET_TOMBSTONES = "DELETE FROM records.tombstones WHERE owner = $1 AND part = $2 AND version <= $3"
