"""Where the central store and the catalogue are at this moment, and opening them there.

They are in files or in a database, each by itself, and while the directory moves from one to the other so may they:
whoever meets one that has moved looks again (`blobstore.relocating`), at first where the configuration says.
"""

import asyncio
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from blobstore.catalogue import Catalogue
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.errors import Moved, MovedAway, StorageUnavailable
from blobstore.relocating import Adapter, Relocating
from blobstore.sqlite.outside import place_of
from records.central import Central
from records.centrals.sqlite import SqliteCentral
from records.layout import CATALOGUE, CENTRAL, CONFIGURATION, Topology

if TYPE_CHECKING:
    from blobstore.postgres import Database
    from records.locking.rows import Rows

T = TypeVar("T", bound=Adapter)

FILES = "files"
"""What a mark says of a store that has moved into files; of one that moved into a database it has the address."""


class Centre:
    """What is central of one directory, opened. Close it last: it has the database that others use, too."""

    def __init__(self, directory: Path, topology: Topology, database_url: str | None) -> None:
        self._directory = directory
        self.topology = topology
        self._database_url = database_url
        self._database: Database | None = None
        self._renewing: Database | None = None
        self._opening = asyncio.Lock()
        self._rows: Rows | None = None

    async def central(self) -> Central:
        """The central store, wherever it is; made where the topology says if there is none."""
        here: Central = await self._find(CENTRAL, self._central_from, self._central_in, make=True)
        return Relocating.wrap(here, lambda: self._find(CENTRAL, self._central_from, self._central_in, make=False))

    async def catalogue(self) -> Catalogue:
        """The catalogue, wherever it is; made where the topology says if there is none."""
        here: Catalogue = await self._find(CATALOGUE, SqliteCatalogue.open, self._catalogue_in, make=True)
        return Relocating.wrap(
            here, lambda: self._find(CATALOGUE, SqliteCatalogue.open, self._catalogue_in, make=False)
        )

    async def database(self, url: str | None = None) -> "Database":
        """The database of the topology `postgres`. `url` is where it is if nobody said so before."""
        # Here, for the other topologies run without a driver.
        from blobstore.postgres import Database
        from blobstore.postgres.database import POOL_SIZE
        from records.schemas import STEPS

        async with self._opening:
            if self._database is None:
                url = self._database_url or (await self._configured())[1] or url
                if url is None:
                    raise StorageUnavailable("nobody said where the database is (--database-url)")
                self._renewing = await Database.open(url, size=1, uses=STEPS)
                self._database = await Database.open(url, size=POOL_SIZE - 1, uses=STEPS)
            return self._database

    async def configured(self) -> Topology:
        """The topology as the configuration has it now."""
        return (await self._configured())[0]

    @property
    def opened(self) -> "Database | None":
        """The database, where it is open here."""
        return self._database

    @property
    def rows(self) -> "Rows | None":
        """Where machines that share the central store keep rows of locks; None while it is a file."""
        return self._rows

    async def close(self) -> None:
        """Harmless when called twice."""
        for each in (self._database, self._renewing):
            if each is not None:
                await each.close()

    async def _find(
        self,
        file: str,
        from_file: Callable[[Path], Awaitable[T]],
        from_database: Callable[["Database", bool], Awaitable[T]],
        *,
        make: bool,
    ) -> T:
        topology = self.topology if make else (await self._configured())[0]
        path = self._directory / file
        try:
            return await self._from(topology, path, from_file, from_database, make=make)
        except (Moved, MovedAway):
            other = Topology.POSTGRES if topology.is_files else Topology.SINGLE
            return await self._from(other, path, from_file, from_database, make=False)

    async def _from(
        self,
        topology: Topology,
        path: Path,
        from_file: Callable[[Path], Awaitable[T]],
        from_database: Callable[["Database", bool], Awaitable[T]],
        *,
        make: bool,
    ) -> T:
        if topology.is_files:
            if not make and not await asyncio.to_thread(path.exists):  # to open it would make one
                raise MovedAway(
                    f"{path.name} is not here any more; if it moved into files of another directory that one alone has"
                    " the store: use it, or run `blobstore topology migrate --to postgres` there"
                )
            return await from_file(path)
        return await from_database(await self.database(await asyncio.to_thread(place_of, path)), make)

    async def _central_from(self, path: Path) -> Central:
        central = await SqliteCentral.open(path)
        self._rows = None
        return central

    async def _central_in(self, database: "Database", make: bool) -> Central:
        from records.centrals.postgres import PostgresCentral
        from records.centrals.postgres.schema import SCHEMA
        from records.locking.postgres import PostgresRows

        await _require_there(database, SCHEMA, make=make)
        central = await PostgresCentral.open(database)
        assert self._renewing is not None
        self._rows = PostgresRows(database, self._renewing)
        return central

    async def _catalogue_in(self, database: "Database", make: bool) -> Catalogue:
        from blobstore.catalogues.postgres import PostgresCatalogue
        from blobstore.catalogues.postgres.schema import SCHEMA

        await _require_there(database, SCHEMA, make=make)
        return await PostgresCatalogue.open(database)

    async def _configured(self) -> tuple[Topology, str | None]:
        """What the configuration says now; what we were opened with where it says nothing."""
        found = await asyncio.to_thread(_configuration, self._directory / CONFIGURATION)
        return Topology(found.get("topology", self.topology)), found.get("database_url")


async def _require_there(database: "Database", schema: str, *, make: bool) -> None:
    from blobstore.postgres.migrations import is_there

    if not make and not await is_there(database, schema, "migrations"):
        raise MovedAway(f"the schema {schema} is not in the database")


def _configuration(path: Path) -> dict[str, str]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StorageUnavailable(f"{path.name} cannot be read") from error
