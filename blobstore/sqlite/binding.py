"""Whose file a SQLite file is: a name in a table `bound`, kept from the first time that it is told."""

from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile


async def bind(file: SqliteFile, name: str) -> str:
    """The name that the file has; this one, if it had none."""
    if (known := await file.read(_name)) is not None:
        return known
    return await file.write(lambda db: _bind(db, name))


def _name(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT name FROM bound").fetchone()
    return None if row is None else str(row[0])


def _bind(db: sqlite3.Connection, name: str) -> str:
    db.execute("INSERT INTO bound SELECT ? WHERE NOT EXISTS (SELECT 1 FROM bound)", (name,))
    return _name(db) or name
