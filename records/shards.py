"""Shards: the physical places where the records of an owner's connectors live, as the central store knows them.

A shard is never used twice: one that a connector has left is not given to anybody again, so whoever still has the old
one open finds out. Which shards wait for something to be done is known without asking them. A process *wakes* a shard
before it writes there, and brings it to *rest* when its events are on the spine; what is left to do then is told with
it. A shard at rest is written to by nobody, whatever crashed: its number says so, in the central store and in the
shard (`records.engines.sharded`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAIN = "main"
"""The shard of an owner where connectors without a home of their own live, where the topology has such a place."""

RECORDS = "records"
"""The outbox of `MAIN`, as a source of the spine."""


def source_of(shard: str) -> str:
    """The outbox of a shard, as a source of the spine."""
    return RECORDS if shard == MAIN else f"{RECORDS}/{shard}"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to do in a shard that came to rest.

    `notes`: blobs that lost their last link wait for their release. `stale`: its files may show what was removed.
    `oldest`: since when (UTC seconds) it remembers what was superseded; None when it remembers nothing. `holds` is what
    its partitions hold, in its engine's words, so that nobody need ask it; None where that is not told.
    """

    notes: bool = False
    stale: bool = False
    oldest: float | None = None
    holds: bytes | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """The shard of one connector. `number`: how often it was woken; `left`: None while it is awake."""

    shard: str
    number: int
    left: Left | None = None


@dataclass(frozen=True, slots=True)
class Shards:
    """Where an owner's records live: the topology, once it is known, and the home of each connector that has one.

    `revision` goes up with every change of this.
    """

    topology: str | None = None
    homes: Mapping[str, Home] = field(default_factory=dict)
    revision: int = 0
