"""The port to a bag that somebody brings: its files one after another, and each again at any offset.

Nothing of it is believed: an archive yields what a bag of ours can have (regular files below one folder, under names
that `layout` makes) and refuses everything else. Every call blocks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from records.errors import BadBag

MAX_MEMBERS = 5_000_000
MAX_NAME = 400
PIECE = 1 << 20
"""Bytes that are read at once."""

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A file in the archive: its path below the bag's folder, its size in bytes as declared, and where it is."""

    path: str
    size: int
    where: str


class Bytes(Protocol):
    """A file that can be read at any offset."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; fewer only at the end."""
        ...


class Archive(Protocol):
    """A bag as it came."""

    def files(self) -> Iterator[Found]:
        """Every file, in any order. Raises `BadBag` where there is something that no bag of ours has."""
        ...

    def pieces(self, found: Found) -> Iterator[bytes]:
        """The bytes of a file: exactly as many as were declared, in pieces of at most `PIECE`. Raises `BadBag`."""
        ...

    def close(self) -> None:
        """Harmless when called twice."""
        ...


class Names:
    """Checks the names in an archive, which all stand in one folder."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._count = 0

    def below(self, name: str) -> str:
        """The path below the bag's folder. Raises `BadBag` for what is no name of a file in a bag of ours."""
        path = self._below(name)
        if not path:
            raise BadBag(f"{name!r} is not in the one folder that a bag is")
        return path

    def folder(self, name: str) -> None:
        """Raise `BadBag` for what is no name of a folder in a bag of ours."""
        self._below(name.rstrip("/"))

    def _below(self, name: str) -> str:
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise BadBag(f"it has more than {MAX_MEMBERS:,} files")
        root, _, path = require_name(name).partition("/")
        if self._root is None:
            self._root = root
        if root != self._root:
            raise BadBag(f"{name!r} is not in the one folder that a bag is")
        return path


def require_name(name: str) -> str:
    """The name itself. Raises `BadBag` for one that is absolute, leaves its folder, or looks like another elsewhere."""
    if len(name) > MAX_NAME or not _NAME.match(name):
        raise BadBag(f"no file in a bag of ours is called {name[:MAX_NAME]!r}")
    return name
