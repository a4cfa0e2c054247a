"""Events on their way to the spine."""

from collections.abc import Mapping

from blobstore.catalogue import Numbering
from blobstore.postgres import Connection
from records.engines.postgres.schema import InDatabase
from records.model import OutboxEvent
from records.shards import source_of

SHARD = "postgres"
"""The one shard of this topology."""

SOURCE = source_of(SHARD)


class Events(InDatabase):
    """The part of the port that keeps the outbox."""

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        sql = "SELECT seq, body FROM records.outbox WHERE owner = $1 ORDER BY seq LIMIT $2"
        rows = await self._database.fetch(sql, self._owner, limit)
        return [OutboxEvent(seq, body, SOURCE) for seq, body in rows]

    async def numbering(self) -> Mapping[str, Numbering]:
        row = await self._database.fetchrow(_NUMBERING, self._owner)
        return {} if row is None else {SOURCE: Numbering(*row)}

    async def bind(self, name: str) -> str:
        known = await self._database.fetchval("SELECT name FROM records.owners WHERE owner = $1", self._owner)
        if known is None:
            sql = "UPDATE records.owners SET name = coalesce(name, $2) WHERE owner = $1 RETURNING name"
            known = await self._database.write(lambda db: db.fetchval(sql, self._owner, name))
        return str(known)

    async def drained(self, source: str, seq: int) -> None:
        if source == SOURCE:
            await self._database.execute(_DRAINED, self._owner, seq)

    async def note(self, event: bytes) -> None:
        await self._database.write(lambda db: number_event(db, self._owner, event))


async def number_event(db: Connection, owner: str, event: bytes) -> None:
    """Put an event into the outbox: the last thing of a transaction.

    The owner's row stays locked until it commits, so that numbers are given in the order of commits: a number that
    comes to light after a higher one was drained would never be looked at.
    """
    await db.execute(f"WITH {NUMBER.format(event='$2')}", owner, event)


_DRAINED = "DELETE FROM records.outbox WHERE owner = $1 AND seq <= $2"

NUMBER = """
numbered AS (UPDATE records.owners SET given = given + 1 WHERE owner = $1 RETURNING given)
INSERT INTO records.outbox (owner, seq, body) SELECT $1, given, {event}::bytea FROM numbered
"""
"""What `number_event` does, for a statement that does something else, too; `event`: where its body is."""

_NUMBERING = """
SELECT coalesce((SELECT min(seq) - 1 FROM records.outbox WHERE owner = $1), given), given
FROM records.owners WHERE owner = $1
"""
