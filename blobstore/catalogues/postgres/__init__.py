"""The catalogue in a PostgreSQL database: each method of the port is one transaction.

`schema` has the tables, `counting` what keeps volumes up to date, the other modules the statements, by what they are
for. What one writer did in SQLite, a lock per namespace does here: whoever decides by what others hold, claim, lease or
have stored in a namespace holds it from before the first look until the commit. Of two namespaces the lock is taken in
the order of its numbers. Not under it are only statements that settle everything with the rows that they change.
"""

import time
from typing import Self

from blobstore.catalogues.postgres.collection import Collection
from blobstore.catalogues.postgres.deriving import Deriving
from blobstore.catalogues.postgres.holders import Holders
from blobstore.catalogues.postgres.outbox import Outbox
from blobstore.catalogues.postgres.pins import Pins
from blobstore.catalogues.postgres.places import Places
from blobstore.catalogues.postgres.questions import Questions
from blobstore.catalogues.postgres.quotas import Quotas
from blobstore.catalogues.postgres.schema import CONTENT, SCHEMA, STEPS
from blobstore.catalogues.postgres.shares import Shares
from blobstore.catalogues.postgres.standing import Standings
from blobstore.catalogues.postgres.uploads import Uploads
from blobstore.postgres import Database, migrate
from blobstore.postgres.check import check
from blobstore.postgres.rewriting import rewrite
from blobstore.postgres.vacuum import vacuum

__all__ = ["PostgresCatalogue"]


class PostgresCatalogue(
    Uploads, Holders, Quotas, Collection, Outbox, Pins, Places, Deriving, Questions, Shares, Standings
):
    """Adapter of `blobstore.catalogue.Catalogue`."""

    @classmethod
    async def open(cls, database: Database) -> Self:
        """The catalogue in this database, made and migrated if need be; the database stays its opener's to close."""
        await migrate(database, SCHEMA, STEPS)
        return cls(database)

    async def sanitize(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        # First until nobody can see the dead rows, for who can has them copied; claims and leases are few at any time.
        return await vacuum(self._database, CONTENT, timeout) and await rewrite(
            self._database, CONTENT, deadline - time.monotonic()
        )

    async def check(self) -> list[str]:
        return await check(self._database, SCHEMA)

    async def close(self) -> None:
        """Nothing of its own is open."""
