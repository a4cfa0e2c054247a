"""Traces of known samples in the tables of a PostgreSQL database."""

import random
from collections.abc import AsyncIterator

import pytest

from blobstore.postgres import Database
from blobstore.postgres.tracing import PAGES, Tables

SAMPLE = b"the quick brown fox jumps over the lazy dog, twice"
OTHER = b"pack my box with five dozen liquor jugs and one more"

TABLES = """
CREATE SCHEMA first; CREATE SCHEMA second; CREATE SCHEMA strange;
CREATE TABLE first.records (owner TEXT, id BIGINT, data BYTEA, title TEXT);
CREATE TABLE first.outbox (namespace TEXT, body BYTEA);
CREATE TABLE second.records (body TEXT);
CREATE TABLE second."odd ""name" (body TEXT);
CREATE TABLE strange.records (body BYTEA);
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    await database.write(lambda db: db.execute(TABLES))
    yield database
    await database.close()


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database, ["first", "second"], ["outbox"])


async def hits(tables: Tables, owner: str | None = None) -> set[tuple[str, int]]:
    found = await tables.search([SAMPLE, OTHER], owner)
    return {(hit.path, hit.sample) for hit in found.hits}


async def test_a_run_is_found_in_any_column_of_any_table(
    database: Database, tables: Tables, rng: random.Random
) -> None:
    long = rng.randbytes(3_000_003) + SAMPLE[7:45] + rng.randbytes(1_000_001)
    await database.execute("INSERT INTO first.records (owner, data, title) VALUES ('o1', $1, 'x')", long)
    await database.execute('INSERT INTO second."odd ""name" VALUES ($1)', "…" + OTHER.decode())
    await database.execute("INSERT INTO strange.records VALUES ($1)", OTHER)
    assert await hits(tables) == {("first.records", 0), ('second."odd ""name"', 1)}


async def test_of_one_owner_only_rows_of_that_owner_are_looked_at(database: Database, tables: Tables) -> None:
    for owner, text in (("o1", SAMPLE), ("o2", OTHER)):
        await database.execute("INSERT INTO first.records (owner, data) VALUES ($1, $2)", owner, text)
        await database.execute("INSERT INTO first.outbox VALUES ($1, $2)", owner, text)
    assert await hits(tables, "o2") == {("first.records", 1), ("first.outbox", 1)}
    with pytest.raises(ValueError, match="letters"):
        await hits(tables, "o' OR TRUE")


async def test_what_a_silent_table_shows_is_not_called_living(database: Database, tables: Tables) -> None:
    await database.execute("INSERT INTO first.outbox VALUES ('o1', $1)", SAMPLE)
    await database.execute("INSERT INTO first.records (data) VALUES ($1)", OTHER)
    assert await tables.living([SAMPLE, OTHER]) == {1}


async def test_all_pages_of_a_large_table_are_looked_at(
    database: Database, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blobstore.postgres.tracing.PAGES", 3)
    assert PAGES > 3
    await database.execute("INSERT INTO first.records (id) SELECT * FROM generate_series(1, 3000)")
    await database.execute("INSERT INTO first.records (data) VALUES ($1)", SAMPLE)
    await database.execute("INSERT INTO first.records (id) SELECT * FROM generate_series(1, 3000)")
    found = await tables.search([SAMPLE, OTHER], None)
    assert [hit.sample for hit in found.hits] == [0]
    assert found.bytes > 6000 * 20
