"""The record engines of the database, opened when they are first asked for."""

import asyncio

from records.central import Central
from records.centre import Centre
from records.engine import Engines
from records.guarded import GuardedEngines
from records.layout import Topology


class InDatabase:
    """Of one directory's database. Close it before the database."""

    def __init__(self, centre: Centre, central: Central, store_id: str) -> None:
        self._centre = centre
        self._central = central
        self._store_id = store_id
        self._engines: Engines | None = None
        self._opening = asyncio.Lock()

    async def engines(self) -> Engines:
        """They, guarded like all."""
        async with self._opening:
            if self._engines is None:
                from records.engines.postgres import PostgresEngines  # here, for it needs a driver

                plain = await PostgresEngines.open(await self._centre.database())
                self._engines = GuardedEngines(plain, Topology.POSTGRES, self._central, self._store_id)
            return self._engines

    async def close(self) -> None:
        """Harmless when called twice."""
        if self._engines is not None:
            await self._engines.close()
