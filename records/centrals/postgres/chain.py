"""The owners' spines, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from blobstore.postgres import Connection, Record
from records.audit import spine
from records.central import About, Checkpoint, SpineEvent
from records.centrals.postgres.schema import End, OnDatabase, end_of, lock, raw, raw_or_none

_EVENT = "seq, at, body, previous, hash"
_CHECKPOINT = "seq, made_at, document"
_DELIVERED = "SELECT coalesce((SELECT seq FROM central.delivered WHERE owner = $1 AND source = $2), 0)"

CHAIN = """
WITH head AS (
    UPDATE central.chains SET events = $4, hash = $5 WHERE owner = $1 AND events = $2 AND hash = $3 RETURNING owner
), event AS (
    SELECT head.owner, $2 + n AS seq, e.at, e.body, e.previous, e.hash, e.noted, e.grant_id, e.connector, e.blob
    FROM head, unnest(
        $6::text[], $7::bytea[], $8::bytea[], $9::bytea[], $10::boolean[], $11::bytea[], $12::bytea[], $13::bytea[]
    ) WITH ORDINALITY AS e (at, body, previous, hash, noted, grant_id, connector, blob, n)
), chained AS (
    INSERT INTO central.spine SELECT owner, seq, at, body, previous, hash FROM event
), noted AS (
    INSERT INTO central.noted SELECT owner, seq, grant_id, connector, blob FROM event WHERE noted
)
SELECT count(*) FROM head
"""
"""One statement, so that an event that is noted costs one round trip. Where the spine does not end where it is said to
it does nothing, and tells 0: who has locked the owner knows where, who has not locks then and tries again."""

_DELIVER = """
INSERT INTO central.delivered VALUES ($1, $2, $3) ON CONFLICT (owner, source) DO UPDATE SET seq = excluded.seq
"""

Fresh = tuple[str, bytes, About | None]
"""What is to be chained: the time, the body, and what it is about where it is to be found by that."""


class Chain(OnDatabase):
    """The part of the port about what happened."""

    async def append(self, owner: str, source: str, events: Sequence[tuple[int, bytes]], now: str) -> int:
        async def work(db: Connection) -> int:
            end = await lock(db, owner)
            fresh = spine.risen(events, await db.fetchval(_DELIVERED, owner, source))
            if fresh:
                await chain(db, end, [body for _, body in fresh], now)
                await db.execute(_DELIVER, owner, source, fresh[-1][0])
            return len(fresh)

        return await self._db.write(work)

    async def noted(self, owner: str, about: About, after: int, limit: int) -> list[SpineEvent]:
        sql, named = noted_sql(about)
        rows = await self._db.fetch(sql, owner, after, limit, *named)
        return [_to_event(row) for row in rows]

    async def delivered(self, owner: str, source: str) -> int:
        count: int = await self._db.fetchval(_DELIVERED, owner, source)
        return count

    async def delivered_by(self, source: str) -> int:
        sql = "SELECT coalesce(max(seq), 0) FROM central.delivered WHERE source = $1"
        count: int = await self._db.fetchval(sql, source)
        return count

    async def spine(self, owner: str, after: int, limit: int) -> list[SpineEvent]:
        sql = f"SELECT {_EVENT} FROM central.spine WHERE owner = $1 AND seq > $2 ORDER BY seq LIMIT $3"
        return [_to_event(row) for row in await self._db.fetch(sql, owner, after, limit)]

    async def spine_head(self, owner: str) -> SpineEvent | None:
        sql = f"SELECT {_EVENT} FROM central.spine WHERE owner = $1 ORDER BY seq DESC LIMIT 1"
        row = await self._db.fetchrow(sql, owner)
        return None if row is None else _to_event(row)

    async def chained(self, owner: str) -> int:
        return (await end_of(self._db, owner)).events

    async def add_checkpoint(self, owner: str, checkpoint: Checkpoint) -> None:
        async def work(db: Connection) -> None:
            await lock(db, owner)
            sql = "INSERT INTO central.checkpoints VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
            await db.execute(sql, owner, checkpoint.seq, checkpoint.made_at, checkpoint.document)

        await self._db.write(work)

    async def newest_checkpoint(self, owner: str) -> Checkpoint | None:
        sql = f"SELECT {_CHECKPOINT} FROM central.checkpoints WHERE owner = $1 ORDER BY seq DESC LIMIT 1"
        row = await self._db.fetchrow(sql, owner)
        return None if row is None else Checkpoint(*row)

    async def checkpoints(self, owner: str, after: int, limit: int) -> list[Checkpoint]:
        sql = f"SELECT {_CHECKPOINT} FROM central.checkpoints WHERE owner = $1 AND seq > $2 ORDER BY seq LIMIT $3"
        return [Checkpoint(*row) for row in await self._db.fetch(sql, owner, after, limit)]


def noted_sql(about: About) -> tuple[str, list[bytes]]:
    """The statement for the events about all of this, and what is bound in it after owner, `after` and the limit."""
    columns = {"grant_id": about.grant, "connector": about.connector, "blob": about.blob}
    named = {column: raw(value) for column, value in columns.items() if value is not None}
    event = ", ".join(f"spine.{column}" for column in _EVENT.split(", "))
    conditions = "".join(f" AND noted.{column} = ${place}" for place, column in enumerate(named, 4))
    return (
        f"SELECT {event} FROM central.noted JOIN central.spine USING (owner, seq)"
        f" WHERE noted.owner = $1 AND noted.seq > $2{conditions} ORDER BY noted.seq LIMIT $3",
        list(named.values()),
    )


@dataclass(frozen=True, slots=True)
class Joined:
    """Events joined to the end of a spine: what is bound in `CHAIN`, and where the spine ends then."""

    values: Sequence[object]
    end: End


def joined(end: End, events: Sequence[Fresh]) -> Joined:
    """Join the events, one at least, to the spine that ends there."""
    seq, previous = end.events, end.hash
    before, hashes = [], []
    for at, body, _ in events:
        seq += 1
        before.append(previous)
        previous = spine.chain(previous, seq, at, body)
        hashes.append(previous)
    abouts = [about or About() for _, _, about in events]
    values = (
        end.owner,
        end.events,
        end.hash,
        seq,
        previous,
        [at for at, _, _ in events],
        [body for _, body, _ in events],
        before,
        hashes,
        [about is not None for _, _, about in events],
        [raw_or_none(about.grant) for about in abouts],
        [raw_or_none(about.connector) for about in abouts],
        [raw_or_none(about.blob) for about in abouts],
    )
    return Joined(values, End(end.owner, seq, previous))


async def put(db: Connection, events: Joined) -> None:
    """Chain the events; the owner has been locked since before one looked where the spine ends."""
    if not await db.fetchval(CHAIN, *events.values):
        raise AssertionError("the spine of an owner who is locked went on")


async def chain(db: Connection, end: End, bodies: Sequence[bytes], now: str) -> None:
    """Chain the bodies to the spine that ends there, whose owner is locked. Once in a transaction."""
    if bodies:
        await put(db, joined(end, [(now, body, None) for body in bodies]))


def _to_event(row: Record) -> SpineEvent:
    return SpineEvent(*row)
