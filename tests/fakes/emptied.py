"""Databases whose tables are made once for many tests: each test finds what making them left, as in a new database.

To make a database, its tables, and to drop it costs PostgreSQL fifty times what it costs to delete some rows. Whoever
makes tables, takes some away, or has PostgreSQL look at how they are filled, leaves a database that nobody gets again.
A test of plans, of files or of how tables are made takes the fixture `database_url`.
"""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from blobstore.catalogues.postgres import PostgresCatalogue
from blobstore.postgres import Database
from records.centrals.postgres import PostgresCentral
from records.engines.postgres import PostgresEngines
from tests.fakes.postgres import Cluster

GROWTH = 4 << 20
"""Bytes of dead rows after which a database has served: scans, and what the planner expects, stay as they were."""

_OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname != 'information_schema'"
_TABLES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND {_OURS} ORDER BY 1, 2
"""
_SEQUENCES = f"""
SELECT setval(c.oid, s.seqstart, false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid WHERE {_OURS}
"""
_SHAPE = f"""
SELECT ARRAY[
    (SELECT count(*) FROM pg_namespace n WHERE {_OURS}),
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}),
    (SELECT sum(c.relpages + c.reltuples)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE {_OURS}),
    (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384),
    (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}),
    (SELECT max(oid::bigint) FROM pg_class WHERE relnamespace != pg_my_temp_schema()),
    (SELECT max(oid::bigint) FROM pg_proc), (SELECT count(*) FROM pg_proc),
    (SELECT count(*) FROM pg_trigger), (SELECT max(oid::bigint) FROM pg_trigger),
    (SELECT count(*) FROM pg_constraint), (SELECT max(oid::bigint) FROM pg_constraint),
    (SELECT count(*) FROM pg_attribute WHERE NOT attisdropped), (SELECT count(*) FROM pg_db_role_setting)
]
"""
_ALONE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid != pg_backend_pid() AND backend_type = 'client backend'"
)


Maker = Callable[[str], Awaitable[None]]
"""Makes tables in the empty database of which it is given the URL."""


async def catalogue_tables(url: str) -> None:
    """Those of a catalogue."""
    database = await Database.open(url)
    await PostgresCatalogue.open(database)
    await database.close()


async def central_tables(url: str) -> None:
    """Those of a central store."""
    database = await Database.open(url)
    await (await PostgresCentral.open(database)).close()
    await database.close()


async def engine_tables(url: str) -> None:
    """Those of the record engine."""
    database = await Database.open(url)
    await (await PostgresEngines.open(database)).close()
    await database.close()


@dataclass(slots=True)
class Lent:
    """A database, and what was in it when its tables had been made."""

    made: Maker
    name: str
    url: str
    shape: list[int] = field(default_factory=list)
    size: int = 0
    tables: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[tuple[str, str], bytes] = field(default_factory=dict)

    async def look(self) -> None:
        """Remember what there is."""
        db = await asyncpg.connect(self.url)
        try:
            self.shape = await db.fetchval(_SHAPE)
            self.size = await db.fetchval("SELECT pg_database_size(current_database())")
            self.tables = [(row[0], row[1]) for row in await db.fetch(_TABLES)]
            for schema, table in self.tables:
                rows = io.BytesIO()
                told = await db.copy_from_table(table, schema_name=schema, output=rows, format="binary")
                if told != "COPY 0":
                    self.rows[schema, table] = rows.getvalue()
        finally:
            await db.close()

    async def empty(self) -> bool:
        """Leave the rows that were there at first and no others; False where it cannot be as it was."""
        db = await asyncpg.connect(self.url)
        try:
            await db.execute(_ALONE)
            if await db.fetchval(_SHAPE) != self.shape:
                return False
            async with db.transaction():
                # No trigger fires, no reference is looked at: all is as it was when this commits.
                deleting = "".join(f';DELETE FROM "{schema}"."{table}"' for schema, table in self.tables)
                await db.execute(f"SET LOCAL session_replication_role = replica{deleting};{_SEQUENCES}")
                for (schema, table), rows in self.rows.items():
                    await db.copy_to_table(table, schema_name=schema, source=io.BytesIO(rows), format="binary")
            size: int = await db.fetchval("SELECT pg_database_size(current_database())")
            return size <= self.size + GROWTH
        finally:
            await db.close()


class Emptied:
    """The databases of one cluster that wait for the next test."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[Maker, list[Lent]] = {}

    @asynccontextmanager
    async def lent(self, made: Maker) -> AsyncIterator[str]:
        """The URL of a database for this block, as `made` left it."""
        one = await self.lend(made)
        yield one.url
        await self.give_back(one)

    async def lend(self, made: Maker) -> Lent:
        """A database as `made` left it, for one test, which gives it back."""
        if waiting := self._waiting.get(made):
            return waiting.pop()
        name = await self._cluster.database()
        one = Lent(made, name, self._cluster.url(name))
        await made(one.url)
        await one.look()
        return one

    async def give_back(self, one: Lent) -> None:
        """Have the next test find nothing of this one's."""
        if await one.empty():
            self._waiting.setdefault(one.made, []).append(one)
        else:
            await self._cluster.drop(one.name)
