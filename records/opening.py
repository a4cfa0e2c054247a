"""Opening the parts of a store as its topology has them: the central store, the catalogue, and the record engines."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from blobstore.catalogue import Catalogue
from blobstore.catalogues.memory import MemoryCatalogue
from records.central import Central
from records.centrals.memory import MemoryCentral
from records.centre import Centre
from records.engine import Engines
from records.engines.memory import MemoryEngines
from records.engines.sharded import PerConnectorEngines
from records.engines.sqlite import SingleFileEngines
from records.erasure.residue import Tables
from records.erasure.tables import TablesOfCentre
from records.guarded import GuardedEngines
from records.layout import RECORDS, Topology
from records.moving import elsewhere
from records.moving.either import EitherEngines
from records.moving.engines import MovableEngines
from records.moving.indatabase import InDatabase

if TYPE_CHECKING:
    from blobstore.postgres import Database
    from records.locking.rows import Rows


@dataclass(frozen=True, slots=True)
class Parts:
    """What a store is put together from; closing it closes all of them, the last that was opened first."""

    topology: Topology
    central: Central
    catalogue: Catalogue
    engines: Engines
    database: "Database | None" = None
    """The one database of the topology `postgres`."""
    tables: Tables | None = None
    """Where traces are looked for beside files."""
    rows: Callable[[], "Rows | None"] = lambda: None
    """Where machines keep rows of their locks at this moment; None while the parts are one machine's."""
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    async def open(
        cls, directory: Path, topology: Topology, database_url: str | None, *, restoring: bool = False
    ) -> Self:
        """Open, or make, the parts. Raises `StorageUnavailable`; then nothing is left open.

        `database_url` says where the database of the topology `postgres` is, and means nothing to the others; it may be
        half restored only where the caller is `restoring` it.
        """
        async with AsyncExitStack() as opening:
            centre = Centre(directory, topology, database_url)
            opening.push_async_callback(centre.close)
            match topology:
                case Topology.MEMORY:
                    parts = cls(topology, MemoryCentral(), MemoryCatalogue(), MemoryEngines())
                case Topology.SINGLE | Topology.PER_CONNECTOR:
                    parts = await cls._of_files(directory, centre, opening)
                case Topology.POSTGRES:
                    parts = await cls._of_database(directory, centre, opening, restoring=restoring)
            return replace(parts, opened=opening.pop_all())

    @classmethod
    async def _of_files(cls, directory: Path, centre: Centre, opening: AsyncExitStack) -> Self:
        central, catalogue = await _centre(centre, opening)
        engines = await _engines(directory, centre, central, await catalogue.store_id(), opening)
        tables = TablesOfCentre(centre)
        return cls(centre.topology, central, catalogue, engines, tables=tables, rows=lambda: centre.rows)

    @classmethod
    async def _of_database(cls, directory: Path, centre: Centre, opening: AsyncExitStack, *, restoring: bool) -> Self:
        # Here, for the other topologies run without a driver.
        from blobstore.postgres.restoring import require_restored

        database = await centre.database()
        if not restoring:
            await require_restored(database)
        central, catalogue = await _centre(centre, opening)
        engines = await _engines(directory, centre, central, await catalogue.store_id(), opening)
        tables = TablesOfCentre(centre)
        return cls(Topology.POSTGRES, central, catalogue, engines, database, tables, lambda: centre.rows)

    async def close(self) -> None:
        """Harmless when called twice."""
        await self.opened.aclose()


async def _centre(centre: Centre, opening: AsyncExitStack) -> tuple[Central, Catalogue]:
    central = await centre.central()
    opening.push_async_callback(central.close)
    catalogue = await centre.catalogue()
    opening.push_async_callback(catalogue.close)
    return central, catalogue


async def _engines(
    directory: Path, centre: Centre, central: Central, store_id: str, opening: AsyncExitStack
) -> EitherEngines:
    """Those of owners in files and of those in a database: which are which may change at any moment."""
    database = InDatabase(centre, central, store_id)
    opening.push_async_callback(database.close)
    files = partial(_files, directory / RECORDS, centre.topology, central, store_id)
    require_here = partial(elsewhere.require_here, central, directory)
    engines = EitherEngines(directory, files, database.engines, centre.configured, require_here)
    if not centre.topology.is_files:
        await database.engines()  # made now, so that a database that does not answer is told of
    opening.push_async_callback(engines.close)
    return engines


def _files(folder: Path, topology: Topology, central: Central, store_id: str) -> MovableEngines:
    shards = PerConnectorEngines(folder, central, store_id)
    if topology is Topology.PER_CONNECTOR:
        return MovableEngines(None, shards)
    return MovableEngines(GuardedEngines(SingleFileEngines(folder), Topology.SINGLE, central, store_id), shards)
