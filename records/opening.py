"""Opening the parts of a store as its topology has them: the central store, the catalogue, and the record engines."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from blobstore.catalogue import Catalogue
from blobstore.catalogues.memory import MemoryCatalogue
from blobstore.catalogues.sqlite import SqliteCatalogue
from blobstore.errors import StorageUnavailable
from records.central import Central
from records.centrals.memory import MemoryCentral
from records.centrals.sqlite import SqliteCentral
from records.engine import Engines
from records.engines.memory import MemoryEngines
from records.engines.sharded import PerConnectorEngines
from records.engines.sqlite import SingleFileEngines
from records.erasure.residue import Tables
from records.guarded import GuardedEngines
from records.layout import CATALOGUE, CENTRAL, RECORDS, Topology

if TYPE_CHECKING:
    from blobstore.postgres import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """What a store is put together from; closing it closes all of them, the last that was opened first."""

    topology: Topology
    central: Central
    catalogue: Catalogue
    engines: Engines
    opened: AsyncExitStack
    database: "Database | None" = None
    """The one database of the topology `postgres`."""
    tables: Tables | None = None
    """Where traces are looked for beside files."""

    @classmethod
    async def open(
        cls, directory: Path, topology: Topology, database_url: str | None, *, restoring: bool = False
    ) -> Self:
        """Open, or make, the parts. Raises `StorageUnavailable`; then nothing is left open.

        `database_url` says where the database of the topology `postgres` is, and means nothing to the others; it may be
        half restored only where the caller is `restoring` it.
        """
        async with AsyncExitStack() as opening:
            central, catalogue, engines = await _open(directory, topology, database_url, opening)
            return cls(topology, central, catalogue, engines, opening.pop_all())

    async def close(self) -> None:
        """Harmless when called twice."""
        await self.opened.aclose()


async def _open(
    directory: Path, topology: Topology, database_url: str | None, opening: AsyncExitStack
) -> tuple[Central, Catalogue, Engines]:
    central: Central
    catalogue: Catalogue
    engines: Engines
    match topology:
        case Topology.MEMORY:
            central, catalogue, engines = MemoryCentral(), MemoryCatalogue(), MemoryEngines()
        case Topology.SINGLE | Topology.PER_CONNECTOR:
            central = await SqliteCentral.open(directory / CENTRAL)
            opening.push_async_callback(central.close)
            catalogue = await SqliteCatalogue.open(directory / CATALOGUE)
            opening.push_async_callback(catalogue.close)
            engines = _files(directory, topology, central, await catalogue.store_id())
            opening.push_async_callback(engines.close)
        case _:
            raise StorageUnavailable(f"this version cannot open the topology {topology}")
    return central, catalogue, engines


def _files(directory: Path, topology: Topology, central: Central, store_id: str) -> Engines:
    if topology is Topology.PER_CONNECTOR:
        return PerConnectorEngines(directory / RECORDS, central, store_id)
    return GuardedEngines(SingleFileEngines(directory / RECORDS), topology, central, store_id)
