"""Whether there is room for what is coming: by the quotas of its owner and its connector, and on the disk.

A quota counts records (their JSON text) and blobs together. The catalogue knows blobs and what uploads under way have
reserved; records are counted by their engine and told to the catalogue with each question, so that no number is kept
in two places. Uploads are therefore exact however many come at once; batches of records that are stored at the same
moment may together exceed a quota by what they hold, for each of them is asked about before it is committed.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from blobstore.catalogue import Catalogue
from blobstore.quota import WHOLE, Beside, require_room
from records.engine import Engines
from records.errors import SourceDown
from records.model import Partition, PartitionStats


@dataclass(frozen=True, slots=True)
class Use:
    """What counts against one quota, in bytes; `limit` None: there is none."""

    limit: int | None
    records: int
    blobs: int
    reserved: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.records + self.blobs + self.reserved


class Room:
    """Asks the catalogue, the engine and the disk. `disk` raises `OutOfSpace` where it is too full to take any more."""

    def __init__(
        self, catalogue: Catalogue, engines: Engines, disk: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._catalogue = catalogue
        self._engines = engines
        self._disk = disk
        self._last: dict[str, Mapping[str, int]] = {}
        """Bytes of records by connector, of each owner, when they were last counted."""

    async def require(self, owner: str, connector: str, more: int) -> None:
        """Raise `OverQuota`, or another `OutOfSpace`, where `more` bytes of records have no room.

        None are always let in: what only deletes must never be stopped by a lack of room.
        """
        if not more:
            return
        if self._disk is not None:
            await self._disk()
        if await self._catalogue.limits():
            beside = await self.beside(owner, connector)
            for holder in (connector, WHOLE):
                require_room(await self._catalogue.volume(owner, holder), more, beside)

    async def use(self, owner: str, connector: str = WHOLE) -> Use:
        """What an owner (`WHOLE`), or one connector of theirs, keeps."""
        volume = await self._catalogue.volume(owner, connector)
        beside = _beside(await self._counted(owner), connector)
        return Use(volume.limit, beside.of(connector), volume.stored, volume.reserved)

    async def beside(self, owner: str, connector: str) -> Beside:
        """What counts beside blobs, as counted now; of connectors that do not answer, what they had when they last did.

        Nothing is written to those, so what counts too little is bounded by what they hold, and others go on; as soon
        as they answer all of it counts again.
        """
        last = self._last.get(owner, {})
        try:
            counts = await self._counted(owner)
        except SourceDown as error:
            counts = {**last, **_counts(error.others or {})}
        self._last[owner] = counts
        return _beside(counts, connector)

    async def _counted(self, owner: str) -> Mapping[str, int]:
        return _counts(await (await self._engines.of(owner)).stats())


def _counts(stats: Mapping[Partition, PartitionStats]) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for place, each in stats.items():
        counts[place.connector] += each.bytes
    return counts


def _beside(counts: Mapping[str, int], connector: str) -> Beside:
    return Beside(sum(counts.values()), counts.get(connector, 0))
