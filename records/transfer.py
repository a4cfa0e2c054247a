"""The whole of a connector in an engine as neutral values: what it takes to be the same in another engine.

That is more than its records: versions, floors, epochs, tombstones with their times, what is remembered of the past,
and how far erasures have come cannot be made again from anything else.

A copy is made in *pieces* while writers go on. Every change gives its key the next version of its partition, so what
came after a version is what stands above it: records, tombstones and remembered states each have the version that
made them, and a piece holds those of each partition from where the last piece ended. What is in the copy already and
was changed since comes once more in a later piece, and takes the place of what it was. So the copy itself says how
far it has come: by the versions of its partitions.

Some changes make no version: what an erasure takes, links that are mended, a leap. They count as *disturbances*; a
copy that was begun before one is thrown away and begun again. So it is with a partition whose floor rose above what
was copied of it: what was forgotten may have been a deletion.

While a connector moves, *marks* in both engines say so, so that nobody writes where it has left, or reads what is not
yet there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from blobstore.digest import Digest
from records.model import Link, Partition, PartitionStats, StoredRecord, Tombstone

NEW = ""
"""In a mark: every connector of which nothing is kept here yet. No connector has this name."""

CONDEMNED = 1 << 62
"""Added to the disturbances that a copy knows of, which never are so many, while it is discarded: no piece fits it."""


class Stage(StrEnum):
    """How far a move has come, as one engine sees it."""

    LEAVING = "leaving"
    """It is being copied; it is served here as ever."""
    LEFT = "left"
    """It is served elsewhere: whoever names it here is told that it has moved."""
    COMING = "coming"
    """A copy of it is being made here, and is not served yet."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A connector that moves; `other` says where to, or where from, in words of the one who marks."""

    connector: str
    stage: Stage
    other: str

    @property
    def away(self) -> bool:
        """Whether the connector is not served here."""
        return self.stage is not Stage.LEAVING


@dataclass(frozen=True, slots=True)
class Held:
    """A record that is there, with its links in the order of their pointers."""

    record: StoredRecord
    links: tuple[Link, ...]

    @property
    def partition(self) -> Partition:
        """Where it is."""
        return self.record.partition

    @property
    def version(self) -> int:
        """The one that made it."""
        return self.record.version

    @property
    def size(self) -> int:
        """Its bytes, about."""
        return len(self.record.data) + 100 * len(self.links)


@dataclass(frozen=True, slots=True)
class Grave:
    """A tombstone, and when it was made (UTC seconds)."""

    partition: Partition
    tombstone: Tombstone
    at: int

    @property
    def version(self) -> int:
        """The one that made it."""
        return self.tombstone.version

    @property
    def size(self) -> int:
        """Its bytes, about."""
        return len(self.tombstone.key)


@dataclass(frozen=True, slots=True)
class Past:
    """A state that was superseded at a time (UTC seconds): the key's from version `began` until `version`.

    `remembered` is None of a tombstone's; of a record's that was `erased` since, it is what may stay.
    """

    partition: Partition
    key: str
    began: int
    version: int
    at: int
    erased: bool
    remembered: bytes | None

    @property
    def size(self) -> int:
        """Its bytes, about."""
        return len(self.key) + len(self.remembered or b"")


Item = Held | Grave | Past
"""What has a version of its own. A state that ended and what took its place have the same: the former comes first."""


@dataclass(frozen=True, slots=True)
class State:
    """The rest of a connector, which is little, as it was at one moment.

    `epochs`: by instance and stream, None stands for all; what was never raised is missing. `erased`: how many records
    each erasure took from which partition; `finished`: erasures that are over, with their instance (None: all).
    `base` is the engine's: the version at which partitions begin.
    """

    connector: str
    partitions: Mapping[Partition, PartitionStats]
    epochs: Mapping[tuple[str | None, str | None], int]
    release_epoch: int
    unlinked: Sequence[Digest]
    erased: Mapping[str, Mapping[Partition, int]]
    finished: frozenset[tuple[str, str | None]]
    base: int
    disturbances: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a connector: of each partition in `reached` all that came after its version in `since` (0 where it has
    none) and up to the version that stands in `reached`. `whole`: with it a copy is as its source was at that moment.
    """

    state: State
    since: Mapping[Partition, int]
    items: Sequence[Item]
    reached: Mapping[Partition, int]
    whole: bool

    def goes_on_from(self, copied: Mapping[Partition, PartitionStats]) -> bool:
        """Whether a copy that has come so far may take it: no gap lies between, and no forgotten deletion."""
        return all(
            start <= (0 if there is None else there.version) and not _forgot(there, self.state.partitions[partition])
            for partition in self.reached
            for start, there in [(self.since.get(partition, 0), copied.get(partition))]
        )

    def news(self, copied: Mapping[Partition, PartitionStats]) -> dict[Partition, int]:
        """How far the partitions come that the copy has not come so far with."""
        return {
            partition: version
            for partition, version in self.reached.items()
            if partition not in copied or copied[partition].version < version
        }


def _forgot(there: PartitionStats | None, now: PartitionStats) -> bool:
    return there is not None and there.floor < now.floor and there.version < now.floor


def taking(
    since: Mapping[Partition, int], limit: int | None = None, max_bytes: int | None = None
) -> Callable[[State, Iterable[Item]], Piece]:
    """For `Engine.extract`: a piece of about so many items and bytes, at least one version of one partition."""

    def take(state: State, items: Iterable[Item]) -> Piece:
        taken: list[Item] = []
        size = 0
        for item in items:
            full = (limit is not None and len(taken) >= limit) or (max_bytes is not None and size >= max_bytes)
            if full and (item.partition, item.version) != (taken[-1].partition, taken[-1].version):
                reached = {place: of.version for place, of in state.partitions.items() if place < item.partition}
                if item.partition == taken[-1].partition:
                    reached[item.partition] = taken[-1].version
                return Piece(state, since, taken, reached, whole=False)
            taken.append(item)
            size += item.size
        return Piece(state, since, taken, {place: of.version for place, of in state.partitions.items()}, whole=True)

    return take
