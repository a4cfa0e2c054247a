"""What becomes of a key that is here, there, or in both. No I/O.

| there | here | |
|---|---|---|
| a record | nothing | it is added |
| a record | an equal one | unchanged, whenever each was collected |
| a record | another | the one that was collected later (`emitted_at`) stays; at the same time, the one here |
| a record | a tombstone | added if it was collected later, else it stays gone |
| a tombstone | a record | deleted if it was deleted later, else the record stays |
| a tombstone | a tombstone, or nothing | unchanged |

In a stream that is only appended to, what is here stays. What was erased here after it was collected, with its account,
connector or owner, leaves no tombstones: it stays out, unless it has come again and is equal.
"""

from dataclasses import dataclass
from enum import StrEnum

from records import times
from records.history import same_content


class Fate(StrEnum):
    """What became of one key."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    KEPT = "kept"
    """They differ, and what is here stays."""
    ERASED = "erased"
    """It was erased here with all of its account, and stays out."""


CONFLICTS = frozenset({Fate.UPDATED, Fate.DELETED, Fate.KEPT})
"""What says that both directories had the key, and not the same."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one directory has of a key. `data` is its JSON text; None of a tombstone."""

    emitted_at: str
    data: bytes | None


def decide(there: Side, here: Side | None, *, append_only: bool, erased_at: str = "") -> Fate:
    """What becomes of a key of which the other directory has something. `erased_at`: when all of its account was."""
    if here is not None and _is_same(there, here):
        return Fate.UNCHANGED
    if erased_at and not is_later(there.emitted_at, erased_at):
        return Fate.ERASED
    if here is None:
        return Fate.UNCHANGED if there.data is None else Fate.ADDED
    if append_only or not is_later(there.emitted_at, here.emitted_at):
        return Fate.KEPT
    if there.data is None:
        return Fate.DELETED
    return Fate.ADDED if here.data is None else Fate.UPDATED


def _is_same(there: Side, here: Side) -> bool:
    if there.data is None or here.data is None:
        return there.data is here.data
    return same_content(here.data, there.data)


def is_later(one: str, other: str) -> bool:
    """Whether one time is after the other."""
    return (times.moment(one) or one) > (times.moment(other) or other)
