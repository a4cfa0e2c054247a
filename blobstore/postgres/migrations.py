"""Steps that bring a schema of the database to the present version, each done once, whoever comes first."""

from collections.abc import Sequence
from dataclasses import dataclass

from blobstore.errors import MovedAway, NewerVersion, StorageUnavailable
from blobstore.postgres.database import Connection, Database

MOVED = "moved"
"""The only step of a schema that stands in the place of one that has moved away (`blobstore.postgres.side`)."""

LOCK = "blobstore migrations"
"""Held by who makes or migrates a schema: CREATE … IF NOT EXISTS of several sessions at once fails."""

MIGRATION_TIMEOUT = 3600.0
"""Seconds that a process waits for its own steps, or for another's."""


@dataclass(frozen=True, slots=True)
class Step:
    """A migration: its name, unique in its schema, and SQL with any number of statements."""

    name: str
    sql: str


async def migrate(database: Database, schema: str, steps: Sequence[Step]) -> None:
    """Make the schema if need be, and take the steps that have not been taken, in order, all or none.

    Any number of processes may do so at once. Raises `NewerVersion` when a step was taken that is not among these,
    `MovedAway` when the schema has moved away, `StorageUnavailable` when the database is not in UTF-8 or the
    role may not make a schema.
    """
    if await applied(database, schema) != [step.name for step in steps]:
        await database.write(lambda db: _take(db, schema, steps), lock=LOCK, timeout=MIGRATION_TIMEOUT)


async def applied(database: Database, schema: str) -> list[str]:
    """The names of the steps that have been taken, in order; none where there is no such schema."""
    return await database.read(lambda db: _applied(db, schema))


async def _take(db: Connection, schema: str, steps: Sequence[Step]) -> None:
    done = await _applied(db, schema)
    known = [step.name for step in steps]
    if MOVED in done:
        raise MovedAway(f"what was in the database's schema {schema} is kept elsewhere now")
    if unknown := [name for name in done if name not in known]:
        raise NewerVersion(
            f"the database's schema {schema} was made by a newer version ({unknown[-1]}); upgrade this program"
        )
    if not done:
        if (encoding := await db.fetchval("SELECT getdatabaseencoding()")) != "UTF8":
            raise StorageUnavailable(f"the database has the encoding {encoding}; make one with UTF8")
        await db.execute(_MAKE.format(schema=schema))
    for number, step in enumerate(steps):
        if step.name not in done:
            await db.execute(step.sql)
            await db.execute(f"INSERT INTO {schema}.migrations (number, name) VALUES ($1, $2)", number, step.name)


async def _applied(db: Connection, schema: str) -> list[str]:
    if not await is_there(db, schema, "migrations"):
        return []
    return [row[0] for row in await db.fetch(f"SELECT name FROM {schema}.migrations ORDER BY number, name")]


async def is_there(db: Connection | Database, schema: str, table: str) -> bool:
    """Whether the database has such a table."""
    # Not to_regclass: a session that waited for a lock may still answer from what it knew before.
    return bool(await db.fetchval(_IS_THERE, schema, table))


_IS_THERE = """
SELECT EXISTS (
    SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
)
"""

_MAKE = """
DO $$ BEGIN
    IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF;  -- an administrator may have made it
END $$;
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    name TEXT COLLATE "C" PRIMARY KEY, number INTEGER NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""
