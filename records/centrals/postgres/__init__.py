"""The central store in a PostgreSQL database: each method of the port is one transaction.

`schema` has the tables, the other modules the statements, by what they are for.
"""

import time
from typing import Self

from blobstore.postgres import Database, migrate
from blobstore.postgres.binding import bind
from blobstore.postgres.check import check
from blobstore.postgres.rewriting import rewrite
from blobstore.postgres.vacuum import vacuum
from records.centrals.postgres.access import Access
from records.centrals.postgres.chain import Chain
from records.centrals.postgres.erasures import Erasures
from records.centrals.postgres.grants import Grants
from records.centrals.postgres.notes import Notes
from records.centrals.postgres.registry import Registry
from records.centrals.postgres.schema import CONTENT, SCHEMA, STEPS
from records.centrals.postgres.shards import Homes
from records.centrals.postgres.state import State

__all__ = ["PostgresCentral"]


class PostgresCentral(Access, Grants, Registry, Homes, State, Erasures, Chain, Notes):
    """Adapter of `records.central.Central`. The database may be shared; whoever opened it closes it."""

    @classmethod
    async def open(cls, db: Database) -> Self:
        """Make and migrate the tables if need be; any number of processes may do so at once."""
        await migrate(db, SCHEMA, STEPS)
        return cls(db)

    async def bind(self, name: str) -> str:
        return await bind(self._db, SCHEMA, name)

    async def sanitize(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        # First until nobody can see the dead rows, for who can has them copied.
        return await vacuum(self._db, CONTENT, timeout) and await rewrite(
            self._db, CONTENT, deadline - time.monotonic()
        )

    async def check(self) -> list[str]:
        """What PostgreSQL finds wrong, and spines that have not as many events as were chained, or another end."""
        spines = await self._db.fetch(_SPINES)
        return [
            *await check(self._db, SCHEMA),
            *(f"the spine of {owner} has {there} of {events} events" for owner, events, there in spines),
        ]

    async def close(self) -> None:
        await self.finish_notes()


_SPINES = """
SELECT owner, events, there FROM central.chains LEFT JOIN (
    SELECT owner, count(*) AS there, max(seq) AS last FROM central.spine GROUP BY owner
) AS found USING (owner)
WHERE coalesce(there, 0) != events OR coalesce(last, 0) != events
   OR hash != (SELECT hash FROM central.spine WHERE owner = chains.owner AND seq = chains.events)
ORDER BY owner
"""
