"""Questions to the catalogue; nothing here changes it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from blobstore.backend import ObjectName
from blobstore.catalogue.holders import Holder
from blobstore.catalogue.stored import Stored
from blobstore.catalogue.uploads import Claim, Lease
from blobstore.digest import Digest


@dataclass(frozen=True, slots=True)
class ClaimedBlob:
    """A claim and the blob that it claims."""

    digest: Digest
    claim: Claim


@dataclass(frozen=True, slots=True)
class Gone:
    """What is remembered of a removed generation: enough to explain it, nothing of its content."""

    name: ObjectName
    size: int
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Totals:
    """What a namespace holds, in blobs and bytes; live generations only, each counted once.

    `shared_bytes` is what those who hold a blob together would take in addition if each of them had a copy of its own.
    """

    blobs: int
    bytes: int
    orphan_blobs: int
    orphan_bytes: int
    shared_bytes: int


class Questions(Protocol):
    """What there is, and who has it."""

    async def find(self, namespace: str, digest: Digest) -> Stored | None:
        """The live generation."""
        ...

    async def live(self, namespace: str, digests: Collection[Digest]) -> list[Stored]:
        """The live generations of these blobs, in the order of their digests; those without any are left out."""
        ...

    async def find_sha256(self, namespace: str, sha256: bytes) -> Stored | None:
        """The live generation of the blob with this SHA-256."""
        ...

    async def generations(self, namespace: str, digest: Digest) -> list[Stored]:
        """All generations that still exist in any state."""
        ...

    async def holders_of(self, namespace: str, digest: Digest) -> list[Holder]:
        """Everyone who holds the blob."""
        ...

    async def claims_of(self, namespace: str, digest: Digest) -> list[ClaimedBlob]:
        """Every claim on the blob."""
        ...

    async def claims_by(
        self, namespace: str, holder: str, limit: int, after: tuple[str, Digest] | None = None
    ) -> list[ClaimedBlob]:
        """A holder's claims in the order of (slot, digest), from the first above `after`."""
        ...

    async def gone(self, namespace: str, digest: Digest) -> list[Gone]:
        """What is remembered of removed generations of the blob."""
        ...

    async def removed(self, namespace: str, reason: str, after: ObjectName | None, limit: int) -> list[Gone]:
        """What is remembered of generations removed for this reason, in the order of names, from above `after`."""
        ...

    async def walk(self, after: ObjectName | None, limit: int) -> list[Stored]:
        """Every generation in the order of names, from the first above `after`."""
        ...

    async def stalest(self, before: float, limit: int) -> list[Stored]:
        """Live generations last verified before `before`, stalest first."""
        ...

    async def held(self, namespace: str, holder: str, after: Digest | None, limit: int) -> list[Holder]:
        """A holder's rows in the order of digests, from the first above `after`."""
        ...

    async def leases(self, ids: Collection[str] | None = None) -> list[Lease]:
        """Every lease there is, or those of them that have one of these ids."""
        ...

    async def totals(self, namespace: str) -> Totals:
        """What the namespace holds; kept up to date, never summed up."""
        ...
