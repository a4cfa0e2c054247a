"""Schema versions of a SQLite file: which it has, which steps are left, and which programs may use it meanwhile.

A version is a number of steps (functions in a `Migrations`). A step is one of three kinds:

* marked `on_opening`: programs of the version before may go on using the file. It takes no longer for a large file.
* marked `later`: as well, but it may take long, and this version works as well without it: a sweep takes it.
* not marked: programs of the version before may not use the file any more. This version reads without it, and takes
  it before it writes for the first time.

So opening a file to read it locks nobody out, and no file is read by a program that does not understand it: the file
itself says in its `user_version` how many steps a program must know. `docs/decisions/0015-schema-versions.md` has the
rules for who writes a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database, Migrations

from blobstore.errors import MovedAway, NewerVersion
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import begin

_COUNT = 1 << 16
"""A file's `user_version` is the number of steps that a program must know, times this, and the number that it took. A
step that was not counted there was taken by a program that does not keep these rules: it is none to be ignored."""

_MOVED = 0x7FFF
"""In place of the number of steps that a program must know, in a file whose rows are kept elsewhere now: none does."""

Step = TypeVar("Step", bound=Callable[..., object])


class When(IntEnum):
    """When a step is taken at the latest, the earliest first."""

    OPENING = 0
    WRITING = 1
    SWEEP = 2


def on_opening(step: Step) -> Step:
    """Mark a step that programs of the version before do not notice, and that takes constant time."""
    step.when = When.OPENING  # type: ignore[attr-defined]
    return step


def later(step: Step) -> Step:
    """Mark a step that programs of the version before do not notice, and that this version can do without."""
    step.when = When.SWEEP  # type: ignore[attr-defined]
    return step


@dataclass(frozen=True, slots=True)
class Version:
    """How many steps a file has taken, how many a program must know to use it, and how many were counted."""

    taken: int
    needed: int
    counted: int


class Schema:
    """What this program knows of one kind of file. Every method that takes a connection blocks."""

    def __init__(self, migrations: Migrations) -> None:
        self._migrations = migrations
        self._names = [step.name for step in migrations._migrations]
        self._when = [getattr(step.fn, "when", When.WRITING) for step in migrations._migrations]

    @property
    def latest(self) -> int:
        """The version that this program makes."""
        return len(self._names)

    def version(self, path: Path, connection: sqlite3.Connection) -> Version:
        """What the file has; changes nothing. Raises `MovedAway`, `NewerVersion` where this program may not use it."""
        self.require_known(path, connection)
        version, unknown = self.found(connection)
        if unknown and (version.needed > self.latest or version.counted != version.taken):
            raise NewerVersion(self._newer(path, connection))
        return version

    def found(self, connection: sqlite3.Connection) -> tuple[Version, list[str]]:
        """What the file has, and the names of the steps that this program does not know."""
        taken = [step.name for step in self._migrations.applied(Database(connection))]
        return Version(len(taken), *_user_version(connection)), [name for name in taken if name not in self._names]

    def due(self, taken: int, when: When) -> int:
        """The version to bring a file to that has taken so many steps: steps are taken in order, so all before one."""
        if not taken:
            return self.latest  # an empty file: nothing takes long, and nobody uses it
        return max((number + 1 for number, each in enumerate(self._when) if each <= when), default=0)

    def advance(self, path: Path, connection: sqlite3.Connection, when: When) -> Version:
        """Take the steps that are due by then, each in a transaction of its own; what the file has afterwards.

        Nobody else may do so at the same time; others may read and write. Raises `NewerVersion`.
        """
        version = self.version(path, connection)
        due = self.due(version.taken, when)
        while version.taken < due:
            self._take(connection, version.taken)
            version = self.version(path, connection)
        return version

    def require_known(self, path: Path, connection: sqlite3.Connection) -> None:
        """For each transaction: raise `MovedAway`, or `NewerVersion` when somebody took a step that locks us out."""
        needed, _ = _user_version(connection)
        if needed == _MOVED:
            raise MovedAway(f"what was in {path.name} is kept elsewhere now")
        if needed > self.latest:
            raise NewerVersion(self._newer(path, connection))

    def _newer(self, path: Path, connection: sqlite3.Connection) -> str:
        name = ([""] + self.found(connection)[1])[-1] or "unknown"
        return f"{path.name} was made by a newer version ({name}); upgrade this program"

    def _take(self, connection: sqlite3.Connection, number: int) -> None:
        begin(connection)  # not sqlite-utils' own, which would fail where somebody writes meanwhile
        try:
            _drop_views(connection)
            self._migrations.apply(Database(connection), stop_before=self._names[number + 1 : number + 2])
            needed = number + 1 if self._when[number] is When.WRITING else _user_version(connection)[0]
            connection.execute(f"PRAGMA user_version = {needed * _COUNT + number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _drop_views(connection: sqlite3.Connection) -> None:
    """They are for readers past this program, made again when the file is written to; no step has to heed them."""
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall():
        quoted = name.replace('"', '""')
        connection.execute(f'DROP VIEW "{quoted}"')


def prepare(path: Path, connection: sqlite3.Connection, schema: Schema) -> Version:
    """Make the file, and take the steps that are due when it is opened. Nobody else may do so at the same time.

    Raises `NewerVersion`.
    """
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    return schema.advance(path, connection, When.OPENING)


def moved_to(connection: sqlite3.Connection) -> str | None:
    """Where the rows of the file are kept now; None while they are here."""
    if _user_version(connection)[0] != _MOVED:
        return None
    place: str = connection.execute("SELECT place FROM moved").fetchone()[0]
    return place


def leave_behind(connection: sqlite3.Connection, place: str) -> None:
    """Say, in the transaction that is open, that the rows of the file are kept elsewhere from its commit on.

    Every transaction of every program that keeps to `require_known` raises `MovedAway` then, or `NewerVersion`.
    """
    connection.execute("CREATE TABLE moved (place TEXT NOT NULL)")
    connection.execute("INSERT INTO moved VALUES (?)", (place,))
    connection.execute(f"PRAGMA user_version = {_MOVED * _COUNT + _user_version(connection)[1]}")


def _user_version(connection: sqlite3.Connection) -> tuple[int, int]:
    value: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return divmod(value, _COUNT)
