"""Steps that bring a schema of the database to the present version, each done once, whoever comes first."""

import asyncio
import random
import time
from collections.abc import Sequence

from blobstore.errors import MovedAway, StorageUnavailable
from blobstore.postgres.admission import MOVED, Step, alone, require_known
from blobstore.postgres.database import Connection, Database
from blobstore.postgres.errors import is_lock_timeout

__all__ = ["LOCK", "MOVED", "Step", "applied", "is_there", "migrate"]

LOCK = "blobstore migrations"
"""Held by who makes or migrates a schema: CREATE … IF NOT EXISTS of several sessions at once fails."""

MIGRATION_TIMEOUT = 3600.0
"""Seconds that a process waits for its own steps, or for another's."""

LOCK_TIMEOUT = "1s"
"""How long a step waits for a table that others use: all who come after it wait meanwhile. It is tried again."""

PATIENCE = 600.0
"""Seconds for which it is tried again: a backup, or an export, may read from a table for long."""


async def migrate(database: Database, schema: str, steps: Sequence[Step]) -> None:
    """Make the schema if need be, and take the steps that have not been taken, in order, all or none.

    Any number of processes may do so at once, and others go on using the schema. Raises `NewerVersion` when a step was
    taken that is not among these and must be known, `MovedAway` when the schema has moved away, `StorageUnavailable`
    when the database is not in UTF-8, the role may not make a schema, or programs use it that would not know a step.
    """
    if list(await applied(database, schema)) == [step.name for step in steps]:
        return
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await database.write(lambda db: _take(db, schema, steps), lock=LOCK, timeout=MIGRATION_TIMEOUT)
            return
        except StorageUnavailable as error:
            if not is_lock_timeout(error.__cause__) or time.monotonic() >= deadline:
                raise
            await asyncio.sleep(random.uniform(1.0, 2.0))  # noqa: S311 -- who waited for us comes first


async def applied(database: Database, schema: str) -> dict[str, bool]:
    """The names of the steps that have been taken, in order, and whether each is additive; none without the schema."""
    return await database.read(lambda db: _applied(db, schema))


async def _take(db: Connection, schema: str, steps: Sequence[Step]) -> None:
    done = await _applied(db, schema)
    if MOVED in done:
        raise MovedAway(f"what was in the database's schema {schema} is kept elsewhere now")
    require_known(schema, [step.name for step in steps], done)
    left = [(number, step) for number, step in enumerate(steps) if step.name not in done]
    if not done:
        if (encoding := await db.fetchval("SELECT getdatabaseencoding()")) != "UTF8":
            raise StorageUnavailable(f"the database has the encoding {encoding}; make one with UTF8")
        await db.execute(_MAKE.format(schema=schema))
    elif left:
        await db.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        if any(not step.additive for _, step in left) and not await alone(db, schema, steps):
            raise StorageUnavailable(
                f"the database's schema {schema} is in use by programs of the version before, which would not know"
                f" what {left[-1][1].name} does: stop all of them, then start this one"
            )
    for number, step in left:
        await db.execute(step.sql)
        insert = f"INSERT INTO {schema}.migrations (number, name, additive) VALUES ($1, $2, $3)"
        await db.execute(insert, number, step.name, step.additive)


async def _applied(db: Connection, schema: str) -> dict[str, bool]:
    if not await is_there(db, schema, "migrations"):
        return {}
    rows = await db.fetch(f"SELECT name, additive FROM {schema}.migrations ORDER BY number, name")
    return {row[0]: row[1] for row in rows}


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
    name TEXT COLLATE "C" PRIMARY KEY, number INTEGER NOT NULL, additive BOOLEAN NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""
