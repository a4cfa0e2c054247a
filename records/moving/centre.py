"""Central store and catalogue of a directory from files into a database, and back, while servers use them.

Each moves by itself and says where it has gone, so in between the two are in different places: servers follow each. May
be cut off anywhere and begun again: what has moved has moved, and what has not begins anew. When both have moved, the
configuration is written, and only then `remove_old_centre` takes away what is left at the old place.
"""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from blobstore.catalogues.sections import SECTIONS as CATALOGUE_SECTIONS
from blobstore.catalogues.sqlite.moving import catalogue_side as catalogue_file
from blobstore.errors import StorageUnavailable, WrongStore
from blobstore.moving.move import Ready, always, move
from blobstore.moving.section import Copied, Section
from blobstore.moving.sides import Reading, Side
from records.centrals.sections import ERASURES
from records.centrals.sections import SECTIONS as CENTRAL_SECTIONS
from records.centrals.sqlite.moving import central_side as central_file
from records.centre import FILES
from records.layout import CATALOGUE, CENTRAL, STORE_ID, Topology

if TYPE_CHECKING:
    from blobstore.postgres import Database

Told = Callable[[str, Copied], None]
"""Takes the name of a store, and what was found the same on both sides of one section of it."""


async def require_room(directory: Path, database_url: str) -> None:
    """Raise where the directory cannot move into the database; changes nothing of either.

    `WrongStore` where another store is there, `StorageUnavailable` where nobody answers, or nothing may be made.
    """
    from records.engines.postgres import has_others  # here, for the other topologies run without a driver

    async with AsyncExitStack() as open_ones:
        database = await _open(database_url, open_ones)
        if not await database.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')"):
            raise StorageUnavailable("PostgreSQL: the role may not make schemas here; GRANT CREATE ON DATABASE … TO it")
        for name, file, schema, _, _ in _stores(directory, database, open_ones):
            if await file.serves() and await schema.serves():  # two that are whole are not one that moved
                raise WrongStore(f"the database has the {name} of another store; an empty one is needed")
        if await has_others(database, (directory / STORE_ID).read_text().strip()):
            raise WrongStore("the database has records of another store; an empty one is needed")


async def move_centre(
    directory: Path, to: Topology, database_url: str, place: str, told: Told = lambda *_: None
) -> None:
    """Move both to where the topology has them; harmless where they are there already.

    `database_url` is the database's address, `place` the same without a password: it is written into the files.
    Raises `WrongStore` where another store is there, `Differs`, `StorageUnavailable`.
    """
    async with AsyncExitStack() as open_ones:
        database = await _open(database_url, open_ones)
        for name, file, schema, sections, ready in _stores(directory, database, open_ones):
            source, target, there = (schema, file, FILES) if to.is_files else (file, schema, place)
            if await target.serves():
                continue
            for copied in await move(source, target, sections, there, ready):
                told(name, copied)


async def remove_old_centre(directory: Path, to: Topology, database_url: str) -> None:
    """Take away what is left of both where they were before. Raises `WrongStore` where one has not moved."""
    async with AsyncExitStack() as open_ones:
        database = await _open(database_url, open_ones)
        for name, file, schema, _, _ in _stores(directory, database, open_ones):
            old, new = (schema, file) if to.is_files else (file, schema)
            if not await new.serves():
                raise WrongStore(f"the {name} has not moved")
            await old.remove()


async def _open(database_url: str, open_ones: AsyncExitStack) -> "Database":
    from blobstore.postgres import Database  # here, for the other topologies run without a driver

    database = await Database.open(database_url)
    open_ones.push_async_callback(database.close)
    return database


def _stores(
    directory: Path, database: "Database", open_ones: AsyncExitStack
) -> Iterable[tuple[str, Side, Side, tuple[Section, ...], Ready]]:
    """The catalogue first: the central store, which knows where all else is, goes last."""
    # Here, for the other topologies run without a driver.
    from blobstore.catalogues.postgres.moving import catalogue_side as catalogue_schema
    from records.centrals.postgres.moving import central_side as central_schema

    catalogue, central = catalogue_file(directory / CATALOGUE), central_file(directory / CENTRAL)
    for each in (catalogue, central):
        open_ones.push_async_callback(each.close)
    return (
        ("catalogue", catalogue, catalogue_schema(database), CATALOGUE_SECTIONS, always),
        ("central", central, central_schema(database), CENTRAL_SECTIONS, _no_erasure),
    )


async def _no_erasure(reading: Reading) -> bool:
    """An erasure that is under way looks for traces at the place where it began."""
    return all(row[ERASURES.columns.index("state")] == "done" for row in await reading.all(ERASURES))
