"""Where a page ends: after so many records, after so many bytes, or after so many that were looked at."""

from collections.abc import Iterable, Sequence

from records.model import Keep, Page, Position, StoredRecord, Tombstone

MAX_BYTES = 8 << 20
"""Bytes of data after which a page ends early: a hundred records of the longest lines would be 1.6 GiB."""

MAX_LOOKED_AT = 10_000
"""Records that one call looks at: a reader's snapshot is not held for longer than that takes."""


def take(records: Iterable[StoredRecord], limit: int, max_bytes: int | None, keep: Keep | None) -> Page:
    """Up to `limit` of the records that are to be kept, the last of them the one that takes them beyond `max_bytes`."""
    taken: list[StoredRecord] = []
    size = 0
    for looked_at, record in enumerate(records, 1):
        if keep is None or keep(record.partition, record.key, record.data):
            taken.append(record)
            size += len(record.data)
        if len(taken) >= limit or looked_at >= MAX_LOOKED_AT or is_full(size, max_bytes):
            return Page(taken, position(record))
    return Page(taken, None)


def cut(
    ordered: Sequence[StoredRecord | Tombstone], limit: int, max_bytes: int | None, horizon: int
) -> tuple[Sequence[StoredRecord | Tombstone], int]:
    """The first of some changes, in the order of versions, and up to which version they are complete.

    `ordered` are all there are up to the horizon, or at least `limit` of them.
    """
    size = 0
    for count, each in enumerate(ordered, 1):
        size += len(each.data) if isinstance(each, StoredRecord) else 0
        if count >= limit or is_full(size, max_bytes):
            return ordered[:count], each.version
    return ordered, horizon


def is_full(size: int, max_bytes: int | None) -> bool:
    """Whether a page with this much data takes no further record."""
    return max_bytes is not None and size > max_bytes


def position(record: StoredRecord) -> Position:
    """Where a record stands in its list."""
    return Position(record.sort, record.partition, record.key)
