"""One page of many shards: their records merged in the port's order, opening only those that give some.

Of each shard the next records beyond some place are read ahead, as a *run*; while the shard rests, the run is
remembered. A page then needs of most shards no more than to know that their next record lies beyond it.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from records.engines.rank import Rank, rank
from records.engines.sharded.telling import Stats
from records.model import Order, Page, Position, StoredRecord
from records.reading.paging import position

AHEAD = 32
"""Records that are read ahead of one shard."""

AHEAD_BYTES = 64 << 10
"""Bytes of data after which reading ahead ends."""

KEPT_BYTES = 8 << 10
"""Data of a longer record is not kept with what is read ahead, but read again when its turn comes: shards are many."""


@dataclass(slots=True)
class Run:
    """A shard's next records beyond `start`, in order, some without their data; `ended` where no more come."""

    order: Order
    start: Rank | None
    records: list[StoredRecord | None] = field(default_factory=list)
    places: list[Position] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)
    ended: bool = True
    size: int = 0

    @classmethod
    def of(cls, order: Order, after: Position | None, page: Page, *, whole: bool) -> "Run":
        """What a page beyond `after` says; `whole`: with all data, which is for now and not to be remembered."""
        run = cls(order, None if after is None else rank(order, after), ended=page.reached is None)
        for record in page.records:
            kept = whole or len(record.data) <= KEPT_BYTES
            run.records.append(record if kept else None)
            run.places.append(position(record))
            run.ranks.append(rank(order, run.places[-1]))
            run.size += 700 + (len(record.data) if kept else 0)
        return run

    def covers(self, after: Position | None) -> bool:
        """Whether it tells which record comes next beyond this place, or that none does."""
        if after is None:
            return self.start is None and (self.ended or bool(self.records))
        here = rank(self.order, after)
        if self.start is not None and here < self.start:
            return False
        return self.ended or (bool(self.ranks) and here < self.ranks[-1])

    def beyond(self, after: Position | None) -> int:
        """The index of the first record beyond a place that it covers."""
        return 0 if after is None else bisect_right(self.ranks, rank(self.order, after))


def bytes_of(value: Run | Stats) -> int:
    """About how much memory it takes to remember it."""
    return value.size if isinstance(value, Run) else 600 * len(value)
