"""Which blobs a target of an erasure links, and what else links them."""

from collections.abc import Collection
from typing import Protocol

from blobstore.digest import Digest
from records.model import Linking, Partition, PlacedLink, Target


class Linkings(Protocol):
    """What previews ask."""

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        """Of each blob that the target links the first link in it, in the order of (partition, key, pointer), beyond
        `after`."""
        ...

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        """Which partitions of the target's connector link these blobs, in the order of digests and partitions."""
        ...
