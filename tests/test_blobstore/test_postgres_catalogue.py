"""What the catalogue in PostgreSQL must bear beside the suite of catalogues: many processes, names of any kind."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from blobstore.catalogue import Pin, State
from blobstore.catalogues.postgres import PostgresCatalogue, collection, holders, leaving, uploads
from blobstore.postgres import Connection, Database
from blobstore.postgres.transaction import BY_KEY, BY_SET
from tests.conformance.catalogue_values import (
    DAY,
    NOW,
    OWNER,
    SLACK,
    claim_of,
    digest_of,
    lease_of,
    link,
    orphan,
    upload,
)
from tests.fakes.postgres import Cluster
from tests.fakes.warm import launch

PROCESSES = 4


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
async def catalogue(database: Database) -> PostgresCatalogue:
    return await PostgresCatalogue.open(database)


@pytest.fixture
def postgres_files(postgres: Cluster) -> Callable[[bytes], int]:
    """Counts the files of tables and indexes in the cluster that hold these bytes."""

    def count(searched: bytes) -> int:
        return sum(searched in path.read_bytes() for path in (postgres.data / "base").rglob("*") if path.is_file())

    return count


async def test_everything_is_there_after_reopening(catalogue: PostgresCatalogue, database: Database) -> None:
    stored = await upload(catalogue, b"data", 1)
    await catalogue.lease(lease_of(2))
    again = await PostgresCatalogue.open(database)
    assert await again.store_id() == await catalogue.store_id()
    assert await again.find(OWNER, digest_of(b"data")) == stored
    assert await again.leases() == [lease_of(2)]


async def test_marks_that_somebody_else_broke_are_set_right(catalogue: PostgresCatalogue, database: Database) -> None:
    await upload(catalogue, b"used", 1)
    await orphan(catalogue, b"loose", 2)
    await database.execute("UPDATE catalogue.blobs SET orphaned_at = CASE WHEN orphaned_at IS NULL THEN 1 END")
    await catalogue.remark(OWNER, [digest_of(b"used"), digest_of(b"loose")], NOW + 9)
    marks = {each.stored.name.digest: each.orphaned_at for each in await catalogue.survey(None, 10)}
    assert marks == {digest_of(b"used"): None, digest_of(b"loose"): NOW + 9}


async def test_names_may_hold_anything_and_be_long(catalogue: PostgresCatalogue, rng: random.Random) -> None:
    # Of characters that do not compress: an entry of an index has at most 2,704 bytes.
    holder = "\0" + "".join(chr(rng.randrange(0x10000, 0x110000)) for _ in range(511))
    beginning = "".join(chr(rng.randrange(0x10000, 0x110000)) for _ in range(2000))
    slots = [beginning + end for end in ("a", "b", "\U0010ffff", "\U0010ffff\U0010ffff", "\0")]
    for number, slot in enumerate(slots):
        await upload(catalogue, b"data", number, claim_of(slot, holder, "scope\0", "text/\0"))
    claims = await catalogue.claims_by(OWNER, holder, 2)
    while page := await catalogue.claims_by(OWNER, holder, 2, (claims[-1].claim.slot, claims[-1].digest)):
        claims += page
    assert [each.claim.slot for each in claims] == sorted(slots)
    assert (claims[0].claim.holder, claims[0].claim.scope, claims[0].claim.media_type) == (holder, "scope\0", "text/\0")
    await catalogue.drop_claims(OWNER, holder, scope=None, beginning=beginning + "\U0010ffff", now=NOW)
    assert len(await catalogue.claims_of(OWNER, digest_of(b"data"))) == 3


async def test_a_pin_waits_for_garbage_that_is_being_condemned(
    catalogue: PostgresCatalogue, database: Database
) -> None:
    """Who had looked for pins before it was there has committed before it is."""
    await orphan(catalogue, b"data", 1)

    async def hold_back(db: Connection) -> None:
        # The condemnation has looked, found no pin, and waits for a row.
        await db.execute("SELECT 1 FROM catalogue.blobs FOR UPDATE")
        condemning = asyncio.create_task(catalogue.condemn(OWNER, [digest_of(b"data")], "garbage", NOW + DAY))
        while not await database.fetchval("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.01)
        pinning = asyncio.create_task(catalogue.pin(Pin("backup", OWNER, "process", NOW + DAY)))
        done, _ = await asyncio.wait([pinning], timeout=0.2)
        assert not done
        tasks.extend([condemning, pinning])

    tasks: list[asyncio.Task[object]] = []
    await database.write(hold_back)
    await asyncio.gather(*tasks)
    assert await catalogue.find(OWNER, digest_of(b"data")) is None


async def test_holds_and_releases_at_once_keep_the_blob_or_refuse_the_hold(
    catalogue: PostgresCatalogue, sized: Callable[[int, int], int]
) -> None:
    for number in range(sized(15, 200)):
        data = b"%d" % number
        await upload(catalogue, data, number)
        await link(catalogue, data)
        counted = await catalogue.holders(OWNER, SLACK, [digest_of(data)])
        held, *_ = await asyncio.gather(
            catalogue.hold(OWNER, SLACK, [digest_of(data)], NOW),
            catalogue.release(OWNER, counted, NOW),
            catalogue.condemn(OWNER, [digest_of(data)], "garbage"),
        )
        condemned = await catalogue.condemn(OWNER, [digest_of(data)], "garbage")
        assert bool(held) == (await catalogue.find(OWNER, digest_of(data)) is not None)
        assert not condemned or not held
    assert await catalogue.recount(repair=False) == []


async def test_several_processes_on_one_database_lose_nothing(
    catalogue: PostgresCatalogue, database_url: str, forks: Path, sized: Callable[[int, int], int]
) -> None:
    steps = sized(15, 500)
    processes = [
        launch(forks, "tests.fakes.catalogue_worker", database_url, number, steps) for number in range(PROCESSES)
    ]
    waiting = asyncio.gather(*(asyncio.to_thread(each.end) for each in processes))
    drained: list[int] = []
    while True:
        over = waiting.done()
        events = await catalogue.outbox(20)
        drained += [event.seq for event in events]
        await catalogue.drained(drained[-1] if drained else 0)
        if over and not events:
            break
    await waiting
    assert drained == list(range(1, PROCESSES * steps + 1))
    assert await catalogue.recount(repair=False) == []
    assert await catalogue.leases() == []
    live = [each for each in await catalogue.walk(None, 1000) if each.state is State.LIVE]
    assert len(live) == len({(each.name.namespace, each.name.digest) for each in live})


async def test_volumes_that_somebody_else_broke_are_found_and_set_right(
    catalogue: PostgresCatalogue, database: Database
) -> None:
    await upload(catalogue, b"data", 1)
    right = await catalogue.volumes()
    await database.execute("UPDATE catalogue.volumes SET stored = 99 WHERE holder = ''")
    await database.execute("INSERT INTO catalogue.volumes VALUES ('other', 'x', 1, 1)")
    await database.execute("DELETE FROM catalogue.volumes WHERE holder = $1", SLACK.encode())
    assert len(await catalogue.recount(repair=False)) == 3
    assert len(await catalogue.recount(repair=True)) == 3
    assert await catalogue.recount(repair=False) == []
    assert await catalogue.volumes() == right


async def test_a_check_goes_through_tables_and_indexes_where_it_may(
    catalogue: PostgresCatalogue, database: Database
) -> None:
    await upload(catalogue, b"data", 1)
    await database.write(lambda db: db.execute("CREATE EXTENSION amcheck SCHEMA public"))
    assert await catalogue.check() == []
    sql = "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'catalogue.blobs_live'::regclass"
    await database.execute(sql)
    assert await catalogue.check() == ["catalogue.blobs_live is not valid: REINDEX it"]


async def test_what_was_erased_is_in_no_file_of_the_database_after_sanitizing(
    catalogue: PostgresCatalogue, database: Database, postgres_files: Callable[[bytes], int]
) -> None:
    for number in range(50):
        await upload(catalogue, b"data %d" % number, number, claim_of(f"a secret slot {number}"))
    await database.outside(lambda db: db.execute("CHECKPOINT"), timeout=60)
    assert postgres_files(b"a secret slot") > 0
    await catalogue.drop_claims(OWNER, SLACK, scope=None, beginning="a secret slot", now=NOW)
    assert await catalogue.sanitize(60)
    await database.outside(lambda db: db.execute("CHECKPOINT"), timeout=60)
    assert postgres_files(b"a secret slot") == 0


async def test_sanitizing_gives_up_in_time_where_somebody_reads(
    catalogue: PostgresCatalogue, database: Database
) -> None:
    async def meanwhile(db: Connection) -> bool:
        await db.fetch("SELECT 1 FROM catalogue.claims")
        return await catalogue.sanitize(0.5)

    assert not await database.read(meanwhile)
    assert await catalogue.sanitize(60)


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_namespace_that_statistics_do_not_know_is_not_gone_through(
    catalogue: PostgresCatalogue, database: Database, analyzed: bool
) -> None:
    if analyzed:  # also where they say that there is nothing
        await database.outside(lambda db: db.execute("VACUUM ANALYZE"), timeout=60)
    await _fill(database, "'owner' || i % 50", 2000)
    if analyzed:
        await database.write(lambda db: db.execute("ANALYZE"))
    await _fill(database, "'fresh'", 2000)
    blob = await database.fetchval("SELECT sha256('77'::bytea)")
    assert await _touched(database, uploads._ADOPT, (blob, blob, 5, "fresh", "none"), BY_KEY) < 50
    assert await _touched(database, uploads._END, ("fresh", "none", blob), BY_KEY) < 50
    for sql, values in (
        (holders._HOLD, ("fresh", b"slack", [blob], NOW)),
        (holders._SETTLE, ("fresh", b"slack", [blob], [blob], [b"x"])),
        (holders._RELEASE, ("fresh", [blob], [b"slack"], "{5}")),
        (leaving._LET_GO, (["fresh"], [blob], [b"slack"], NOW)),
        (collection._CONDEMN, ("fresh", [blob], "garbage", None)),
        (collection._BURY, (["fresh"], [blob], ["none"])),
        (collection._FORGET_ALL, (["fresh"], [blob])),
    ):
        assert await _touched(database, sql, values, BY_SET) < 50, sql


async def _fill(database: Database, namespace: str, count: int) -> None:
    for table, columns in (
        ("blobs", "md5(i::text), sha256(i::text::bytea), 10, 'live', i"),
        ("holders", "'slack', i, TRUE"),
        ("former", "'slack'"),
        ("claims", "'slack', md5(i::text)::bytea, i::text::bytea, 's', 't', 1e12"),
    ):
        await database.execute(
            f"INSERT INTO catalogue.{table} SELECT {namespace}, sha256(i::text::bytea), {columns}"
            f" FROM generate_series(1, {count}) i"
        )


async def _touched(database: Database, sql: str, values: tuple[object, ...], settings: str) -> int:
    """The rows that some part of the statement gave or looked at in vain, at most."""

    async def explain(db: Connection) -> int:
        await db.execute(f"PREPARE asked AS {sql}")  # by key its plan is the one for any values
        literals = ", ".join(map(_literal, values))
        plan = json.loads(await db.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({literals})"))
        await db.execute("DEALLOCATE asked; ROLLBACK; BEGIN")
        return _most(plan[0]["Plan"])

    return await database.write(explain, settings=settings)


def _most(plan: dict[str, Any]) -> int:
    seen: int = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return max([seen, *map(_most, plan.get("Plans", []))])


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"'\\x{value.hex()}'"
        case list():
            return f"ARRAY[{', '.join(map(_literal, value))}]::{'bytea' if isinstance(value[0], bytes) else 'text'}[]"
    return f"'{value}'"
