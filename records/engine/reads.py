"""Records: by key, in pages that continue where the last one ended, counted and summed."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from records.model import Keep, Link, Order, Page, Partition, PartitionStats, Position, StoredRecord
from records.sums import Sums

T = TypeVar("T")


class Reads(Protocol):
    """What is there now."""

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        """The records with one of these keys, in the order of partitions and keys.

        It stops with the record that takes their data beyond `max_bytes`.
        """
        ...

    async def page(
        self,
        partitions: Collection[Partition],
        order: Order,
        after: Position | None,
        limit: int,
        *,
        max_bytes: int | None = None,
        keep: Keep | None = None,
    ) -> Page:
        """Up to `limit` (1 or more) records of all these partitions in one order, from the first beyond `after`.

        Only records that `keep` wants are among them. It may stop early, and tells where it did (see `Page`): after
        looking at some thousand records or some megabytes, or with the record that takes the page's data beyond
        `max_bytes`.
        Ascending: by (sort key, key, partition); descending: present cursor fields first, then absent ones, and
        within each of the two (cursor, key, partition) descending.
        """
        ...

    async def visit(
        self, partitions: Collection[Partition], see: Callable[[Iterable[tuple[StoredRecord, Sequence[Link]]]], T]
    ) -> T:
        """What `see` makes of every record of these partitions, each with its links in the order of their pointers.

        They come one by one in the order of partitions and keys, and all of one connector are seen at one moment, for
        which the engine holds a snapshot: `see` runs on the engine's threads and waits for nobody. What it raises is
        raised here.
        """
        ...

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        """For each of these versions the first record of the partition that has it or a later one, where there is one.

        Each record once, in the order of their versions. What it costs does not depend on how many there are. It stops
        with the record that takes their data beyond `max_bytes`.
        """
        ...

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        """Every partition that was ever written to (of one connector), in constant time each.

        Raises `SourceDown`, with what the others hold, where all are asked for and one does not answer.
        """
        ...

    async def sums(self, connector: str | None = None) -> dict[str, Sums]:
        """Of every connector (or of one) that has a record, what its records are and link, summed up.

        They are kept up to date in the steps that change records and links, never counted. Raises as `stats`.
        """
        ...
