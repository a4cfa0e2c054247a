"""Connections to one SQLite file: how they are opened, what their errors mean, how a table is written anew."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blobstore import errors
from blobstore.durable import make_folders
from blobstore.errors import Damaged, Moved, OutOfSpace, StorageUnavailable
from blobstore.sqlite import require_sound_sqlite, sqlite3

LOCK_WAIT = 120.0
"""Seconds that a writer waits for writers of other processes before it gives up."""

BUSY_TIMEOUT = 10_000
"""Milliseconds that one statement waits for a lock."""

CHECKPOINT_PAGES = 4000
"""Pages in the write-ahead log before it is moved into the file: rows whose keys come in no order touch the same pages
again and again, and each page is moved once."""

_FULL_CODES = ("SQLITE_FULL",)
_DAMAGE_CODES = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


Identity = tuple[int, int]

_SETTINGS = (
    "synchronous = FULL",
    "secure_delete = ON",  # FAST leaves most deleted rows readable
    "foreign_keys = ON",
    "temp_store = MEMORY",  # no content in temporary files of their own
    f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
)


def connect(path: Path, was: Identity | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode, to a file that is there, that any one thread at a time may use.

    `was` is the file that is meant. Raises `Moved`, and makes no file, where there is none or it is another, also where
    it lost its name meanwhile: then its log may have gone before this could see it, and what is read would be too old.
    """
    was = require_in_place(path, was or identity(path))
    with in_place(path, was):
        connection = open_file(path)
        try:
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()  # opens the log
            require_in_place(path, was)
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}").fetchall()
        except BaseException:
            connection.close()
            raise
    return connection


def open_file(path: Path, how: str = "mode=rw") -> sqlite3.Connection:
    """A connection without settings; `how` as in SQLite's names that are addresses."""
    name = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(name, uri=True, timeout=BUSY_TIMEOUT / 1000, isolation_level=None, check_same_thread=False)


def make_place(path: Path) -> None:
    """Make the folder for a database file. Raises `RuntimeError` when this SQLite may not be trusted with one."""
    require_sound_sqlite()
    make_folders(path.parent)


def make_file(path: Path) -> None:
    """Make the file, empty, where there is none; its folder is there."""
    open_file(path, "mode=rwc").close()


def require_in_place(path: Path, was: Identity | None) -> Identity:
    """Raise `Moved` where the file of this name is not, or not any more, what it was; give that back.

    Whoever removes a database file does so before its log goes. So who finds it in place after the log was opened has
    the log that belongs to it.
    """
    if was is None or identity(path) != was:
        raise Moved(f"{path.name} was removed or replaced; start again")
    return was


@contextmanager
def in_place(path: Path, was: Identity | None) -> Iterator[None]:
    """What fails because the file has lost its name raises `Moved`: SQLite has many words for that."""
    try:
        yield
    except (sqlite3.Error, StorageUnavailable):
        require_in_place(path, was)
        raise


def identity(path: Path) -> Identity | None:
    """What tells the file of this name from any other that ever had it; None when there is none.

    Never opens it: closing it again would drop the locks that this process has on it. Raises `StorageUnavailable` where
    it cannot be told.
    """
    try:
        with errors.translated(path.name, FileNotFoundError, NotADirectoryError):
            status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def begin(connection: sqlite3.Connection) -> None:
    """Take the write lock before reading anything: a deferred transaction that turns writer fails at once."""
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise


def truncate(path: Path, connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log; False when somebody reads or writes. Waits briefly: no writer gets in meanwhile."""
    connection.execute("PRAGMA busy_timeout = 50")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            _sync(path.with_name(path.name + "-wal"))
        return not busy
    except sqlite3.OperationalError as error:
        if is_busy(error):
            return False
        raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")


def vacuum(connection: sqlite3.Connection) -> None:
    """Write the whole file anew; waits for other writers as `begin` does."""
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            connection.execute("VACUUM")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise


def _sync(log: Path) -> None:
    # SQLite cuts the log without fsync: a power cut would bring its old contents back. Closing the log again is safe,
    # unlike the database: no POSIX locks are on it.
    descriptor = os.open(log, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rewrite_table(connection: sqlite3.Connection, table: str) -> None:
    """Copy a table's rows to fresh pages and overwrite the old ones.

    With `secure_delete` a row is overwritten where it lay when it goes, but not the copies of it that SQLite left in
    the unused part of pages when it split or merged them: those go with the old pages. The table must have no indexes
    but those of its constraints, and no foreign keys from or to it, so that SQLite copies it page by page in constant
    memory; for the same reason this is for `SqliteFile.write_alone`. Its triggers stay, and take no notice.
    """
    (definition,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    triggers = connection.execute(_TRIGGERS, (table,)).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(definition.replace(table, "fresh", 1))
    connection.execute(f"INSERT INTO fresh SELECT * FROM {table}")
    connection.execute(f"DELETE FROM {table}")  # DROP alone would keep the old pages in memory, to undo it
    connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA legacy_alter_table = ON")  # views of the table are views of the fresh one
    connection.execute(f"ALTER TABLE fresh RENAME TO {table}")
    connection.execute("PRAGMA legacy_alter_table = OFF")
    for _, trigger in triggers:
        connection.execute(trigger)


_TRIGGERS = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?"


def is_busy(error: BaseException | None) -> bool:
    """Whether somebody else has the lock."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what was written to it, or no database."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(_DAMAGE_CODES)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors, and the operating system's, as those of `blobstore.errors`."""
    with errors.translated(path.name):
        try:
            yield
        except sqlite3.Error as error:
            raise translate(error, path.name) from error


def translate(error: Exception, name: str) -> Exception:
    """What an error means to the caller; a mistake in our own SQL stays what it is, so that it shows."""
    if not isinstance(error, sqlite3.DatabaseError):
        return error
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return error
    code = str(getattr(error, "sqlite_errorname", ""))
    if code in _FULL_CODES:
        return OutOfSpace("the disk is full")
    if code.startswith(_DAMAGE_CODES):
        return Damaged(f"{name}: {error}")
    return StorageUnavailable(f"{name}: {error}")
