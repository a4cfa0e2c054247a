"""The central store in one SQLite file: each method of the port is one transaction.

`schema` has the tables, the other modules the statements, by what they are for.
"""

from pathlib import Path
from typing import Self

from blobstore.sqlite.binding import bind
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.slack import sanitize
from records.centrals.sqlite.access import Access
from records.centrals.sqlite.chain import Chain
from records.centrals.sqlite.erasures import Erasures
from records.centrals.sqlite.grants import Grants
from records.centrals.sqlite.registry import Registry
from records.centrals.sqlite.schema import CONTENT, MIGRATIONS
from records.centrals.sqlite.shards import Homes
from records.centrals.sqlite.state import State

__all__ = ["SqliteCentral"]


class SqliteCentral(Access, Grants, Registry, Homes, State, Erasures, Chain):
    """Adapter of `records.central.Central`."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file (`DIR/central.db`), made and migrated if need be; any number of processes may do so at once."""
        return cls(await SqliteFile.open(path, MIGRATIONS))

    async def bind(self, name: str) -> str:
        return await bind(self._file, name)

    async def sanitize(self, timeout: float) -> bool:
        return await sanitize(self._file, CONTENT, timeout)

    async def check(self) -> list[str]:
        """What SQLite finds wrong with the file."""
        return await self._file.check()

    async def close(self) -> None:
        await self._file.close()
