"""Connectors that take no writes for a while, in any process, while somebody makes sure that nothing more comes.

A file in the data directory's `locks` stands for the connector, and is locked: the pause ends with its process, however
that ends. A write looks after it has what an erasure would take away from it (its epoch, its lease) and before it looks
whether its connector lives. So whoever pauses a connector, and then fences off what began before, knows that nothing
comes until the pause ends; and if the connector is marked erased by then, nothing ever does.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blobstore.digest import derive
from blobstore.errors import StorageUnavailable
from blobstore.sqlite.file import try_file_lock
from records.central import Owner
from records.errors import Conflict

PREFIX = "pause_"

LOOKING = 3.0
"""Seconds after which who has the lock is taken for another one that pauses, and not for one that looks."""

_CONTEXT = "blobstore 2026-11 paused connector"

Unpaused = Callable[[Owner, str], None]
"""What a write asks of its connector (`Pauses.require_none`)."""


class Pauses:
    """Knows which connectors are paused. Every call blocks, briefly."""

    def __init__(self, locks: Path) -> None:
        self._locks = locks

    @contextmanager
    def pausing(self, owner: Owner, connector: str) -> Iterator[None]:
        """The connector takes no writes that begin in the length of the block. Raises `Conflict` where it is paused."""
        deadline = time.monotonic() + LOOKING
        while True:
            with try_file_lock(self._path(owner, connector)) as locked:
                if locked:
                    yield
                    return
            if time.monotonic() >= deadline:
                raise Conflict("the connector is being detached already")
            time.sleep(0.02)

    def require_none(self, owner: Owner, connector: str) -> None:
        """Raise `StorageUnavailable` while the connector is paused."""
        path = self._path(owner, connector)
        if path.exists():
            with try_file_lock(path) as abandoned:  # the file goes with this lock
                if not abandoned and path.exists():
                    raise StorageUnavailable("the connector is being detached: try again later")

    def _path(self, owner: Owner, connector: str) -> Path:
        return self._locks / f"{PREFIX}{owner.id}_{derive(_CONTEXT, connector.encode(), 16).hex()}"
