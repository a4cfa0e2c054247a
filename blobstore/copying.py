"""Copying objects from one backend to another: what arrives is what its name says, or nothing does."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from blobstore.backend import Backend, Reader
from blobstore.catalogue import Stored
from blobstore.digest import Content, Hasher
from blobstore.errors import ContentMismatch
from blobstore.staged import StagedFile

PIECE = 1 << 20
"""Bytes in memory at a time."""


def copy_object(source: Backend, target: Backend, stored: Stored, staging: Path) -> bool:
    """Put the object into `target`, durably; False when it is there already, with the right length.

    `staging` is a file that is not there, on the target's file system; it is gone afterwards. Blocks. Raises
    `BlobNotFound`, `ContentMismatch` (nothing is published then), `StorageUnavailable`, `OutOfSpace`.
    """
    there = target.size(stored.name)
    if there == stored.size:
        return False
    if there is not None:
        target.remove([stored.name])  # damaged: a name is never replaced, but this one does not have its bytes
    with closing(source.open(stored.name)) as reader:
        staged = StagedFile(staging)
        try:
            _read(reader, lambda piece: staged.append([piece]))
            _require(stored, staged.seal())
            target.publish(stored.name, staging)
        finally:
            staged.discard()
    return True


def verify_object(source: Backend, stored: Stored) -> None:
    """Hash the object. Blocks. Raises `BlobNotFound`, `ContentMismatch`, `StorageUnavailable`."""
    hasher = Hasher()
    with closing(source.open(stored.name)) as reader:
        _read(reader, hasher.update)
    _require(stored, hasher.finish())


def _read(reader: Reader, take: Callable[[bytes], None]) -> None:
    offset = 0
    while piece := reader.read(offset, PIECE):
        take(piece)
        offset += len(piece)


def _require(stored: Stored, content: Content) -> None:
    if content != Content(stored.name.digest, stored.sha256, stored.size):
        raise ContentMismatch(f"the bytes of {stored.name.digest} are not what was stored")
