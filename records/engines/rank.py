"""Places in a list as values that compare as the list goes, for those who merge lists."""

from dataclasses import dataclass
from functools import total_ordering

from records.model import Order, Partition, Position


@total_ordering
@dataclass(frozen=True, slots=True)
class _Down:
    """What compares the other way round."""

    of: tuple[bytes, str, Partition]

    def __lt__(self, other: "_Down") -> bool:
        return self.of > other.of


Rank = tuple[bool, tuple[bytes, str, Partition] | _Down]
"""Compares as places in a list do, in its direction."""


def rank(order: Order, place: Position) -> Rank:
    """Where a place is in the order: absent cursor fields come last in both directions."""
    within = (place.sort.cursor, place.key, place.partition)
    return place.sort.absent, within if order is Order.ASC else _Down(within)
