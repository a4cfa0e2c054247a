"""The leases of this process: made, renewed while it lives, and ended, also where the catalogue did not answer."""

import asyncio
import secrets
import time
from contextlib import suppress

from blobstore.backend import LATE_SECONDS
from blobstore.catalogue import Catalogue, Lease
from blobstore.errors import BlobError

LEASE_SECONDS = 300.0
RENEW_SECONDS = 60.0


class Leases:
    """Those of one process."""

    def __init__(self, catalogue: Catalogue, process: str) -> None:
        self._catalogue = catalogue
        self._process = process
        self._unended: set[Lease] = set()
        self._late: dict[str, float] = {}
        """Until when bytes may come of a lease that is not ended yet."""
        self._renewal: asyncio.Task[None] | None = None

    def new(self, namespace: str, holder: str = "", scope: str = "", slot: str = "") -> Lease:
        """One that nobody has committed yet. From here on those of this process are renewed, until `stop`."""
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        expires_at = time.time() + LEASE_SECONDS
        return Lease(secrets.token_hex(16), namespace, holder, scope, self._process, expires_at, slot=slot)

    async def end(self, lease: Lease) -> None:
        """End that of an upload that failed; where the catalogue does not answer, the renewal tries again."""
        self._unended.add(lease)
        await self._catalogue.abandon(lease, self._late.get(lease.id))
        self._unended.discard(lease)
        self.forget(lease)

    def forget(self, lease: Lease) -> None:
        """It has ended by other means."""
        self._late.pop(lease.id, None)

    def expect_late(self, lease: Lease) -> None:
        """Bytes of it may come from now on, though nobody here is at it any more."""
        self._late[lease.id] = time.time() + LATE_SECONDS

    def late_until(self, lease: Lease) -> float | None:
        """Until when bytes of it may come that nobody waits for; None where they do not, or it has ended."""
        return self._late.get(lease.id)

    def stop(self) -> None:
        """Renew none any more."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            # An upload whose renewal fails is fenced off in time; the next round may still save it.
            with suppress(BlobError):
                for lease in list(self._unended):
                    await self.end(lease)
                await self._catalogue.renew(self._process, time.time() + LEASE_SECONDS)
