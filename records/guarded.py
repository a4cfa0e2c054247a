"""Record engines that are never made a second time: an empty one in the place of a lost one is taken for the truth.

It would release every blob of its owner, and its events, numbered from the start again, would pass for delivered ones.
"""

from blobstore.errors import StorageUnavailable
from records.audit import RECORDS
from records.central import Central
from records.engine import Engine, Engines


class GuardedEngines:
    """Wrapper of `Engines`. Both questions raise `StorageUnavailable` for an owner whose engine was lost.

    The spine remembers who had one: whoever has events from it on the spine.
    """

    def __init__(self, engines: Engines, central: Central) -> None:
        self._engines = engines
        self._central = central

    async def of(self, owner: str) -> Engine:
        """As the port says."""
        return await self.find(owner) or await self._engines.of(owner)

    async def find(self, owner: str) -> Engine | None:
        """As the port says."""
        found = await self._engines.find(owner)
        if found is None and await self._central.delivered(owner, RECORDS):
            raise StorageUnavailable(f"the records of {owner} are missing; restore them from a backup")
        return found

    async def close(self) -> None:
        """As the port says."""
        await self._engines.close()
