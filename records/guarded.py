"""Record engines that are never made a second time: an empty one in the place of a lost one is taken for the truth.

It would release every blob of its owner, and its events, numbered from the start again, would pass for delivered ones.
"""

from blobstore.errors import Missing
from records.agreement import require_own
from records.central import Central
from records.engine import Engine, Engines
from records.layout import Topology
from records.shards import source_of


class GuardedEngines:
    """Wrapper of `Engines`. Both questions raise `Missing` for an owner whose engine was lost.

    The spine remembers who had one: whoever has events from it on the spine. And they raise `WrongStore` for one that
    is not that owner's, or of another time than the central store (`records.agreement`).
    """

    def __init__(self, engines: Engines, topology: Topology, central: Central, store_id: str) -> None:
        self._engines = engines
        self._topology = topology
        self._central = central
        self._store_id = store_id
        self._right: set[str] = set()

    async def of(self, owner: str) -> Engine:
        """As the port says."""
        return await self.find(owner) or await self._require_right(owner, await self._engines.of(owner))

    async def find(self, owner: str) -> Engine | None:
        """As the port says."""
        found = await self._engines.find(owner)
        if found is None and await self._central.delivered(owner, source_of(self._topology.shard)):
            part = self._topology.records(owner)
            raise Missing(f"{part}: the records of {owner} are missing; restore them from a backup")
        return None if found is None else await self._require_right(owner, found)

    async def _require_right(self, owner: str, engine: Engine) -> Engine:
        if owner not in self._right:
            await require_own(owner, self._topology, engine, self._central, self._store_id)
            self._right.add(owner)
        return engine

    async def close(self) -> None:
        """As the port says."""
        await self._engines.close()
