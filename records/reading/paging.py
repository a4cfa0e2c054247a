"""Where a page ends: after so many records, when its data is as much as is held at once, or after a long search."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from records.model import Keep, Overtaken, Page, Partition, Position, StoredRecord, Tombstone

MAX_BYTES = 8 << 20
"""Bytes of data after which a page ends early: a hundred records of the longest lines would be 1.6 GiB."""

MAX_LOOKS = 4000
MAX_LOOKED_BYTES = 4 * MAX_BYTES
"""Records, and bytes of their data, that are looked at for one page: a search keeps no reader for longer than that."""

Row = TypeVar("Row")


def take(
    rows: Iterable[Row],
    read: Callable[[Row], StoredRecord],
    seen: Callable[[Row], tuple[Partition, str, bytes]],
    keep: Keep | None,
    limit: int,
    max_bytes: int | None,
) -> Page:
    """Up to `limit` (1 or more) of the rows that are to be kept, as records; `seen` is what `keep` looks at.

    The row after the page is fetched, too: it tells that there is more.
    """
    taking = Taking(read, seen, keep, limit, max_bytes)
    return taking.add(rows) or taking.end()


class Taking(Generic[Row]):
    """A page that is being filled, with rows that come in its order, in any number of pieces. See `take`."""

    def __init__(
        self,
        read: Callable[[Row], StoredRecord],
        seen: Callable[[Row], tuple[Partition, str, bytes]],
        keep: Keep | None,
        limit: int,
        max_bytes: int | None,
    ) -> None:
        self._read = read
        self._seen = seen
        self._keep = keep
        self._limit = limit
        self._max_bytes = max_bytes
        self._taken: list[StoredRecord] = []
        self._size = self._looks = self._looked = 0
        self._last: Row | None = None
        self._is_over = False

    def add(self, rows: Iterable[Row]) -> Page | None:
        """The page, once it is full and a row more has come."""
        for row in rows:
            if self._is_over and self._last is not None:
                return Page(self._taken, position(self._read(self._last)))
            self._last = row
            if self._keep is None or self._wants(row, self._keep):
                record = self._read(row)
                self._taken.append(record)
                self._size += len(record.data)
                self._is_over |= len(self._taken) >= self._limit or is_full(self._size, self._max_bytes)
        return None

    def end(self) -> Page:
        """The page where no more rows come."""
        return Page(self._taken, None)

    def _wants(self, row: Row, keep: Keep) -> bool:
        place, key, data = self._seen(row)
        self._looks += 1
        self._looked += len(data)
        self._is_over = self._looks >= MAX_LOOKS or self._looked > MAX_LOOKED_BYTES
        return keep(place, key, data)


def up_to(records: Iterable[StoredRecord], max_bytes: int | None) -> list[StoredRecord]:
    """The first of the records, up to the one that takes their data beyond `max_bytes`."""
    taken: list[StoredRecord] = []
    size = 0
    for record in records:
        taken.append(record)
        size += len(record.data)
        if is_full(size, max_bytes):
            break
    return taken


State = StoredRecord | Tombstone | Overtaken
"""What a session comes by."""


def take_states(states: Iterable[State], horizon: int, limit: int, max_bytes: int | None) -> tuple[list[State], int]:
    """Up to `limit` of the states, which come in the order of versions; and the version up to which all are there.

    That is the horizon where no more come.
    """
    taken: list[State] = []
    size = 0
    for state in states:
        if taken and (len(taken) >= limit or is_full(size, max_bytes)):
            return taken, taken[-1].version
        taken.append(state)
        size += len(state.data) if isinstance(state, StoredRecord) else 0
    return taken, horizon


def is_full(size: int, max_bytes: int | None) -> bool:
    """Whether a page with this much data takes no further record."""
    return max_bytes is not None and size > max_bytes


def position(record: StoredRecord) -> Position:
    """Where a record stands in its list."""
    return Position(record.sort, record.partition, record.key)
