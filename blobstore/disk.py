"""The disk that uploads go to: whether it has room for what they were promised and have not written yet."""

import time

from blobstore.catalogue import Catalogue, Lease
from blobstore.reservation import Reservation
from blobstore.space import Space
from blobstore.staging import Staging
from blobstore.threads import Threads

_COUNTED_SECONDS = 1.0
"""So old may be what is known of how far resumable uploads have come."""


class Disk:
    """Without a `space` nobody asks whether there is room."""

    def __init__(self, space: Space | None, catalogue: Catalogue, staging: Staging, threads: Threads) -> None:
        self._space = space
        self._catalogue = catalogue
        self._staging = staging
        self._threads = threads
        self._under_way: dict[str, Reservation] = {}
        """Of this process alone, by lease."""
        self._kept_bytes = 0
        self._kept_at = -_COUNTED_SECONDS

    async def lacking(self) -> str | None:
        """What there is too little of, in words; None where there is enough to take more."""
        return None if self._space is None else await self._threads.run(self._space.lacking)

    async def require_room(self, more: int = 0) -> None:
        """Raise `OutOfSpace` where there is no room for what uploads have reserved and not written yet, and `more`.

        Of other processes all that they have reserved counts as not written: that is known to them alone.
        """
        if self._space is not None:
            await self.require(await self.promised(await self._catalogue.reserved()) + more)

    async def require(self, promised: int) -> None:
        """Raise `OutOfSpace` where there is no room for so many bytes, whatever others were promised."""
        if self._space is not None:
            await self._threads.run(self.check, promised)

    async def require_for(self, size: int) -> None:
        """Raise `LargerThanRoom` where one upload of `size` would not fit even alone, `OutOfSpace` if none would."""
        if self._space is not None:
            await self._threads.run(self._space.require_for, size)

    def check(self, promised: int) -> None:
        """As `require`, for who is in a thread already."""
        if self._space is not None:
            self._space.require(promised)

    async def promised(self, reserved: int) -> int:
        """Bytes of those that all leases have reserved for which there must be room still."""
        if (now := time.monotonic()) >= self._kept_at + _COUNTED_SECONDS:
            self._kept_at = now
            self._kept_bytes = await self._threads.run(self._staging.kept_bytes)
        written = sum(min(each.written, each.bytes) for each in self._under_way.values())
        return max(0, reserved - written - self._kept_bytes)

    def enter(self, lease: Lease, reservation: Reservation) -> None:
        """An upload is under way: what it has written needs no room any more."""
        self._under_way[lease.id] = reservation

    def leave(self, lease: Lease) -> None:
        """It is not any more. Harmless when called twice."""
        self._under_way.pop(lease.id, None)

    @property
    def uploads(self) -> int:
        """How many are under way."""
        return len(self._under_way)
