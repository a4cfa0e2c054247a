"""The owners' spines, and the checkpoints that were signed of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class About:
    """What an event of the spine is about, to be found by it: a disclosure names a grant, a connector, maybe a blob."""

    grant: str | None = None
    connector: str | None = None
    blob: str | None = None

    def covers(self, noted: "About") -> bool:
        """Whether what was noted is about all that this names."""
        pairs = ((self.grant, noted.grant), (self.connector, noted.connector), (self.blob, noted.blob))
        return all(wanted in (None, said) for wanted, said in pairs)


@dataclass(frozen=True, slots=True)
class SpineEvent:
    """One link of an owner's audit chain: `hash` covers the other four members (`records.audit.spine`)."""

    seq: int
    at: str
    body: bytes
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was signed of an owner's spine when event `seq` was its head; `document` is JSON text, without content."""

    seq: int
    made_at: str
    document: bytes


class Chain(Protocol):
    """The spine of each owner."""

    async def append(self, owner: str, source: str, events: Sequence[tuple[int, bytes]], now: str) -> int:
        """Chain the bodies of one outbox to the owner's spine; how many were new.

        `source` names the outbox, the integers are its sequence numbers: those not above what this source has
        delivered already are skipped, so delivering again is harmless (exactly once). They rise within `events`; an
        outbox whose numbers start again needs another name. All of it is chained, or nothing.
        """
        ...

    async def note(self, owner: str, event: bytes, now: str, about: About) -> None:
        """Chain one event by itself, to be found later by what it is about; durable when this returns."""
        ...

    async def noted(self, owner: str, about: About, after: int, limit: int) -> list[SpineEvent]:
        """Events that were noted about all that `about` names (nothing: every noted one), beyond `after`, in order."""
        ...

    async def delivered(self, owner: str, source: str) -> int:
        """The number of the last event that this source delivered; 0 when there is none, also for nobody's id."""
        ...

    async def spine(self, owner: str, after: int, limit: int) -> list[SpineEvent]:
        """Events beyond `after` (0: from the first) in their order."""
        ...

    async def spine_head(self, owner: str) -> SpineEvent | None:
        """The newest event; None before the first."""
        ...

    async def chained(self, owner: str) -> int:
        """How many events were ever chained: more than the head's `seq` when the spine has lost its end."""
        ...

    async def add_checkpoint(self, owner: str, checkpoint: Checkpoint) -> None:
        """Keep it; durable when this returns. An event has one at most: where it has one, that one stays."""
        ...

    async def newest_checkpoint(self, owner: str) -> Checkpoint | None:
        """The one of the latest event that has any."""
        ...

    async def checkpoints(self, owner: str, after: int, limit: int) -> list[Checkpoint]:
        """Those of events beyond `after` (0: from the first), in the order of their events."""
        ...

    async def delivered_by(self, source: str) -> int:
        """The highest number that this source delivered to any owner; 0 when there is none."""
        ...
