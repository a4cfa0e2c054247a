"""The room that one upload has: reserved before its bytes are written, so that many together never overshoot."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from blobstore.catalogue import Catalogue, Lease
from blobstore.errors import OutOfSpace, OverQuota
from blobstore.quota import NOTHING_BESIDE, UNCOUNTED, Beside, Uncounted

T = TypeVar("T")

Count = Callable[[], Awaitable[Beside]]
"""Says what is kept beside blobs."""

FIRST_STEP = 256 << 10
"""Bytes reserved for a body whose length is not known: most never need more."""

MIN_STEP = 8 << 20
MAX_STEP = 256 << 20
"""Bounds of what is reserved ahead once a body has outgrown its room: as much again as has come, so steps are few."""


async def nothing_beside() -> Beside:
    """For who keeps nothing but blobs."""
    return NOTHING_BESIDE


class _Disk(Protocol):
    async def require_room(self) -> None:
        """Raise `OutOfSpace` where the disk has no room for everything that is reserved."""
        ...


class Reservation:
    """Reserves room under an upload's lease. It is given back with the lease, however that ends.

    `written` are the bytes that have reached the disk: they need no free space any more. `covered`: other leases have
    reserved what comes under this one, which reserves nothing.
    """

    def __init__(self, catalogue: Catalogue, disk: _Disk, lease: Lease, count: Count, *, covered: bool = False) -> None:
        self._catalogue = catalogue
        self._disk = disk
        self._lease = lease
        self._count = count
        self._covered = covered
        self._beside = UNCOUNTED
        self.written = 0

    @property
    def bytes(self) -> int:
        """What is reserved."""
        return self._lease.reserved

    async def begin(self, size: int | None) -> int:
        """Commit the lease, with room for `size` bytes (None: not known); what all leases have reserved then.

        Whether the disk has so much is not asked here. Raises `OverQuota`.
        """
        if self._covered:
            size = 0
        self._lease = replace(self._lease, reserved=FIRST_STEP if size is None else size)
        try:
            return await self._ask(self._catalogue.lease, self._lease)
        except OverQuota:
            if size is not None:
                raise
            # Not even the first step fits: perhaps what comes does.
            self._lease = replace(self._lease, reserved=0)
            return await self._ask(self._catalogue.lease, self._lease)

    async def cover(self, received: int) -> None:
        """Have room for all bytes that came so far, before they are written. Raises as `begin`, and `LeaseLost`."""
        if received <= self.bytes or self._covered:
            return
        try:
            await self._grow(received + min(MAX_STEP, max(MIN_STEP, received)))
        except OutOfSpace:
            # The step does not fit: perhaps what has come does.
            await self._grow(received)

    async def account(self, size: int) -> None:
        """Have bytes counted that are on the disk already. Raises `OverQuota`, `LeaseLost`."""
        self.written = size
        await self._ask(self._catalogue.reserve, self._lease, size)
        self._lease = replace(self._lease, reserved=size)

    async def _grow(self, size: int) -> None:
        await self._ask(self._catalogue.reserve, self._lease, size)
        self._lease = replace(self._lease, reserved=size)
        await self._disk.require_room()

    async def _ask(self, question: Callable[..., Awaitable[T]], *parameters: object) -> T:
        """With what is kept beside blobs, which is counted only if a limit applies."""
        try:
            return await question(*parameters, self._beside)
        except Uncounted:
            self._beside = await self._count()
            return await question(*parameters, self._beside)
