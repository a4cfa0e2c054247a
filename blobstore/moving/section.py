"""What is moved, in the words of no database: sections of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from blobstore.digest import Hasher

Row = tuple[Any, ...]
"""Values are None, int, float, str and bytes."""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one form. The first `key` columns name a row; rows are in their order, unless `order` names another.

    `ahead`: copied while writers go on; no row of it may hold what an erasure must leave no trace of. Any other section
    is small, and taken as a whole in the end.
    """

    name: str
    columns: tuple[str, ...]
    key: int = 1
    ahead: bool = False
    order: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self.columns[: self.key]


def section(name: str, columns: str, key: int = 1, *, ahead: bool = False, order: str | None = None) -> Section:
    """A section whose columns are written with spaces between them."""
    return Section(name, tuple(columns.split()), key, ahead, order)


@dataclass(frozen=True, slots=True)
class Copied:
    """How many rows of a section were found the same on both sides, and a digest over them."""

    section: str
    rows: int
    digest: str


class Sum:
    """Counts rows and digests them, in the order in which they come."""

    def __init__(self) -> None:
        self.rows = 0
        self._hasher = Hasher()

    def add(self, rows: Iterable[Row]) -> None:
        """Go on with these rows."""
        for row in rows:
            self.rows += 1
            self._hasher.update(repr(row).encode() + b"\n")

    def copied(self, section: Section) -> Copied:
        """What it comes to."""
        return Copied(section.name, self.rows, str(self._hasher.finish().digest))


def sum_of(section: Section, rows: Sequence[Row]) -> Copied:
    """The sum of all rows of a section."""
    total = Sum()
    total.add(rows)
    return total.copied(section)
