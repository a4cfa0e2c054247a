"""Copies of records that are being made: no erasure is complete while one of them still holds what it took.

An export keeps text of records in files without names, which no search for traces can find. While it does, a file in
the data directory's `locks` names the connectors whose records it copies, and is locked: it ends with its process.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from blobstore.errors import translated
from blobstore.sqlite.file import try_file_lock
from records import jsontext

PREFIX = "copy_"


class Copies:
    """Knows what is being copied, in every process that has the data directory open. Every call blocks, briefly."""

    def __init__(self, locks: Path) -> None:
        self._locks = locks

    @contextmanager
    def making(self, owner: str, connectors: Collection[str]) -> Iterator[None]:
        """Records of these connectors are copied for the length of the block, and nothing of them is kept after it.

        Begin before looking whether an erasure is under way: either it is seen then, or it sees this.
        """
        path = self._locks / f"{PREFIX}{owner}_{token_hex(8)}"
        with try_file_lock(path):
            with translated("locks"):
                path.write_bytes(jsontext.encode(sorted(connectors)))
            yield

    def are_made(self, owner: str, connector: str | None) -> bool:
        """Whether somebody holds a copy of what this connector (None: any of the owner's) brought."""
        with translated("locks"):
            paths = list(self._locks.glob(f"{PREFIX}{owner}_*"))
        return any(_covers(path, connector) and _is_held(path) for path in paths)

    def drop_abandoned(self) -> None:
        """Remove the files of processes that were killed."""
        with translated("locks"):
            paths = list(self._locks.glob(f"{PREFIX}*"))
        for path in paths:
            _is_held(path)


def _covers(path: Path, connector: str | None) -> bool:
    """Whether it may be about the connector: one that does not say yet is about all."""
    text = b""
    with translated("locks"), suppress(FileNotFoundError):
        text = path.read_bytes()
    try:
        return connector is None or connector in jsontext.decode(text)
    except ValueError:
        return True


def _is_held(path: Path) -> bool:
    with try_file_lock(path) as abandoned:  # the file goes with this lock
        return not abandoned
