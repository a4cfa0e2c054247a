"""Shards that rest: their files are copied before the moment of a snapshot, for nobody writes to them.

All files of a moment are locked together, which takes descriptors of each. With a file for each connector there may be
thousands, but few that are being written to. What the central store says to rest under a number has not changed since
it came to rest under it (`records.shards`). So all that rest are copied ahead, one by one, and at the moment only those
are locked that are awake then, or rest under another number than that of their copy.
"""

import resource
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from blobstore.errors import Damaged, StorageUnavailable
from blobstore.sqlite.cut import cut, is_sound
from records.centrals.sqlite.shards import homes_in
from records.layout import CENTRAL, RECORDS
from records.shards import MAIN, Home

DESCRIPTORS = 6
"""Of one file that is locked: a connection that holds the lock and one that reads, with their logs."""

RESERVED = 256
"""Descriptors for everything else."""


class Resting:
    """The shards of a directory, and copies of those that rest in the folder `ahead`. Every call blocks."""

    def __init__(self, directory: Path, ahead: Path) -> None:
        self._directory = directory
        self._ahead = ahead
        self._copied: dict[Path, int] = {}
        """The number under which a file rested when it was copied."""
        self._resting: list[Path] = []
        self._sound: set[Path] = set()
        """Files that could be read."""
        self._lost: list[Path] = []
        """Shards that were gone or damaged when `others` was last asked."""

    def copy(self) -> None:
        """Copy what rests, but for what was copied already as it is."""
        for path, home in self._homes().items():
            if home.left is not None and self._copied.get(path) != home.number and self._is_sound(path):
                target = self._ahead / path.relative_to(self._directory)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                with cut(partial(_only, path)) as alone:
                    alone.copy(path, target)
                self._copied[path] = home.number

    def others(self) -> Iterable[Path]:
        """The files of all other shards. Who has locked the central store's file before has the last word.

        Raises `StorageUnavailable` where there are more than this process may open.
        """
        homes = self._homes()
        self._resting = [
            path for path, home in homes.items() if home.left is not None and self._copied.get(path) == home.number
        ]
        others = homes.keys() - set(self._resting)
        self._lost = sorted(path for path in others if not self._is_sound(path))
        others -= set(self._lost)
        _require_descriptors(len(others))
        return others

    def require_whole(self) -> None:
        """Raise `Damaged` where a shard was gone or damaged when `others` was last asked: nothing restores without."""
        if self._lost:
            places = ", ".join(str(path.relative_to(self._directory)) for path in self._lost)
            raise Damaged(
                f"{places}: cannot be read, so no snapshot was made and none was dropped;"
                " `blobstore doctor` says whose records are lost"
            )

    def take(self, folder: Path) -> None:
        """Move the copies of those that rested, when `others` was last asked, into the folder."""
        for path in self._resting:
            place = path.relative_to(self._directory)
            (folder / place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._ahead / place).rename(folder / place)
            del self._copied[path]

    def _homes(self) -> Mapping[Path, Home]:
        records = self._directory / RECORDS
        return {
            records / owner / f"{home.shard}.db": home
            for owner, home in homes_in(self._directory / CENTRAL)
            if home.shard != MAIN
        }

    def _is_sound(self, path: Path) -> bool:
        """Whether the file is there, and is a database."""
        if path not in self._sound and is_sound(path):
            self._sound.add(path)
        return path in self._sound and path.exists()


def _only(path: Path) -> list[Path]:
    return [path]


def _require_descriptors(files: int) -> None:
    needed = files * DESCRIPTORS + RESERVED
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= allowed:
        return
    if needed > most != resource.RLIM_INFINITY:
        raise StorageUnavailable(
            f"{files} connectors are written to at this moment, and their files need {needed} descriptors: raise the"
            " limit (ulimit -n), or try again when fewer are"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
