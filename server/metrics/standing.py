"""How the store stands: asked when somebody reads metrics, remembered for half a minute, and never waited for long.

The catalogue keeps up to date what is asked here, or has an index for it: nothing grows with records or stored blobs,
only with orphans that wait for collection.
"""

import asyncio
import os
import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from records.store import RecordStore
from server import logs

GOOD_FOR = 30.0
"""Seconds for which an answer is given again."""

WITHIN = 5.0
"""Seconds that the store gets to answer. Without an answer nothing is said: an old one would look like a new one."""

FAMILIES = {
    "stored_bytes": "Bytes of all stored blobs, each counted once.",
    "orphan_blobs": "Stored blobs that nobody holds: collection removes them after the time of grace.",
    "orphan_bytes": "The bytes of these.",
    "reserved_bytes": "Room that uploads under way have reserved.",
    "uploads_under_way": "Uploads that have begun and not ended, of all servers, and copies of blobs that move.",
    "oldest_verification_timestamp_seconds": "When the stored byte was hashed that was hashed longest ago (Unix time).",
    "spine_undelivered_events": "Events of blobs that are not on their owners' spines yet.",
    "erasures_under_way": "Erasures that were begun and are not complete.",
    "disk_free_bytes": "Free bytes of the data directory's disk.",
    "disk_size_bytes": "All bytes of the data directory's disk.",
    "disk_free_inodes": "Free inodes of the data directory's disk; none where the file system counts none.",
}

_NOTHING: dict[str, float] = {}


class Standing:
    """Asks one store; however many read at once, it is asked once."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._known = _NOTHING
        self._good_until = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def values(self) -> dict[str, float]:
        """By the names of `FAMILIES`; those are left out that nobody answers."""
        if time.monotonic() >= self._good_until:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            await asyncio.wait([self._asking], timeout=WITHIN)
        fresh = self._known if time.monotonic() < self._good_until else _NOTHING
        return fresh | await asyncio.to_thread(self._disk)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        catalogue = self._store.blobs.catalogue
        try:
            orphans = await catalogue.forecast(None, time.time())
            numbering = await catalogue.numbering()
            known: dict[str, float] = {
                "stored_bytes": orphans.stored,
                "orphan_blobs": orphans.blobs,
                "orphan_bytes": orphans.bytes,
                "reserved_bytes": await catalogue.reserved(),
                "uploads_under_way": len(await catalogue.leases()),
                "spine_undelivered_events": numbering.given - numbering.drained,
                "erasures_under_way": len(await self._store.central.unfinished_erasures()),
            }
            for stalest in await catalogue.stalest(time.time(), 1):
                known["oldest_verification_timestamp_seconds"] = stalest.verified_at
            self._known, self._good_until = known, time.monotonic() + GOOD_FOR
        except Exception:
            logs.log.warning("metrics: the store does not say how it stands", exc_info=True)
        finally:
            self._asking = None

    def _disk(self) -> dict[str, float]:
        try:
            disk = os.statvfs(self._store.directory)
        except OSError:
            return _NOTHING
        free: dict[str, float] = {
            "disk_free_bytes": disk.f_bavail * disk.f_frsize,
            "disk_size_bytes": disk.f_blocks * disk.f_frsize,
        }
        return free | ({"disk_free_inodes": disk.f_favail} if disk.f_files else {})


class Answered:
    """What was answered, as a collector of prometheus_client; `checks` are those of readiness, by part."""

    def __init__(self, known: dict[str, float], checks: dict[str, bool]) -> None:
        self._known = known
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """The families that have a value."""
        for name, value in self._known.items():
            yield GaugeMetricFamily(f"blobstore_{name}", FAMILIES[name], value)
        ready = GaugeMetricFamily("blobstore_ready", READY, labels=["part"])
        for part, good in self._checks.items():
            ready.add_metric([part], float(good))
        yield ready


READY = "1 where this part of the server that was asked can do its work, as `GET /readyz` says it."
