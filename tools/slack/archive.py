"""slackdump archives: `slackdump.sqlite` with `__uploads/<id>/<name>` beside it.

Nothing is ever written beside the database. SQLite itself would: whoever opens a WAL database, even read-only, leaves
`-wal` and `-shm` files behind, or fails where it cannot. So a database at rest is opened as immutable, and one with a
write-ahead log or a journal that still holds changes is copied, together with it, to a private directory and
recovered there.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from blobstore.sqlite import sqlite3
from tools.slack.attachments import UPLOADS, Attachments, in_uploads
from tools.slack.source import SourceError
from tools.slack.tables import TABLES
from tools.slack.tree import DirectoryTree
from tools.slack.workspace import Workspace

DATABASE = "slackdump.sqlite"
SQLITE_MAGIC = b"SQLite format 3\0"

_UNFINISHED = ("-wal", "-journal")


def open_archive(database: Path) -> Workspace:
    """The archive whose database is at `database`. Raises `SourceError`."""
    try:
        before = _state(database)
        connection = _connect(database)
        after_copy = _state(database)
    except (OSError, sqlite3.Error) as error:
        raise SourceError(f"{database} cannot be read: {error}") from error
    if before != after_copy:
        connection.close()
        raise _changed(database)
    missing = set(TABLES) - {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if missing:
        connection.close()
        raise SourceError(f"{database} is no slackdump archive: it has no table {', '.join(sorted(missing))}")
    tree, attachments = uploads(database.parent)
    return Workspace(
        connection,
        tree,
        attachments,
        unchanged=_unchanged(database, before),
        digest=lambda: _digest(database),
    )


def _connect(database: Path) -> sqlite3.Connection:
    if any(_size(_beside(database, suffix)) for suffix in _UNFINISHED):
        return _copied(database)
    with database.open("rb") as stream:
        header = stream.read(20)
    # Byte 18 is 2 in a database that is in WAL mode.
    mode = "immutable=1" if header[18:19] == b"\x02" else "mode=ro"
    return sqlite3.connect(
        f"{database.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False
    )


def _copied(database: Path) -> sqlite3.Connection:
    """A recovered copy, whose files are gone from the file system as soon as it is open."""
    with tempfile.TemporaryDirectory(prefix="slack-archive-") as private:
        copy = Path(private) / database.name
        shutil.copyfile(database, copy)
        for suffix in _UNFINISHED:
            with suppress(FileNotFoundError):
                shutil.copyfile(_beside(database, suffix), _beside(copy, suffix))
        connection = sqlite3.connect(copy, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _state(database: Path) -> tuple[tuple[int, int] | None, ...]:
    """Changes whenever somebody writes into the archive."""

    def of(path: Path) -> tuple[int, int] | None:
        status = path.stat() if path.exists() else None
        return (status.st_size, status.st_mtime_ns) if status else None

    return tuple(of(_beside(database, suffix)) for suffix in ("", *_UNFINISHED))


def _unchanged(database: Path, before: tuple[tuple[int, int] | None, ...]) -> Callable[[], None]:
    def check() -> None:
        if _state(database) != before:
            raise _changed(database)

    return check


def _digest(database: Path) -> bytes:
    """Of the bytes of the database, with the log that belongs to it. Raises `SourceError`."""
    digests: list[bytes] = []
    try:
        for path in (database, *(_beside(database, suffix) for suffix in _UNFINISHED)):
            if path.exists():
                with path.open("rb", buffering=0) as file:
                    digests.append(hashlib.file_digest(file, blake3).digest())  # type: ignore[arg-type]  # by its stub only
            else:
                digests.append(bytes(32))
    except OSError as error:
        raise SourceError(f"{database} cannot be read: {error}") from error
    return b"".join(digests)


def _changed(database: Path) -> SourceError:
    return SourceError(f"{database} is being written to; wait until slackdump has finished and start again")


def uploads(root: Path) -> tuple[DirectoryTree, Attachments]:
    """What slackdump keeps beside a database or chunk files in `root`."""
    tree = DirectoryTree(root)
    return tree, Attachments.of(tree.members(UPLOADS.removesuffix("/")), in_uploads)
