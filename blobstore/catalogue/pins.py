"""Pins: who copies what is stored, and so holds garbage back."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pin:
    """A process copies what is stored in `namespace` (None: in all): its garbage stays until then (UTC seconds).

    `process` is the staging folder of that process, as in a `Lease`: with it ends the pin.
    """

    id: str
    namespace: str | None
    process: str
    expires_at: float


class Pins(Protocol):
    """What keeps collection from condemning garbage."""

    async def pin(self, pin: Pin) -> None:
        """From here on no garbage of its namespace is condemned, until `unpin`, or an `expire` after its time or end.

        What was live before this, and is not erased, quarantined or healed meanwhile, keeps its bytes. Pinning again
        with the same id renews it, also where it had expired.
        """
        ...

    async def unpin(self, pin: str) -> None:
        """Its copy is made. Absent is no error."""
        ...

    async def pins(self) -> list[Pin]:
        """Every pin in the order of ids; expired ones until `expire` has dropped them."""
        ...
