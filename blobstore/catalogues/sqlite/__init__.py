"""The catalogue in one SQLite file: each method of the port is one transaction.

`schema` has the tables, `counting` what keeps volumes up to date, the other modules the statements, by what they are
for.
"""

from pathlib import Path
from typing import Self

from blobstore.catalogues.sqlite.collection import Collection
from blobstore.catalogues.sqlite.deriving import Deriving
from blobstore.catalogues.sqlite.holders import Holders
from blobstore.catalogues.sqlite.pins import Pins
from blobstore.catalogues.sqlite.places import Places
from blobstore.catalogues.sqlite.questions import Questions
from blobstore.catalogues.sqlite.quotas import Quotas
from blobstore.catalogues.sqlite.schema import CONTENT, MIGRATIONS
from blobstore.catalogues.sqlite.shares import Shares
from blobstore.catalogues.sqlite.standing import Standings
from blobstore.catalogues.sqlite.uploads import Uploads
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.slack import sanitize

__all__ = ["SqliteCatalogue"]


class SqliteCatalogue(Uploads, Holders, Quotas, Collection, Pins, Places, Deriving, Questions, Shares, Standings):
    """Adapter of `blobstore.catalogue.Catalogue`."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file, made and migrated if need be."""
        return cls(await SqliteFile.open(path, MIGRATIONS))

    async def sanitize(self, timeout: float) -> bool:
        return await sanitize(self._file, CONTENT, timeout)

    async def close(self) -> None:
        await self._file.close()
