"""Locks between processes: files that whoever works holds locked, and that let go with their holder's death."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blobstore.errors import translated


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes for the length of the block; the lock's file stays, empty.

    Raises `StorageUnavailable` when the file cannot be made.
    """
    descriptor = _lock_file(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def try_file_lock(path: Path) -> Iterator[bool]:
    """As `file_lock`, but does not wait: False where another holds it. The file goes when the lock is given up."""
    descriptor = _lock_file(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino
        except BlockingIOError:
            locked = False
        try:
            yield locked  # the file of one who gave up the lock meanwhile is no lock any more
        finally:
            if locked:
                with suppress(OSError):  # an empty file that nobody locks is no lock, and what was done is done
                    path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    with translated(path.name):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
