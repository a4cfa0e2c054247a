"""Where bytes live, and how they move from one place to another."""

from collections.abc import Mapping
from typing import Protocol

from blobstore.backend import ObjectName
from blobstore.catalogue.stored import Stored
from blobstore.catalogue.uploads import Lease
from blobstore.place import Contents, Place


class Places(Protocol):
    """The places of a store."""

    async def first_place(self, location: str, options: Mapping[str, str]) -> list[Place]:
        """Where no place is known yet, this is the first, and the intake. As `places`."""
        ...

    async def places(self) -> list[Place]:
        """Every place in the order of ids."""
        ...

    async def take_in(self, location: str, options: Mapping[str, str], now: float) -> Place:
        """From here on new bytes go there, whoever receives them; the place is made where it is not known."""
        ...

    async def elsewhere(self, place: int, after: ObjectName | None, limit: int) -> list[Stored]:
        """Live generations whose bytes are not in that place, in the order of names, from the first above `after`."""
        ...

    async def copy(self, lease: Lease, of: ObjectName) -> ObjectName | None:
        """Commit a lease for a copy of this generation, and say under which name to put it: its place is the intake.

        What is to be written is known, and noted, from the start. None, and no lease, where the generation is not
        live, or in the intake already.
        """
        ...

    async def moved(self, lease: Lease, now: float, kept_until: float, late_until: float | None = None) -> bool:
        """The copy is durable and verified: where what it was made of is live still, it is live instead.

        `late_until` as in `publish`. The other is condemned then, and kept until the time given; holders, claims and
        marks stay as they are. Else the copy is condemned, and this is False. Raises `LeaseLost` when the lease is
        gone.
        """
        ...

    async def gather(self, location: str, options: Mapping[str, str]) -> None:
        """All bytes are in this one place now, whatever was known before: for who restores a store elsewhere."""
        ...

    async def shorten(self, until: float) -> None:
        """What moves left behind is kept until then at the most (UTC seconds)."""
        ...

    async def contents(self) -> list[Contents]:
        """What is in each place, in the order of (place, state, kept). Work in proportion to all blobs."""
        ...

    async def leave_places(self, before: float) -> list[Place]:
        """Forget places that ceased to be the intake before then, and in which nothing is or may come; which those are.

        Work in proportion to all blobs, and none where only one place is known.
        """
        ...
