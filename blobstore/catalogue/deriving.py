"""What was made of blobs: kept while they are there, and no more than so many."""

from typing import Protocol

from blobstore.derived import MOST, Derived
from blobstore.digest import Digest


class Deriving(Protocol):
    """What is kept beside blobs."""

    async def keep_derived(self, namespace: str, digest: Digest, derived: Derived, most: int = MOST) -> None:
        """Keep what was made of a blob, in place of what was of this kind; nothing where no generation is live.

        It goes with the blob (`condemn`); of a namespace that keeps more than `most` the oldest go at once.
        """
        ...

    async def derived(self, namespace: str, digest: Digest, kind: str) -> Derived | None:
        """What is kept of this kind; None where there is none, or no generation is live."""
        ...
