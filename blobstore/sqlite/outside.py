"""The schema version of a file that this process has not opened: seen without a trace, or brought to the latest."""

from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlite_utils import Migrations

from blobstore.errors import Damaged, Moved, MovedAway, NewerVersion, StorageUnavailable
from blobstore.locked import file_lock
from blobstore.sqlite import require_sound_sqlite, sqlite3
from blobstore.sqlite.connection import connect, identity, in_place, open_file, translated
from blobstore.sqlite.file import lock_of
from blobstore.sqlite.versions import Schema, When, moved_to, prepare


class State(StrEnum):
    """How a file stands to this program."""

    CURRENT = "current"
    """It has the version that this program makes."""
    BEHIND = "behind"
    """There are steps to take; it can be used meanwhile."""
    AHEAD = "ahead"
    """A newer program took steps that this one need not know."""
    REFUSED = "refused"
    """A newer program took a step after which this one may not use it any more."""
    DAMAGED = "damaged"
    """It is no database, or what was written to it is not there: one that has nothing in it was not left so."""
    MOVED = "moved"
    """What was in it is kept elsewhere now."""
    UNREADABLE = "unreadable"
    """It does not answer now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a file; `version` is None where it could not be read."""

    version: int | None
    latest: int
    state: State


def look(path: Path, migrations: Migrations) -> Standing:
    """What a file has; opens nothing for writing.

    Blocks. For a process that has none of these files open: where nobody uses the file it is read without SQLite's
    locks, and closing it drops those that the process has on it.
    """
    require_sound_sqlite()
    schema = Schema(migrations)
    was = identity(path)
    try:
        # Nobody has it open where there is no log: to read it as it lies makes no log either.
        how = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
        with in_place(path, was), translated(path), closing(open_file(path, how)) as connection:
            return _standing(path, schema, connection)
    except Damaged:
        return Standing(None, schema.latest, State.DAMAGED)
    except StorageUnavailable:
        return Standing(None, schema.latest, State.UNREADABLE)


def finish(path: Path, migrations: Migrations) -> Standing | None:
    """Bring a file to the latest version while others use it; None where there is none.

    Blocks for as long as it takes. What cannot be brought there is left as it is, and its state says so.
    """
    require_sound_sqlite()
    schema = Schema(migrations)
    if not path.exists():
        return None  # and its lock is not made
    try:
        with translated(path), file_lock(lock_of(path)):
            was = identity(path)
            with in_place(path, was), closing(connect(path, was)) as connection:
                # To fill an empty one would make the loss of what was in it look like nothing ever written.
                if not schema.found(connection)[0].taken:
                    return Standing(None, schema.latest, State.DAMAGED)
                with suppress(NewerVersion, MovedAway):
                    prepare(path, connection, schema)
                    schema.advance(path, connection, When.SWEEP)
                return _standing(path, schema, connection)
    except Moved:
        return None
    except Damaged:
        return Standing(None, schema.latest, State.DAMAGED)
    except StorageUnavailable:
        return Standing(None, schema.latest, State.UNREADABLE)


def place_of(path: Path) -> str | None:
    """Where what was in a file is kept now, as its mark says; None where it has none, or is not there. Blocks."""
    was = identity(path)
    try:
        with in_place(path, was), translated(path), closing(connect(path, was)) as connection:
            return moved_to(connection)
    except Moved:
        return None


def _standing(path: Path, schema: Schema, connection: sqlite3.Connection) -> Standing:
    found, unknown = schema.found(connection)
    if not found.taken:
        return Standing(None, schema.latest, State.DAMAGED)
    try:
        schema.version(path, connection)
    except MovedAway:
        return Standing(found.taken, schema.latest, State.MOVED)
    except NewerVersion:
        return Standing(found.taken, schema.latest, State.REFUSED)
    if unknown:
        return Standing(found.taken, schema.latest, State.AHEAD)
    return Standing(found.taken, schema.latest, State.CURRENT if found.taken == schema.latest else State.BEHIND)
