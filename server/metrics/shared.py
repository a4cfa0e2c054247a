"""How the workers of one server count together: in files that each maps into its memory, and whoever is asked sums up.

A worker has the files of its number, and takes over what the last one of this number counted, so that there are never
more files than there were workers at once, and no count goes down when a worker dies or is replaced.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry, multiprocess, values

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for it."""

_NUMBER = "BLOBSTORE_METRICS_NUMBER"

_PREFIX = "blobstore-metrics-"
_LOCK = "lock"
"""Held by the supervisor as long as it lives."""

_MEMORY = Path("/dev/shm")  # noqa: S108 -- the folder made there is our own, and nobody else's to look at
"""Where files never wait for a disk; elsewhere among temporary ones."""


class Shared:
    """The supervisor's side: the folder, and who has which number."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._folder = folder
        self._lock = _locked(Path(folder.name))
        self._taken: set[int] = set()

    @classmethod
    def make(cls) -> Self:
        """An empty folder, for this user alone; those that killed ones left behind go. Raises `OSError`: no place."""
        where = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        for left in where.glob(f"{_PREFIX}*"):
            if _is_left(left):
                shutil.rmtree(left, ignore_errors=True)
        return cls(tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where))

    def number(self) -> int:
        """One that no worker has now."""
        free = next(number for number in range(len(self._taken) + 1) if number not in self._taken)
        self._taken.add(free)
        return free

    def environment(self, number: int) -> dict[str, str]:
        """What tells a worker of folder and number."""
        return {_FOLDER: self._folder.name, _NUMBER: str(number)}

    def ended(self, number: int) -> None:
        """The worker with this number is no more: what it did stays counted, what it had open does not."""
        multiprocess.mark_process_dead(number, self._folder.name)  # type: ignore[no-untyped-call]
        self._taken.discard(number)

    def remove(self) -> None:
        """All workers have ended."""
        self._folder.cleanup()
        os.close(self._lock)


def _locked(folder: Path) -> int:
    """Have the folder's lock until this process ends; it has its name only once it is taken."""
    descriptor = os.open(folder / "new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    (folder / "new").rename(folder / _LOCK)
    return descriptor


def _is_left(folder: Path) -> bool:
    """Whether the supervisor that had it is gone; never of another user's, nor of one that is being made."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def join() -> None:
    """Count together with the others, where the supervisor says so. To be called before the first meter is made."""
    number = os.environ.pop(_NUMBER, None)
    if number is not None:
        values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def is_shared() -> bool:
    """Whether this process counts together with others."""
    return bool(values.ValueClass._multiprocess)


def gather(registry: CollectorRegistry) -> None:
    """Have the registry give what all workers counted."""
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
