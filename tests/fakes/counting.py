"""Counts what a store asks of SQLite and of the file system, on the very connections that serve it."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile

READERS = 3
"""Reading connections of each file, as `SqliteFile.open` makes them."""

_FRAME = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA USER_VERSION", "--")
"""Beginnings of what frames a transaction, and of the names of triggers that run: no statements of ours."""

_CHANGE = ("INSERT", "UPDATE", "DELETE")


@dataclass(slots=True)
class Counts:
    """SQL statements (each with its database file, as it ran), and how many calls of the file system there were.

    Of those it is Python's audit hooks that tell (PEP 578).
    """

    statements: list[tuple[Path, str]] = field(default_factory=list)
    files: int = 0


@asynccontextmanager
async def counting(files: Collection[SqliteFile]) -> AsyncIterator[Counts]:
    """Count the statements on these database files, and this process's file calls, for the length of the block."""
    counts = Counts()
    lock = threading.Lock()

    last: dict[Path, str] = {}

    def statement(path: Path, sql: str) -> None:
        kind = sql.lstrip().upper()
        with lock:
            # The driver tells each trigger that a change sets off by the text of that change, once more.
            if not kind.startswith(_FRAME) and not (kind.startswith(_CHANGE) and last.get(path) == sql):
                counts.statements.append((path, sql))
            last[path] = sql

    def call(event: str) -> None:
        if event == "open" or event.startswith("os."):
            with lock:
                counts.files += 1

    await _trace(files, statement)
    _Hook.listen(call)
    try:
        yield counts
    finally:
        _Hook.listen(None)
        await _trace(files, None)


async def _trace(files: Collection[SqliteFile], statement: Callable[[Path, str], None] | None) -> None:
    """On the writer, and on every reader: all of them are made to run at once."""
    for file in files:
        callback = None if statement is None else partial(statement, file.path)
        together = threading.Barrier(READERS)
        await file.write(partial(_set, callback, None))
        await asyncio.gather(*(file.read(partial(_set, callback, together)) for _ in range(READERS)))


def _set(callback: Callable[[str], None] | None, together: threading.Barrier | None, db: sqlite3.Connection) -> None:
    if together is not None:
        together.wait()
    db.set_trace_callback(callback)


class _Hook:
    """Python's audit hooks cannot be removed: one is added at the first use, and told whom to tell."""

    _call: Callable[[str], None] | None = None
    _added = False

    @classmethod
    def listen(cls, call: Callable[[str], None] | None) -> None:
        """Tell this one, or nobody, from now on."""
        cls._call = call
        if not cls._added:
            cls._added = True
            sys.addaudithook(cls._heard)

    @classmethod
    def _heard(cls, event: str, arguments: tuple[object, ...]) -> None:
        if cls._call is not None:
            cls._call(event)
