"""A cut: several SQLite files as they are at one moment, while any number of processes write to them.

For that moment, and no longer than it takes to begin to read in each file, the write locks of all are held together.
Nobody else ever holds two of them at once, so nobody waits for nobody. What is copied afterwards is read from the
snapshots that were begun then; writers go on.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from blobstore.durable import sync_file
from blobstore.errors import Damaged, Moved, StorageUnavailable
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import LOCK_WAIT, connect, identity, in_place, is_busy, translated

PATIENCE = 1.0
"""Seconds that the first try waits for one file's lock, holding others; each further try waits one more."""

PAUSE = 0.05
"""Seconds between two tries, in which those who wrote go on."""


class Cut:
    """Snapshots of some files, all of one moment. Every call blocks."""

    def __init__(self, snapshots: Mapping[Path, sqlite3.Connection]) -> None:
        self._snapshots = snapshots

    @property
    def files(self) -> Sequence[Path]:
        """The files, in order."""
        return sorted(self._snapshots)

    def copy(self, file: Path, target: Path) -> None:
        """Write what the file held at that moment to a new file, durably; its name is the caller's affair."""
        with translated(file):
            with closing(sqlite3.connect(target)) as copied:
                # Within the read transaction that is open: in any number of steps it would be the same moment.
                self._snapshots[file].backup(copied)
            sync_file(target)


@contextmanager
def cut(files: Callable[[], Sequence[Path]]) -> Iterator[Cut]:
    """All files that `files` names while the write locks of all of them are held; asked again until none is new.

    Blocks. Raises `StorageUnavailable` when a file cannot be read, or its lock not be had in `LOCK_WAIT` seconds.
    The snapshots keep write-ahead logs from being cut: leave the block as soon as the copies are made.
    """
    with ExitStack() as ending:
        yield Cut(_begin_everywhere(files, ending))


def is_sound(file: Path) -> bool:
    """Whether the file is there, and a database, as far as its first page tells. Raises `StorageUnavailable`."""
    with ExitStack() as ending:
        try:
            _begin(file, ending)
        except (Damaged, Moved):
            return False
    return True


def _begin_everywhere(files: Callable[[], Sequence[Path]], ending: ExitStack) -> Mapping[Path, sqlite3.Connection]:
    deadline, patience = time.monotonic() + LOCK_WAIT, PATIENCE
    while True:
        with ExitStack() as locks:
            try:
                return {path: _begin(path, ending) for path in sorted(_lock_all(files, patience, locks))}
            except StorageUnavailable as error:
                if not is_busy(error.__cause__) or time.monotonic() >= deadline:
                    raise
        patience += 1  # somebody is at a long transaction: let the others go on until it is over
        time.sleep(PAUSE)


def _lock_all(files: Callable[[], Sequence[Path]], patience: float, locks: ExitStack) -> set[Path]:
    locked: set[Path] = set()
    while not locked.issuperset(named := list(files())):
        for path in named:
            if path not in locked and _lock(path, files, patience, locks):
                locked.add(path)
    return set(named)


def _lock(path: Path, files: Callable[[], Sequence[Path]], patience: float, locks: ExitStack) -> bool:
    """False where the file was named before it went. Raises `Moved` where it is named still."""
    was = identity(path)
    try:
        with in_place(path, was), translated(path):
            connection = locks.enter_context(closing(connect(path, was)))
            connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            connection.execute("BEGIN IMMEDIATE")  # ended when it is closed
    except Moved:
        if path in files() and not path.exists():
            raise
        return False
    return True


def _begin(path: Path, ending: ExitStack) -> sqlite3.Connection:
    was = identity(path)
    with in_place(path, was), translated(path):
        connection = ending.enter_context(closing(connect(path, was)))
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot begins with the first read
    return connection
