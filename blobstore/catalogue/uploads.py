"""Leases, and how they become blobs and claims."""

from dataclasses import dataclass
from typing import Protocol

from blobstore.backend import ObjectName
from blobstore.catalogue.stored import Stored
from blobstore.digest import Content
from blobstore.quota import NOTHING_BESIDE, Beside


@dataclass(frozen=True, slots=True)
class Claim:
    """A link declared at upload, before its record has arrived.

    `slot` names the place that will hold the link; `scope` the group of slots that is erased together. Both are
    opaque here. One holder has at most one claim per slot and blob; claiming again renews it.
    """

    holder: str
    scope: str
    slot: str
    media_type: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Lease:
    """Protects bytes on their way. Its id is the generation of the blob that it may become.

    `process` names the staging folder of the process that receives the bytes. `content` is known once all bytes are,
    and `place`, where they go, with it. `reserved` bytes are put aside for it. `slot` is that of the claim that it
    becomes. `copies` is the generation that a move copies under it; then it is no upload's.
    """

    id: str
    namespace: str
    holder: str
    scope: str
    process: str
    expires_at: float
    content: Content | None = None
    reserved: int = 0
    slot: str = ""
    place: int = 0
    copies: str | None = None


class Uploads(Protocol):
    """What is on its way."""

    async def lease(self, lease: Lease, beside: Beside = NOTHING_BESIDE) -> int:
        """Commit the lease and reserve its bytes; only then may its first byte be written. What `reserved` says then.

        Raises `OverQuota` where the limits of its namespace and holder have no room for them beside what is stored
        and reserved at this moment, `LargerThanQuota` where they never had; `Uncounted` where there are limits and
        `beside` is `UNCOUNTED`.
        """
        ...

    async def reserve(self, lease: Lease, size: int, beside: Beside = NOTHING_BESIDE) -> None:
        """Have so many bytes reserved under the lease, no matter how many were before. Raises as `lease`.

        Raises `LeaseLost` when the lease is gone. After an error as many are reserved as before.
        """
        ...

    async def renew(self, process: str, expires_at: float) -> None:
        """Put off the expiry of every lease of one process.

        With it until when bytes may come of leases that were taken from it while it published, and that it has not
        abandoned yet.
        """
        ...

    async def adopt(
        self, lease: Lease, content: Content, claim: Claim, event: bytes | None = None
    ) -> Stored | ObjectName:
        """All bytes are in: claim the live generation of this content if there is one and end the lease (rule P2).

        When none is live, the name to put the bytes under, in the place that is the intake now: it is noted on the
        lease, so that whatever is published there can be found after a crash. Raises `LeaseLost` when the lease is
        gone.

        `event` goes into the outbox in the same step, here where the upload ends, else where it is published.
        """
        ...

    async def publish(
        self, lease: Lease, claim: Claim, now: float, event: bytes | None = None, late_until: float | None = None
    ) -> Stored:
        """The bytes are durable under the lease's generation: turn lease into live blob and claim (rule P3).

        They may come once more, should they be removed, until `late_until`. Where another upload was first, its
        generation is claimed and given back, and this lease's generation is condemned. Raises `LeaseLost` when the
        lease is gone.
        """
        ...

    async def abandon(self, lease: Lease, late_until: float | None = None) -> None:
        """End a lease whose upload failed; the caller has removed its staging file. Absent is no error.

        Where its content was noted, its object may be there: it is condemned, if it is not already because somebody
        took the lease. None of its bytes comes any more, or not after `late_until`; what is said first holds.
        """
        ...
