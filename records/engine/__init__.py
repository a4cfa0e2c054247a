"""The port to where records live: one owner's records, their links to blobs, and what happened to them.

What holds for every engine (keys, schemas, grants, holding blobs, the spine) is done above. An engine keeps
transactions: each method is one atomic and durable step, and any number of processes may call at once. Engines agree
on every answer, byte for byte.

Raises `StorageUnavailable` when the database does not answer; nothing was written then. What names a connector (or a
partition, or a target, of one) that has left this engine or is not yet here raises `Moved`, whether it reads or
writes; what names none answers for all that is here, marked or not.
"""

from typing import Protocol

from records.engine.changes import NOTHING_OWED, History
from records.engine.erasure import LEAP, Erasure
from records.engine.events import Events
from records.engine.linking import Linkings
from records.engine.links import Links
from records.engine.moving import Moving
from records.engine.reads import Reads
from records.engine.writes import Writes

__all__ = ["LEAP", "NOTHING_OWED", "Engine", "Engines"]


class Engine(Writes, Reads, History, Links, Linkings, Erasure, Moving, Events, Protocol):
    """The records of one owner."""

    def regardless(self) -> "Engine":
        """The same engine, but what is asked through this one takes no notice of marks."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with its files and with counters that disagree with rows; empty when sound."""
        ...

    async def resum(self, *, repair: bool) -> list[str]:
        """Sums that are not what rows add up to, in a sentence each; with `repair` they are set right.

        Work in proportion to all that is kept. Where `check` finds something, this tells nothing more.
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        ...


class Engines(Protocol):
    """Opens the engine of an owner; the topology's one entrance."""

    async def of(self, owner: str) -> Engine:
        """The engine that holds this owner's records; the same object again while it is open."""
        ...

    async def find(self, owner: str) -> Engine | None:
        """As `of`, but makes nothing: None where no engine was ever made, so that there is no record and no link.

        Any text may be asked for.
        """
        ...

    async def close(self) -> None:
        """Close every engine."""
        ...
