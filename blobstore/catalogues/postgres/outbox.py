"""Events on their way to the audit log; they are numbered when they are asked for (`blobstore.postgres.outbox`)."""

from blobstore.catalogue import CatalogueEvent, Numbering
from blobstore.catalogues.postgres.schema import SCHEMA, OnDatabase
from blobstore.postgres import Connection
from blobstore.postgres.outbox import NUMBERING, UNNUMBERED, number

_OLDEST = "SELECT seq, namespace, body FROM catalogue.outbox ORDER BY seq LIMIT $1"  # those without a number are last


class Outbox(OnDatabase):
    """The part of the port about events."""

    async def outbox(self, limit: int) -> list[CatalogueEvent]:
        rows = await self._database.fetch(_OLDEST, limit)
        if any(seq is None for seq, *_ in rows):
            await self._number()
            rows = await self._database.fetch(_OLDEST, limit)
        # One that was committed since has its turn next time.
        return [CatalogueEvent(*row) for row in rows if row[0] is not None]

    async def numbering(self) -> Numbering:
        if await self._database.fetchval(UNNUMBERED.format(schema=SCHEMA)):
            await self._number()
        return Numbering(*await self._database.fetchrow(NUMBERING.format(schema=SCHEMA)) or (0, 0))

    async def drained(self, seq: int) -> None:
        await self._database.execute("DELETE FROM catalogue.outbox WHERE seq <= $1", seq)

    async def _number(self) -> None:
        await self._database.write(lambda db: number(db, SCHEMA))


async def note(db: Connection, namespace: str, event: bytes | None) -> None:
    """Put an event, where there is one, into the outbox; under the namespace's lock."""
    if event is not None:
        await db.execute("INSERT INTO catalogue.outbox (namespace, body) VALUES ($1, $2)", namespace, event)
