"""Whose a schema of a database is: a name in its table `bound`, kept from the first time that it is told."""

from blobstore.postgres.database import Connection, Database

BOUND = "CREATE TABLE {schema}.bound (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), name TEXT NOT NULL)"
"""For the first step of a schema that is bound."""


async def bind(database: Database, schema: str, name: str) -> str:
    """The name that the schema has; this one, if it had none."""
    known: str | None = await database.fetchval(f"SELECT name FROM {schema}.bound")
    if known is not None:
        return known
    return await database.write(lambda db: _bind(db, schema, name))


async def _bind(db: Connection, schema: str, name: str) -> str:
    await db.execute(f"INSERT INTO {schema}.bound (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
    bound: str = await db.fetchval(f"SELECT name FROM {schema}.bound")
    return bound
