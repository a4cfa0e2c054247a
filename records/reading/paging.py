"""Where a page ends: after so many records, when its data is as much as is held at once, or after a long search."""

from collections.abc import Callable, Iterable
from typing import TypeVar

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
    taken: list[StoredRecord] = []
    size, looked, last = 0, 0, None
    for looks, row in enumerate(rows):
        full = len(taken) >= limit or is_full(size, max_bytes) or looks >= MAX_LOOKS or looked > MAX_LOOKED_BYTES
        if full and last is not None:
            return Page(taken, position(read(last)))
        last = row
        if keep is not None:
            place, key, data = seen(row)
            looked += len(data)
        if keep is None or keep(place, key, data):
            taken.append(read(row))
            size += len(taken[-1].data)
    return Page(taken, None)


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
