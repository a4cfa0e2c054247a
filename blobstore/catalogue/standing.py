"""What each generation stands on: for those who check or count the whole catalogue, in pieces."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from blobstore.backend import ObjectName
from blobstore.catalogue.stored import Stored
from blobstore.digest import Digest


@dataclass(frozen=True, slots=True)
class Standing:
    """A generation and what it stands on: how many hold and claim its blob, and since when it counts as an orphan."""

    stored: Stored
    holders: int
    claims: int
    orphaned_at: float | None


class Standings(Protocol):
    """What checks ask."""

    async def survey(self, after: ObjectName | None, limit: int) -> list[Standing]:
        """As `walk`, each with what it stands on, all seen at one moment."""
        ...

    async def parties(self) -> list[tuple[str, str]]:
        """(namespace, holder) of everyone who holds or claims anything, in order."""
        ...

    async def remark(self, namespace: str, digests: Collection[Digest], now: float) -> None:
        """Set the marks of these right: an orphan that has none becomes one at `now`, one that is used is none."""
        ...
