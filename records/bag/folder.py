"""A bag as a folder: regular files only, and no link is followed on the way to any."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from blobstore.errors import translated
from records.bag.archive import PIECE, Found, Names, require_name
from records.errors import BadBag

MAX_DEPTH = 8
"""Folders in folders: a bag of ours has five."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FolderArchive:
    """Adapter of `records.bag.archive.Archive`."""

    def __init__(self, path: Path) -> None:
        with translated(str(path)):
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def files(self) -> Iterator[Found]:
        names = Names()
        with translated("the bag"):
            for path, size in _walk(self._root, ()):
                yield Found(names.below(f"bag/{path}"), size, path)

    def pieces(self, found: Found) -> Iterator[bytes]:
        offset = 0
        with translated("the bag"):
            descriptor = _open(self._root, found.where.split("/"))
            try:
                while piece := os.pread(descriptor, PIECE, offset):
                    offset += len(piece)
                    if offset > found.size:
                        break
                    yield piece
            finally:
                os.close(descriptor)
        if offset != found.size:
            raise BadBag(f"{found.path} changes while it is read")

    def close(self) -> None:
        descriptor, self._root = self._root, -1
        if descriptor >= 0:
            os.close(descriptor)


def _walk(folder: int, steps: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = require_name("/".join((*steps, entry.name)))
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                raise BadBag(f"{path} is neither a file nor a folder")
            elif len(steps) >= MAX_DEPTH:
                raise BadBag("its folders are nested more deeply than those of a bag of ours")
            else:
                descriptor = os.open(entry.name, _FOLDER, dir_fd=folder)
                try:
                    yield from _walk(descriptor, (*steps, entry.name))
                finally:
                    os.close(descriptor)


def _open(root: int, steps: list[str]) -> int:
    folder = os.dup(root)
    try:
        for step in steps[:-1]:
            below = os.open(step, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(steps[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)
