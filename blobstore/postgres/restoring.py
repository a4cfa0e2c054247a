"""A database that is being made of a copy: nobody else opens it before all of it is right.

A schema of its own says so, with a name that whoever makes it has: who was cut off finds his own work again and begins
anew, and nobody writes over what is another's, or a database in use.
"""

from collections.abc import Iterable

from blobstore.errors import StorageUnavailable
from blobstore.postgres.database import Connection, Database
from blobstore.postgres.migrations import is_there

_COPY = "SELECT name, done FROM restoring.copy"
_MAKE = """
CREATE SCHEMA restoring;
CREATE TABLE restoring.copy (name TEXT NOT NULL, done BOOLEAN NOT NULL DEFAULT false)
"""


async def begin(database: Database, name: str, schemas: Iterable[str]) -> bool:
    """Take the database, which has none of the schemas; what a copy of this name left in them, cut off, is removed.

    False when that was done already. Raises `StorageUnavailable` when the database is in use, or another copy's.
    """

    async def work(db: Connection) -> bool:
        if not await is_there(db, "restoring", "copy"):
            for schema in schemas:
                if await is_there(db, schema, "migrations"):
                    raise StorageUnavailable("the database is not empty; a copy is never restored over something else")
            await db.execute(_MAKE)
            await db.execute("INSERT INTO restoring.copy (name) VALUES ($1)", name)
            return True
        ((found, done),) = await db.fetch(_COPY)
        if found != name:
            raise StorageUnavailable("the database was made of another copy; give an empty one")
        if not done:
            for schema in schemas:
                await db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        return not done

    return await database.write(work, lock="blobstore migrations")


async def end(database: Database) -> None:
    """All of it is right: anybody may open it."""
    await database.execute("UPDATE restoring.copy SET done = true")


async def require_restored(database: Database) -> None:
    """Raise `StorageUnavailable` while the database is being made of a copy, or where that was cut off."""
    if await is_there(database, "restoring", "copy") and not (await database.fetch(_COPY))[0][1]:
        raise StorageUnavailable("the database is being restored, or that was cut off: run `blobstore restore` again")
