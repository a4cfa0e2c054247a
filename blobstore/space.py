"""Room on the disk: how much must stay free, so that deleting, erasing and the databases themselves never run out."""

import os
from dataclasses import dataclass
from pathlib import Path

from blobstore.errors import LargerThanRoom, OutOfSpace, translated


@dataclass(frozen=True, slots=True)
class Floor:
    """Bytes and inodes that nothing which is taken in may use."""

    bytes: int = 0
    inodes: int = 0


NO_FLOOR = Floor()


class Space:
    """The file system of one folder, and its floor. Calls block."""

    def __init__(self, folder: Path, floor: Floor) -> None:
        self._folder = folder
        self._floor = floor

    def lacking(self, promised: int = 0) -> str | None:
        """What there is too little of, in words, when `promised` bytes are still to come; None where all is well."""
        with translated("space"):
            found = os.statvfs(self._folder)
        free = found.f_bavail * found.f_frsize
        if free - promised < self._floor.bytes:
            to_come = f", {promised} of them promised to uploads under way" if promised else ""
            return f"{free} bytes are free{to_come}; {self._floor.bytes} must stay free"
        # A file system that makes inodes as it needs them counts none.
        if found.f_files and found.f_favail < self._floor.inodes:
            return f"{found.f_favail} inodes are free, {self._floor.inodes} must stay free"
        return None

    def require(self, promised: int = 0) -> None:
        """Raise `OutOfSpace` where something is lacking."""
        lacking = self.lacking(promised)
        if lacking is not None:
            raise OutOfSpace(lacking)

    def require_for(self, size: int) -> None:
        """Raise `LargerThanRoom` where `size` bytes would not fit even alone, `OutOfSpace` where nothing would."""
        self.require()
        lacking = self.lacking(size)
        if lacking is not None:
            raise LargerThanRoom(lacking)
