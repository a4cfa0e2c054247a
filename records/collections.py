"""Collections: garbage of everybody, in ticks or at once, or of one owner; what went is on its owner's spine."""

import logging

from blobstore.catalogue import Catalogue, Forecast, Removal
from blobstore.errors import BlobError, StorageUnavailable
from blobstore.fuse import Fuse
from blobstore.gc import Collected, Collector, Told, Wanted
from records.audit import spine
from records.central import Owner
from records.erasure.erasures import Erasures
from records.errors import RecordError

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds after which a collection that somebody waits for ends, finished or not."""


def removal_event(removal: Removal) -> bytes | None:
    """What the spine says of removed blobs; nothing of an erasure's, which has an event of its own."""
    kind, _, collection = removal.reason.partition(" ")
    if kind == "erasure":
        return None
    facts = {"reason": kind, "blobs": removal.blobs, "bytes": removal.bytes}
    return spine.body("blob.remove", facts | ({"collection": collection} if collection else {}))


class Collections:
    """Collects one store.

    `stopped` says why the last tick of this process was stopped, and waits for somebody to look at it; None: it was
    not. `unfinished`: so many erasures were found that could not be finished yet.
    """

    def __init__(self, catalogue: Catalogue, collector: Collector, erasures: Erasures) -> None:
        self._catalogue = catalogue
        self._collector = collector
        self._erasures = erasures
        self.stopped: str | None = None
        self.unfinished = 0

    async def run(self, wanted: Wanted, told: Told | None = None) -> Collected:
        """Collect, also while others do; finish erasures that were cut off. Raises what `Collector.collect` raises."""
        self.unfinished = await self._erasures.resume()
        collected = await self._collector.collect(wanted, told)
        if collected.blobs or collected.debris or collected.expired:
            log.info(
                "collection %s removed %d blobs (%d bytes) and %d staging files; %d claims and leases had expired",
                *(collected.id, collected.blobs, collected.bytes, collected.debris, collected.expired),
            )
        return collected

    async def tick(self, wanted: Wanted) -> Collected:
        """As `run`, for the background: remembers why it stopped."""
        try:
            collected = await self.run(wanted)
        except (BlobError, RecordError) as error:
            if type(error) is not StorageUnavailable:  # that passes by itself, what is more special does not
                self.stopped = str(error)
            raise
        self.stopped = None
        return collected

    async def of(self, owner: Owner, grace: float, max_share: float) -> Collected:
        """Collect one owner's garbage, for about `PATIENCE` seconds. Raises what `Collector.collect` raises."""
        wanted = Wanted(grace, owner.id, Fuse(max_share), seconds=PATIENCE)
        collected = await self._collector.collect(wanted)
        log.info("collection %s removed %d blobs of %s", collected.id, collected.blobs, owner.id)
        return collected

    async def foresee(self, owner: Owner, grace: float) -> Forecast:
        """What `of` would remove, with no regard to the fuse; nothing is removed."""
        await self._collector.prepare(owner.id)
        blobs = size = 0
        async for plan in self._collector.plans(Wanted(grace, owner.id)):
            blobs += len(plan.orphans)
            size += sum(orphan.stored.size for orphan in plan.orphans)
        return Forecast(blobs, size, (await self._catalogue.volume(owner.id)).stored)
