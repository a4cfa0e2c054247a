"""Small steps that survive a power cut: a name exists only with its bytes, a removed name stays removed."""

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make names that were added to or removed from the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable that somebody else wrote; its name is its folder's affair."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """Make `folder`, with this mode, and whatever is missing above it, each durable in its own parent.

    Also where it is there already: that does not say that its maker lived to sync it.
    """
    if not folder.exists():
        make_folders(folder.parent)
        folder.mkdir(mode, exist_ok=True)
    with suppress(PermissionError):  # in a folder that we may not read somebody else made it
        sync_folder(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Put a small file in place: all of it or nothing, whenever the power goes."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError:
        # A failed fsync is final, the kernel may have dropped pages: whoever tries again writes another file.
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
