"""Where a page ends: after so many records, or with the one that makes its data too long to be held at once."""

from collections.abc import Iterable

from records.model import StoredRecord

MAX_BYTES = 8 << 20
"""Bytes of data after which a page ends early: a hundred records of the longest lines would be 1.6 GiB."""


def take(records: Iterable[StoredRecord], limit: int, max_bytes: int | None) -> list[StoredRecord]:
    """Up to `limit` of the records, the last of them the one that takes their data beyond `max_bytes`, if any."""
    taken: list[StoredRecord] = []
    size = 0
    if limit <= 0:
        return taken
    for record in records:
        taken.append(record)
        size += len(record.data)
        if len(taken) == limit or is_full(size, max_bytes):
            break
    return taken


def is_full(size: int, max_bytes: int | None) -> bool:
    """Whether a page with this much data takes no further record."""
    return max_bytes is not None and size > max_bytes
