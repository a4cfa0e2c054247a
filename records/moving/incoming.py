"""The file of an owner's records that come out of a database, before it has its name."""

import os
from pathlib import Path

from blobstore.durable import sync_file, sync_folder
from blobstore.errors import translated
from blobstore.locked import file_lock
from blobstore.sqlite.file import lock_of
from records.layout import record_file

_SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")


def incoming_file(directory: Path, owner: str) -> Path:
    """Where it is made."""
    file = record_file(directory, owner)
    return file.with_name(f".{file.name}.new")


def remove_incoming(directory: Path, owner: str) -> None:
    """Throw it away; absent is no error."""
    path = incoming_file(directory, owner)
    with translated(path.name):
        for suffix in _SUFFIXES:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if path.parent.exists():
            sync_folder(path.parent)


def install_incoming(directory: Path, owner: str) -> None:
    """Give it its name, durably and at one moment; it must be closed. What had the name is empty, and goes."""
    path, file = incoming_file(directory, owner), record_file(directory, owner)
    with translated(file.name), file_lock(lock_of(file)):
        for suffix in _SUFFIXES[1:4]:
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        sync_file(path)
        os.replace(path, file)  # noqa: PTH105 -- one call, so that the name is never free
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        sync_folder(file.parent)
