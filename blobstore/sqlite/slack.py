"""Slack: what the pages of a SQLite file still show of rows that are gone, and how it goes.

`secure_delete` overwrites a row where it lay. But when SQLite moves rows about inside a page (it does so when pages
are split and merged), copies of them stay behind in the page's unused part, and are not overwritten when the row
goes. So the tables whose rows hold content are written anew, from live rows alone: every old page is overwritten, no
new one has held anything else. `tests/test_records/test_sqlite_erasure.py` shows both. The write-ahead log goes after.
"""

import time
from collections.abc import Iterable
from functools import partial

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import rewrite_table
from blobstore.sqlite.file import SqliteFile

SLACK = """CREATE TABLE slack (stale INTEGER NOT NULL) STRICT;
INSERT INTO slack VALUES (0)"""
"""For the schema of a file with content. `stale`: some page may still show what no row holds any more."""


def mark_stale(db: sqlite3.Connection) -> None:
    """Rows with content were removed or replaced: pages may show them until they are written anew."""
    db.execute("UPDATE slack SET stale = 1 WHERE NOT stale")


async def sanitize(file: SqliteFile, tables: Iterable[str], timeout: float) -> bool:
    """Make unreadable what these tables held before; False when a reader stood in the way for `timeout` seconds.

    Writing the tables anew takes as long as it takes: other writers wait, readers do not. `rewrite_table` says what
    the tables must be like.
    """
    deadline = time.monotonic() + timeout
    await file.write_alone(partial(_write_anew, tables))
    return await file.truncate_wal(deadline - time.monotonic())


def _write_anew(tables: Iterable[str], db: sqlite3.Connection) -> None:
    if db.execute("SELECT stale FROM slack").fetchone()[0]:
        for table in tables:
            rewrite_table(db, table)
        db.execute("UPDATE slack SET stale = 0")
