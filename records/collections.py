"""Collections: garbage of everybody, in ticks or at once, or of one owner; what went is on its owner's spine."""

import logging
from pathlib import Path

from blobstore.catalogue import Removal
from blobstore.errors import BlobError, StorageUnavailable
from blobstore.gc import Collected, Collector, Told, Wanted
from blobstore.sqlitefile import try_file_lock
from records import spine
from records.erasure import Erasures
from records.errors import RecordError

log = logging.getLogger(__name__)


def removal_event(removal: Removal) -> bytes | None:
    """What the spine says of removed blobs; nothing of an erasure's, which has an event of its own."""
    kind, _, collection = removal.reason.partition(" ")
    if kind == "erasure":
        return None
    facts = {"reason": kind, "blobs": removal.blobs, "bytes": removal.bytes}
    return spine.body("blob.remove", facts | ({"collection": collection} if collection else {}))


class Collections:
    """Collects one store. `stopped` says why the last tick of this process was stopped, and waits for
    somebody to look at it; None: it was not."""

    def __init__(self, lock: Path, collector: Collector, erasures: Erasures) -> None:
        self._lock = lock
        self._collector = collector
        self._erasures = erasures
        self.stopped: str | None = None

    async def run(self, wanted: Wanted, told: Told | None = None) -> Collected:
        """Collect, also while others do; finish erasures that were cut off. Raises what `Collector.collect` raises."""
        await self._erasures.resume()
        collected = await self._collector.collect(wanted, told)
        if collected.blobs or collected.debris or collected.expired:
            log.info(
                "collection %s removed %d blobs (%d bytes) and %d staging files; %d claims and leases had expired",
                *(collected.id, collected.blobs, collected.bytes, collected.debris, collected.expired),
            )
        return collected

    async def tick(self, wanted: Wanted) -> Collected:
        """As `run`, for the background: does nothing while another process is at it, and remembers why it stopped."""
        with try_file_lock(self._lock) as locked:
            if not locked:
                return Collected()
            try:
                collected = await self.run(wanted)
            except (BlobError, RecordError) as error:
                if type(error) is not StorageUnavailable:  # that passes by itself, what is more special does not
                    self.stopped = str(error)
                raise
            self.stopped = None
            return collected
