"""The database of the topology `postgres` in a snapshot, and an empty database made of one."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from blobstore.catalogue import Catalogue
from blobstore.catalogues.postgres import PostgresCatalogue
from blobstore.catalogues.postgres import schema as catalogue
from blobstore.postgres import Database, Step, restoring
from blobstore.postgres.dump import dump, load
from blobstore.postgres.moment import Moment
from records.centrals.postgres import schema as central
from records.engines.postgres import SCHEMA as RECORDS
from records.engines.postgres.tables import STEPS
from records.snapshots import manifest
from records.snapshots.manifest import DATABASE, Manifest

SCHEMAS: Mapping[str, Sequence[Step]] = {
    central.SCHEMA: central.STEPS,
    catalogue.SCHEMA: catalogue.STEPS,
    RECORDS: STEPS,
}
FLEETING = ("central.locks",)
"""What a restored store must not have: processes of the old one would keep it from its own work."""


@asynccontextmanager
async def moment_of(database: Database) -> AsyncIterator["DatabaseMoment"]:
    """The moment at which the block begins."""
    async with database.moment() as found:
        yield DatabaseMoment(found)


class DatabaseMoment:
    """As `records.snapshots.moments.Moment`."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    @asynccontextmanager
    async def catalogue(self, _: Path) -> AsyncIterator[Catalogue]:
        yield PostgresCatalogue(cast(Database, self._moment))  # what reads is the same

    async def copy(self, folder: Path) -> None:
        (folder / DATABASE).mkdir(mode=0o700)
        await dump(self._moment, list(SCHEMAS), folder / DATABASE, FLEETING)


class Target:
    """A database that is made of a snapshot. `name`: of this restore, which may be begun again where it was cut off."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name

    async def fill(self, folder: Path, found: Manifest) -> bool:
        """Make it what the snapshot says; False when all of it is right already. Raises `StorageUnavailable`."""
        async with self._opened() as database:
            if not await restoring.begin(database, self._name, SCHEMAS):
                return False
            await load(database, SCHEMAS, folder / DATABASE, FLEETING)
        manifest.verify(folder, found)  # what was loaded was what the manifest names
        return True

    async def end(self) -> None:
        """All of it is right."""
        async with self._opened() as database:
            await restoring.end(database)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Database]:
        database = await Database.open(self._url, size=1)
        try:
            yield database
        finally:
            await database.close()
