"""The two ends of a move: what a database must be able to do to give a store away, and to take one in."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from blobstore.moving.section import Row, Section


@dataclass(frozen=True, slots=True)
class Change:
    """A row of a section that is copied ahead was written or went; the same row may have many."""

    number: int
    section: str
    key: Row


class Reading(Protocol):
    """Rows as they are at one moment."""

    async def page(self, section: Section, after: Row | None, limit: int) -> list[Row]:
        """Rows in the order of their keys, beyond `after`."""
        ...

    async def rows(self, section: Section, keys: Sequence[Row]) -> list[Row]:
        """Those of the rows with these keys that are there."""
        ...

    async def all(self, section: Section) -> list[Row]:
        """Every row, in the section's order."""
        ...

    async def changes(self, limit: int) -> list[Change]:
        """What has changed since `watch`, and was not settled, oldest first."""
        ...


class Source(Reading, Protocol):
    """Who gives a store away. Each method of `Reading` sees a moment of its own here."""

    async def moved(self) -> str | None:
        """Where the store has moved to; None while it is here."""
        ...

    async def watch(self) -> None:
        """From here on changes are noted; those of an earlier move are forgotten."""
        ...

    async def unwatch(self) -> None:
        """No changes are noted any more. Harmless when none were."""
        ...

    async def settle(self, changes: Collection[Change]) -> None:
        """These were dealt with."""
        ...

    async def one_moment(self, work: Callable[[Reading], Awaitable[None]]) -> None:
        """Run `work` on one moment's view, without keeping anybody waiting."""
        ...

    async def leave(self, work: Callable[[Reading], Awaitable[bool]], place: str) -> bool:
        """Run `work` while nobody writes; where it is true the store has moved to `place`, from that moment on.

        Readers go on. `work` may run several times. What `work` raises leaves all as it was.
        """
        ...


class Taking(Reading, Protocol):
    """A transaction of who takes a store in."""

    async def put(self, section: Section, keys: Collection[Row], rows: Sequence[Row]) -> None:
        """In place of what these keys name, these rows."""
        ...

    async def clear(self, sections: Sequence[Section]) -> None:
        """Take away all rows of these sections, the last section first."""
        ...

    async def add(self, section: Section, rows: Sequence[Row]) -> None:
        """Add rows to a section that has been cleared, in their order."""
        ...


class Target(Reading, Protocol):
    """Who takes a store in."""

    async def prepare(self) -> None:
        """Make an empty place; what is left of a move that was cut off goes.

        Raises `WrongStore` where another store is there: one that never moved away.
        """
        ...

    async def take(self, work: Callable[[Taking], Awaitable[None]]) -> None:
        """Run `work` in one transaction; durable when this returns. `work` may run several times."""
        ...

    async def faults(self) -> list[str]:
        """What is not sound about what has been taken in."""
        ...

    async def arrived(self) -> None:
        """It is served from here now; to prepare this place again would be wrong. Harmless when called twice."""
        ...


class Side(Source, Target, Protocol):
    """Either end of a move."""

    async def serves(self) -> bool:
        """Whether the store is here, and has come as a whole."""
        ...

    async def remove(self) -> None:
        """Remove, durably, what is left of a store that has moved away, or of a copy that was cut off.

        Raises `WrongStore` where the store is here.
        """
        ...

    async def close(self) -> None:
        """Harmless when called twice."""
        ...
