"""Whose bytes these are: a small file beside them with the id of the store that they belong to, written once."""

from contextlib import suppress
from pathlib import Path

from blobstore.durable import write_durably
from blobstore.errors import translated
from blobstore.locked import file_lock

NAME = "store-id"


def marked(path: Path) -> str | None:
    """The id in the file, or None where there is none. Raises `StorageUnavailable`."""
    with translated(NAME, FileNotFoundError), suppress(FileNotFoundError):
        return path.read_text()
    return None


def mark(path: Path, store_id: str) -> str:
    """The id in the file, which the first who asks writes: any number of processes may. Raises `StorageUnavailable`."""
    with file_lock(path.with_name(path.name + ".lock")):
        there = marked(path)
        if there is None:
            with translated(NAME):
                write_durably(path, store_id.encode())
        return store_id if there is None else there
