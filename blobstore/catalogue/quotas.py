"""Limits, what counts against them, and the room that leases have reserved."""

from typing import Protocol

from blobstore.quota import WHOLE, Limit, Volume


class Quotas(Protocol):
    """What may be stored, and what is."""

    async def limit(self, limit: Limit) -> None:
        """Set a limit, in place of the one that names the same. What is stored already stays, whatever it exceeds."""
        ...

    async def unlimit(self, namespace: str, holder: str) -> bool:
        """Take away the limit that names these; False where there is none."""
        ...

    async def limits(self) -> list[Limit]:
        """Every limit, in the order of namespaces and holders."""
        ...

    async def volume(self, namespace: str, holder: str = WHOLE) -> Volume:
        """What counts against the quota of a namespace, or of a holder in it; kept up to date, never summed up."""
        ...

    async def volumes(self) -> list[Volume]:
        """Those that have anything stored or reserved, without their limits, in the order of namespaces and holders."""
        ...

    async def reserved(self) -> int:
        """Bytes that all leases together have reserved."""
        ...

    async def recount(self, *, repair: bool) -> list[Volume]:
        """Volumes that are not what their rows add up to, as they should be; with `repair` they are set right.

        Likewise totals: where only they are wrong, the volume of their whole namespace stands for them.
        """
        ...
