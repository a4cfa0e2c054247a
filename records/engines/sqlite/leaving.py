"""A records file that is left as a whole: its records are in a database from then on."""

import time
from collections.abc import Collection
from contextlib import closing
from enum import Enum, auto
from pathlib import Path

from blobstore.errors import StorageUnavailable
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect, translated, truncate
from blobstore.sqlite.versions import leave_behind
from records.engines.sqlite.schema import OnFile

_KEPT = ("bound", "versions", "slack", "outbox", "moved", "_sqlite_migrations", "sqlite_sequence")
"""Tables whose rows stay: whose file it is, which numbers it has given, and where its records are."""


class Left(Enum):
    """What came of the wish to leave."""

    DONE = auto()
    EVENTS = auto()
    """Events wait that have not come to the spine."""
    MORE = auto()
    """There is a connector that has not moved."""


class Leaving(OnFile):
    """What a move of all records out of the file, or into it, asks of it beside the port."""

    async def move_away(self, place: str, moved: Collection[str]) -> Left:
        """Say for good that all that is kept here is at that place, where no more than these connectors is here."""

        def run(db: sqlite3.Connection) -> Left:
            if {row[0] for row in db.execute("SELECT name FROM connectors")} - set(moved):
                return Left.MORE
            if db.execute("SELECT 1 FROM outbox LIMIT 1").fetchone():
                return Left.EVENTS
            leave_behind(db, place)
            return Left.DONE

        return await self._file.write(run)

    async def number_from(self, seq: int) -> None:
        """Give events numbers above this one. For a new file, before there are any."""

        def run(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (seq,))

        await self._file.write(run)


def empty(path: Path, timeout: float) -> None:
    """Overwrite all that is in a file that was left, and cut its log; what stays says where its records are. Blocks.

    Raises `StorageUnavailable` where a reader stood in the way for `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    with translated(path), closing(connect(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF").fetchall()
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        views = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")]
        db.execute("BEGIN IMMEDIATE")
        for view in views:  # which are named after streams
            quoted = view.replace('"', '""')
            db.execute(f'DROP VIEW "{quoted}"')
        for table in tables:
            if table not in _KEPT:
                db.execute(f"DELETE FROM {table}")
        db.execute("COMMIT")
        db.execute("VACUUM")  # what rows have left in pages that they were moved about in
        while not truncate(path, db):
            if time.monotonic() >= deadline:
                raise StorageUnavailable(f"{path.name}: a reader keeps its log from being cut; run this again")
