"""Connectors on their way to and from other engines: marks, what is copied, what a copy is made of."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from records.model import Partition
from records.transfer import Item, Mark, Piece, State

T = TypeVar("T")


class Moving(Protocol):
    """What moves do."""

    async def connectors(self) -> list[str]:
        """All of which anything is kept here, in order."""
        ...

    async def marks(self, connector: str | None = None) -> list[Mark]:
        """In the order of connectors; of one (or `transfer.NEW`), where it is named: then no other is asked."""
        ...

    async def mark(self, mark: Mark) -> None:
        """Put the mark on its connector (`transfer.NEW`: all that nothing is kept of), in the place of any it has."""
        ...

    async def unmark(self, connector: str) -> None:
        """Take its mark away: it is served here. None there is no error."""
        ...

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        """What `see` makes of the connector and of all that came to its partitions beyond their versions in `since`.

        Items come one by one in the order of partitions and versions, all as they are at one moment, for which the
        engine holds a snapshot; `see` may stop early, runs on the engine's threads and waits for nobody. What it raises
        is raised here. Marks do not matter.
        """
        ...

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        """`extract`, and in the same step the connector is marked `LEFT`: no change comes after what `see` saw.

        Writers wait meanwhile. What `see` raises undoes it.
        """
        ...

    async def load(self, source: str, piece: Piece) -> bool:
        """Add a piece to the copy of its connector, which is marked `COMING` in the same step.

        False, and nothing done, where it does not go on from what is here, or is from before a disturbance that the
        copy, or a `discard`, knows of. Loading a piece again, also an older one, changes nothing. Raises `ValueError`
        when the connector is served here.
        """
        ...

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        """Remove up to about `limit` rows of a connector that is not served here; True when nothing of it is left.

        Until then no piece is loaded, and then none from before so many disturbances. Its mark stays; without one it is
        marked `COMING`. Call `sanitize` after. Raises `ValueError` when the connector is served here.
        """
        ...
