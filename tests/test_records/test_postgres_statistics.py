"""PostgreSQL's statistics hold samples of columns; content is not among them, for no erasure reaches there (I8)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import msgspec
import pytest

from blobstore.catalogues.postgres.schema import CONTENT as CATALOGUE
from blobstore.postgres import Connection, Database, migrate
from records.centrals.postgres.schema import CONTENT as CENTRAL
from records.consent.scope import Selector
from records.engines.postgres.tables import CONTENT as RECORDS
from records.layout import Topology
from records.snapshots.database import SCHEMAS
from records.store import RecordStore
from tests.fakes.data_directory import CONNECTOR, MANIFEST, ingest, upload
from tests.fakes.postgres import Cluster

MARK = "a trace of it"

TABLES = (*RECORDS, *CENTRAL, *CATALOGUE)

_NO_CONTENT = """
connector copies created_at deleted_at digest erased_at erasure expires_at grant_id holder id kind namespace owner part
process registered_at revoked_at sha256 shard slot_id updated_at
"""
NO_CONTENT = frozenset(_NO_CONTENT.split())
"""Texts of these tables that tell nothing of what an owner stored: made here, or names of connectors."""

_COLUMNS = """
SELECT attname::text, atttypid::regtype::text FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND attidentity = '' ORDER BY attnum
"""
_VALUES = {
    "bytea": f"('{MARK} ' || n)::bytea",
    "text": f"'{MARK} ' || n",
    "boolean": "n % 2 = 0",
    "bigint": "n",
    "integer": "n",
    "double precision": "n",
}
_SAMPLED = """
SELECT tablename::text, attname::text, concat(most_common_vals, histogram_bounds) FROM pg_stats
WHERE schemaname = ANY($1)
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    for schema, steps in SCHEMAS.items():
        await migrate(database, schema, steps)
    yield database
    await database.close()


async def fill(db: Connection) -> None:
    """Rows that belong to no others, of which every text that may be content is marked."""
    await db.execute("SET LOCAL session_replication_role = replica")
    for table in TABLES:
        columns = await db.fetch(_COLUMNS, table)
        if table == "central.owners":  # has either a name or what stands for it
            columns = [column for column in columns if column[0] != "digest"]
        plain = NO_CONTENT - {"id"} if table == "central.instances" else NO_CONTENT
        values = ", ".join(f"n::text::{kind}" if name in plain else _VALUES[kind] for name, kind in columns)
        names = ", ".join(name for name, _ in columns)
        await db.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, 300) n")


async def test_no_column_with_content_is_sampled(database: Database) -> None:
    await database.write(fill)
    await database.write(lambda db: db.execute("ANALYZE"))
    sampled = await database.fetch(_SAMPLED, list(SCHEMAS))
    assert {table.partition(".")[2] for table in RECORDS} <= {row[0] for row in sampled}, "numbers are"
    shown = [(table, column) for table, column, pieces in sampled if MARK in pieces or MARK.encode().hex() in pieces]
    assert shown == []


async def test_what_was_erased_is_in_no_file_of_the_database(
    tmp_path: Path, postgres: Cluster, database_url: str
) -> None:
    """Where somebody had it sampled before, and has had the tables written anew since, as operators are told to."""
    async with AsyncExitStack() as stack:
        store = await RecordStore.open(tmp_path / "data", topology=Topology.POSTGRES, database_url=database_url)
        stack.push_async_callback(store.close)
        other = await asyncpg.connect(database_url)
        stack.push_async_callback(other.close)
        ann = await store.access.owner(f"ann {MARK}")
        await store.registry.register(ann, msgspec.json.encode({**MANIFEST, "display_name": MARK}))
        for n in range(20):
            blob = await upload(store, ann, b"%d" % n, f"{n} {MARK}")
            await ingest(store, ann, f"{n} {MARK}", [blob], text=f"{n} {MARK}")
        for n in range(5):
            await upload(store, ann, b"%d" % n, f"never {n} {MARK}")
        state = {"documents": msgspec.json.encode({"cursor": MARK})}
        await store.states.merge(ann, Selector(CONNECTOR), state)
        await other.execute("ANALYZE")
        await other.execute("CHECKPOINT")
        assert with_mark(postgres) != []
        done = await store.erasures.erase(ann, await store.erasures.coverage.of_owner(ann), wait=10)
        assert done.report.state == "done"
        for table in RECORDS:
            await other.execute(f"VACUUM (FULL) {table}")
        await other.execute("CHECKPOINT")
        assert with_mark(postgres) == []


def with_mark(postgres: Cluster) -> list[Path]:
    return [
        path for path in (postgres.data / "base").rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()
    ]
