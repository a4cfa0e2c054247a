"""What happened in the catalogue, on its way to who keeps an audit log."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CatalogueEvent:
    """Something that happened in a namespace; `seq` grows and is never used twice."""

    seq: int
    namespace: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Numbering:
    """An outbox by its numbers: the last that was drained, and the last that was given (0: none)."""

    drained: int
    given: int


class Outbox(Protocol):
    """Events that were not passed on yet."""

    async def outbox(self, limit: int) -> list[CatalogueEvent]:
        """The oldest events that have not been drained; each belongs on its namespace's audit log."""
        ...

    async def numbering(self) -> Numbering:
        """The numbers of the outbox, as they are at one moment."""
        ...

    async def drained(self, seq: int) -> None:
        """Events up to and with `seq` are where they belong."""
        ...
