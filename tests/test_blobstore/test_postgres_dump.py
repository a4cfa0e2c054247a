"""Copies of whole schemas of PostgreSQL: of one moment, complete, and never loaded over something else."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobstore.errors import Damaged, NewerVersion, StorageUnavailable
from blobstore.postgres import Database, Step, migrate
from blobstore.postgres.dump import ABOUT, dump, load
from blobstore.postgres.restoring import begin, end, require_restored
from tests.fakes.postgres import Cluster, statement

FIRST = Step(
    "first",
    """
CREATE TABLE one.parents (name TEXT COLLATE "C" PRIMARY KEY, id BIGINT GENERATED ALWAYS AS IDENTITY);
CREATE TABLE one.a_child (parent TEXT COLLATE "C" REFERENCES one.parents, data BYTEA, number BIGINT,
    ratio DOUBLE PRECISION, yes BOOLEAN);
CREATE TABLE one.numbering (given BIGINT NOT NULL);
INSERT INTO one.numbering VALUES (0)
""",
)
SECOND = Step("second", "ALTER TABLE one.parents ADD COLUMN more TEXT NOT NULL DEFAULT 'none'")
OTHER = Step("other", "CREATE TABLE two.single (n BIGINT)")
SCHEMAS = {"one": [FIRST], "two": [OTHER]}


@pytest.fixture
async def source(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    for schema, steps in SCHEMAS.items():
        await migrate(database, schema, steps)
    yield database
    await database.close()


@pytest.fixture
async def target(postgres: Cluster) -> AsyncIterator[Database]:
    name = await postgres.database()
    database = await Database.open(postgres.url(name))
    yield database
    await database.close()
    await postgres.drop(name)


async def everything(database: Database) -> list[object]:
    sql = "SELECT * FROM one.{} ORDER BY 1, 2".format
    children = await database.fetch(sql("a_child") + ", 3")
    others = [await database.fetch("SELECT * FROM one.numbering"), await database.fetch("SELECT * FROM two.single")]
    return [await database.fetch(sql("parents")), children, *others]


async def filled(source: Database, rng: random.Random) -> None:
    names = [f"p\U0001f600{n}" for n in range(200)]
    await source.executemany("INSERT INTO one.parents (name) VALUES ($1)", [(name,) for name in names])
    children = [(rng.choice(names), rng.randbytes(rng.randrange(3000)), n, rng.random(), None) for n in range(500)]
    await source.executemany("INSERT INTO one.a_child VALUES ($1, $2, $3, $4, $5)", children)
    await source.execute("UPDATE one.numbering SET given = 7")
    await source.execute("INSERT INTO two.single VALUES (NULL), (-1)")


async def dumped(source: Database, folder: Path) -> Path:
    async with source.moment() as moment:
        await dump(moment, list(SCHEMAS), folder)
    return folder


async def test_what_was_dumped_is_loaded_to_the_last_value(
    source: Database, target: Database, tmp_path: Path, rng: random.Random
) -> None:
    await filled(source, rng)
    await load(target, SCHEMAS, await dumped(source, tmp_path))
    assert await everything(target) == await everything(source)


async def test_what_is_only_of_the_moment_is_left_out_and_loaded_as_empty(
    source: Database, target: Database, tmp_path: Path, rng: random.Random
) -> None:
    await filled(source, rng)
    async with source.moment() as moment:
        await dump(moment, list(SCHEMAS), tmp_path, ["one.a_child", "two.parents"])
    assert not (tmp_path / "one.a_child").exists()
    await load(target, SCHEMAS, tmp_path, ["one.a_child"])
    assert await target.fetchval("SELECT count(*) FROM one.a_child") == 0
    assert await target.fetchval("SELECT count(*) FROM one.parents") == 200


async def test_a_dump_is_of_one_moment_and_numbers_are_never_given_again(
    source: Database, target: Database, tmp_path: Path, rng: random.Random
) -> None:
    await filled(source, rng)
    before = await everything(source)
    async with source.moment() as moment:
        await source.execute("INSERT INTO one.parents (name) VALUES ('late')")
        await source.execute("DELETE FROM one.a_child")
        assert await moment.fetchval("SELECT count(*) FROM one.a_child") == 500
        await dump(moment, list(SCHEMAS), tmp_path)
    await load(target, SCHEMAS, tmp_path)
    assert await everything(target) == before
    fresh = await target.write(lambda db: db.fetchval("INSERT INTO one.parents (name) VALUES ('fresh') RETURNING id"))
    assert fresh == 202


async def test_a_dump_of_an_older_version_is_migrated_and_one_of_a_newer_is_refused(
    source: Database, target: Database, tmp_path: Path, rng: random.Random
) -> None:
    await filled(source, rng)
    await dumped(source, tmp_path)
    await load(target, {"one": [FIRST, SECOND], "two": [OTHER]}, tmp_path)
    assert await target.fetchval("SELECT count(*) FROM one.parents WHERE more = 'none'") == 200
    for schema in SCHEMAS:
        await target.write(statement(f"DROP SCHEMA {schema} CASCADE"))
    with pytest.raises(NewerVersion):
        await load(target, {"one": [], "two": [OTHER]}, tmp_path)


async def test_nothing_is_loaded_over_something(source: Database, tmp_path: Path) -> None:
    await dumped(source, tmp_path)
    with pytest.raises(StorageUnavailable, match="already"):
        await load(source, SCHEMAS, tmp_path)


async def test_a_dump_that_lacks_its_description_is_damaged(source: Database, target: Database, tmp_path: Path) -> None:
    await dumped(source, tmp_path)
    (tmp_path / ABOUT).unlink()
    with pytest.raises(Damaged):
        await load(target, SCHEMAS, tmp_path)


async def test_who_was_cut_off_begins_anew_and_others_keep_away(
    source: Database, target: Database, tmp_path: Path
) -> None:
    await dumped(source, tmp_path)
    with pytest.raises(StorageUnavailable, match="not empty"):
        await begin(source, "mine", SCHEMAS)
    await require_restored(source)
    assert await begin(target, "mine", SCHEMAS)
    await load(target, SCHEMAS, tmp_path)
    with pytest.raises(StorageUnavailable, match="being restored"):
        await require_restored(target)
    with pytest.raises(StorageUnavailable, match="another copy"):
        await begin(target, "another's", SCHEMAS)
    assert await begin(target, "mine", SCHEMAS)
    await load(target, SCHEMAS, tmp_path)
    await end(target)
    await require_restored(target)
    assert not await begin(target, "mine", SCHEMAS)
    assert await everything(target) == await everything(source)
