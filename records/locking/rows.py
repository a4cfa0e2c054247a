"""The port to what machines that share a database keep there of their locks, and its memory adapter.

A row excludes other *hosts* alone: a host's own processes know better, by the locks of files, which of them has a lock
and which is dead. All times are the database's.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Row:
    """One lock of a process of `host`; `holder` is a random name of this one holding of it."""

    name: str
    host: str
    holder: str
    detail: bytes


class Rows(Protocol):
    """Rows of one store. Every method is one atomic, durable step. Raises `StorageUnavailable`."""

    async def take(self, row: Row, seconds: float) -> bool:
        """Have the row expire in so many seconds. False while another host has one of this name that has not.

        One of the same host is taken over.
        """
        ...

    async def renew(self, holders: Collection[str], seconds: float) -> set[str]:
        """Put off the expiry of these; those that were renewed. What has expired, or is another's, is not."""
        ...

    async def drop(self, holder: str) -> None:
        """Give it up. Absent is no error."""
        ...

    async def others(self, host: str) -> list[Row]:
        """Rows of other hosts that have not expired, in the order of names."""
        ...


class MemoryRows:
    """Adapter of `Rows`."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Row, float]] = {}

    async def take(self, row: Row, seconds: float) -> bool:
        there = self._rows.get(row.name)
        if there is not None and there[0].host != row.host and there[1] > time.monotonic():
            return False
        self._rows[row.name] = (row, time.monotonic() + seconds)
        return True

    async def renew(self, holders: Collection[str], seconds: float) -> set[str]:
        now = time.monotonic()
        living = [row for row, expires_at in self._rows.values() if row.holder in holders and expires_at > now]
        self._rows |= {row.name: (row, now + seconds) for row in living}
        return {row.holder for row in living}

    async def drop(self, holder: str) -> None:
        self._rows = {name: kept for name, kept in self._rows.items() if kept[0].holder != holder}

    async def others(self, host: str) -> list[Row]:
        now = time.monotonic()
        living = [row for row, expires_at in self._rows.values() if expires_at > now and row.host != host]
        return sorted(living, key=lambda row: row.name)
