"""How the workers of one server count together: in files that each maps into its memory, and whoever is asked sums up.

A worker has the files of its number, and takes over what the last one of this number counted, so that there are never
more files than there were workers at once, and no count goes down when a worker dies or is replaced.
"""

import os
import tempfile
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry, multiprocess, values

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for it."""

_NUMBER = "BLOBSTORE_METRICS_NUMBER"

_MEMORY = Path("/dev/shm")  # noqa: S108 -- the folder made there is our own, and nobody else's to look at
"""Where files never wait for a disk; elsewhere among temporary ones."""


class Shared:
    """The supervisor's side: the folder, and who has which number."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._folder = folder
        self._taken: set[int] = set()

    @classmethod
    def make(cls) -> Self:
        """An empty folder, for this user alone. Raises `OSError` where there is no place for one."""
        where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        return cls(tempfile.TemporaryDirectory(prefix="blobstore-metrics-", dir=where))

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
