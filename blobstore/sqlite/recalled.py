"""Answers that were read from one SQLite file, given again without a thread until anything is committed to it.

`PRAGMA data_version` says, from memory that all processes share and without reading the disk, whether anybody has
committed since it was last asked on the same connection. So an answer is as fresh as if it were read anew, whoever
writes: a token that another process revoked is not found here any more once that is durable.
"""

import sys
from collections import OrderedDict
from collections.abc import Hashable, Sequence, Sized
from pathlib import Path

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import Identity, connect

CAPACITY = 8 << 20
"""Bytes that the answers of one file may take, as those who ask estimate them; one alone no more than half."""

SMALL = 1 << 10
"""Bytes that an answer of one row takes, or none: about."""


def size_of(rows: Sized) -> int:
    """About what these take in memory, in bytes, where none is large."""
    return SMALL * (1 + len(rows))


def size_of_values(rows: Sequence[Sequence[object]]) -> int:
    """The same where texts and bytes among the values may be of any length."""
    return size_of(rows) + sum(sys.getsizeof(value) for row in rows for value in row if isinstance(value, bytes | str))


class Recalled:
    """The answers of one file. Used by the event loop alone, once `watch` was called, in any thread."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._answers: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._free = CAPACITY

    @property
    def watches(self) -> bool:
        """Whether anything can be given again."""
        return self._connection is not None

    def watch(self, path: Path, was: Identity) -> None:
        """Begin to watch the file. Raises `Moved`, and SQLite's errors."""
        connection = connect(path, was)
        connection.execute("PRAGMA busy_timeout = 0")  # it is never waited for: then the file itself is asked
        self._connection = connection

    def version(self) -> int | None:
        """What is another as soon as anything is committed; None where that cannot be told now."""
        if self._connection is None:
            return None
        try:
            # All of it is fetched: a statement that is left open would hold a snapshot.
            ((version,),) = self._connection.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error:
            version = None
        if version != self._version:
            self._answers.clear()
            self._free = CAPACITY
            self._version = version
        return self._version

    def find(self, name: Hashable) -> tuple[object, int] | None:
        """The answer that was kept under this name, and its size. Good if `version` was called just now."""
        return self._answers.get(name)

    def keep(self, name: Hashable, answer: object, size: int, version: int | None) -> None:
        """Keep what was read after that version was told; what somebody has committed since may not be in it."""
        if version is None or version != self.version() or name in self._answers or size > CAPACITY // 2:
            return
        self._answers[name] = answer, size
        self._free -= size
        while self._free < 0:
            self._free += self._answers.popitem(last=False)[1][1]

    def close(self) -> None:
        """Let go of the file and of all answers."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._answers.clear()
