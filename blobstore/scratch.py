"""Scratch: files without a name, in the staging folder, for what is too large for memory and worth nothing later.

A scratch file loses its name as soon as it is open, so that it goes with the process whatever ends it. What a crash
leaves in the moment between is a staged file without a lease, which collection removes. Calls block.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from blobstore.errors import translated
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import translate
from blobstore.staging import Staging

CACHE_KIB = 4096
"""KiB of pages that a scratch database keeps in memory."""

PAGE = 4096
"""Bytes of a page: fixed, because it shows in the bytes of the file."""


class ScratchFile:
    """Bytes that are appended, and read at any offset. One thread at a time may append."""

    def __init__(self, staging: Staging) -> None:
        with translated("staging"):
            self._descriptor = staging.nameless(lambda path: os.open(path, os.O_RDWR | os.O_CLOEXEC))
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add the bytes at the end. Raises `OutOfSpace`, `StorageUnavailable`."""
        view = memoryview(data)
        with translated("staging"):
            while view:
                written = os.pwrite(self._descriptor, view, self.size)
                self.size += written
                view = view[written:]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; fewer only at the end."""
        return _read(self._descriptor, offset, length)

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class ScratchDatabase:
    """A SQLite file: equal statements in equal order make equal bytes of it. One thread at a time may use it.

    It has no journal and nothing is undone: after an error it is useless. Raises `OutOfSpace`, `StorageUnavailable`.
    """

    def __init__(self, staging: Staging) -> None:
        with translated("staging"):
            self._db, self._descriptor = staging.nameless(_opened)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run one statement; its rows come as they are asked for."""
        try:
            return self._db.execute(sql, parameters)
        except sqlite3.Error as error:
            raise translate(error, "staging") from error

    def bytes(self, offset: int, length: int) -> bytes:
        """The file's bytes after `seal`: exactly these; fewer only at the end."""
        return _read(self._descriptor, offset, length)

    def seal(self) -> int:
        """Write all of it into the file; the size in bytes. No statement may follow.

        What tells one build of SQLite, and how often it wrote, is set to constants.
        """
        self.execute("COMMIT")
        self._db.close()
        with translated("staging"):
            os.pwrite(self._descriptor, _ONE, _CHANGES)
            os.pwrite(self._descriptor, _ONE + _VERSION, _VALID_FOR)
            return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Give the room back. Harmless when called twice."""
        self._db.close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


# The header of a SQLite file (its format, section 1.3): the change counter; the counter for which the version number
# that follows it is valid; that number.
_CHANGES = 24
_VALID_FOR = 92
_ONE = (1).to_bytes(4)
_VERSION = (3_051_003).to_bytes(4)


def _opened(path: Path) -> tuple[sqlite3.Connection, int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in (
        f"page_size = {PAGE}",
        "auto_vacuum = NONE",
        "journal_mode = OFF",  # a journal would need the name that the file has no more
        "synchronous = OFF",
        "locking_mode = EXCLUSIVE",
        "secure_delete = ON",  # what statements leave of earlier rows is zeros, in every process
        "temp_store = MEMORY",
        f"cache_size = -{CACHE_KIB}",
    ):
        db.execute(f"PRAGMA {pragma}").fetchall()
    db.execute("BEGIN IMMEDIATE")
    return db, descriptor


def _read(descriptor: int, offset: int, length: int) -> bytes:
    pieces: list[bytes] = []
    with translated("staging"):
        while length > 0 and (piece := os.pread(descriptor, length, offset)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
