"""The way of events to the spine: written with what they tell of, drained exactly once, in the background."""

import asyncio
from contextlib import suppress

from blobstore.catalogue import Catalogue
from records import times
from records.central import Central, Owner, SpineEvent
from records.engine import Engines
from records.errors import SourceDown, Unknown

BATCH = 500

BLOBS = "blobs"
"""The outbox of the catalogue, as a source of the spine."""


class Audit:
    """Drains every outbox to the spine of the owner whose event it is."""

    def __init__(self, central: Central, engines: Engines, catalogue: Catalogue) -> None:
        self._central = central
        self._engines = engines
        self._catalogue = catalogue
        self._lock = asyncio.Lock()

    async def drain(self, owner: Owner) -> None:
        """Bring what waits for this owner's spine, and what waits in the catalogue for anyone's, onto it.

        What waits in a connector that does not answer waits on.
        """
        with suppress(SourceDown):
            await self._drain(owner)

    async def _drain(self, owner: Owner) -> None:
        """As `drain`; raises `SourceDown`, when the rest is done, where a connector may have events that wait."""
        async with self._lock:
            try:
                await self._drain_records(owner)
            finally:
                await self._drain_catalogue()

    async def _drain_records(self, owner: Owner) -> None:
        engine = await self._engines.of(owner.id)
        while events := await engine.outbox(BATCH):
            source = events[0].source
            await self._central.append(owner.id, source, [(each.seq, each.body) for each in events], times.now())
            await engine.drained(source, events[-1].seq)

    async def drain_all(self) -> None:
        """Drain for every owner."""
        for owner in await self._central.owners():
            await self.drain(owner)

    async def events(self, owner: Owner, after: int, limit: int) -> list[SpineEvent]:
        """The owner's spine beyond `after`, with everything that was acknowledged before this call.

        Raises `SourceDown` where some of it waits in a connector that does not answer.
        """
        await self._drain(owner)
        return await self._central.spine(owner.id, after, limit)

    async def _drain_catalogue(self) -> None:
        while events := await self._catalogue.outbox(BATCH):
            for owner in sorted({event.namespace for event in events}):
                mine = [(event.seq, event.body) for event in events if event.namespace == owner]
                with suppress(Unknown):  # nobody's blobs, left by a central store that was lost: there is no spine
                    await self._central.append(owner, BLOBS, mine, times.now())
            await self._catalogue.drained(events[-1].seq)
