"""What the engine in PostgreSQL promises beyond the port: many processes, and work that does not grow."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from blobstore.errors import StorageUnavailable
from blobstore.postgres import Database
from records.engine import Engine
from records.engines.postgres import PostgresEngines, walk
from records.model import Order, OutboxEvent, Partition, Target
from records.reading.paging import position
from tests.conformance.engine_values import MESSAGES, SLACK, T1, T2, USERS, apply, delete, digest_of, link_of, put
from tests.fakes.warm import launch
from tests.test_records.test_sqlite_engine import CALLS, everything

ROOT = Path(__file__).parents[2]
OWNER = "o1"


@pytest.fixture
async def engines(database_url: str) -> AsyncIterator[PostgresEngines]:
    database = await Database.open(database_url)
    engines = await PostgresEngines.open(database)
    yield engines
    await engines.close()
    await database.close()


@pytest.fixture
async def engine(engines: PostgresEngines) -> Engine:
    return await engines.of(OWNER)


@pytest.fixture
async def outsider(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else at the same database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_all_of_it_is_there_for_another_process(engine: Engine, database_url: str) -> None:
    for place in (MESSAGES, USERS):
        await apply(engine, place, *(put(str(n), "text", link_of(n % 3), at=n) for n in range(10)), delete("3"))
    await engine.fence(SLACK, "one")
    await engine.recount(SLACK, [])
    await engine.note(b"event")
    database = await Database.open(database_url)
    other = await PostgresEngines.open(database)
    assert await other.find("o2") is None
    again = await other.find(OWNER)
    assert again is not None
    assert await everything(again) == await everything(engine)
    await other.close()
    await database.close()


async def test_a_closed_engine_answers_that_it_is_unavailable(engine: Engine, engines: PostgresEngines) -> None:
    await engines.close()
    with pytest.raises(StorageUnavailable):
        await apply(engine, MESSAGES, put("a"))
    with pytest.raises(StorageUnavailable):
        await engines.of("o2")


@pytest.mark.parametrize("owner", ["", "../o1", "O1", "o\0", "o1\n", "ö1"])
async def test_no_owner_has_a_name_that_is_no_owners_id(engines: PostgresEngines, owner: str) -> None:
    with pytest.raises(ValueError, match="owner's id"):
        await engines.of(owner)


async def test_names_and_pointers_may_be_as_long_as_they_are_allowed(engine: Engine, rng: random.Random) -> None:
    """Of characters that do not compress: an index takes 2,704 bytes."""
    long = ["".join(chr(rng.randrange(0x10000, 0x110000)) for _ in range(512)) for _ in range(3)]
    place = Partition(*long)
    key = "".join(chr(rng.randrange(0x80, 0x800)) for _ in range(512))
    cursor = "".join(chr(rng.randrange(0x80, 0x800)) for _ in range(500))
    pointer = "/" + "".join(chr(rng.randrange(0x10000, 0x110000)) for _ in range(5000))
    await apply(engine, place, put(key, "", link_of(1, pointer), at=cursor), put("b", "", link_of(1, pointer)))
    await engine.fence(place.connector, place.instance)
    await engine.erase(Target(place.connector, place.instance, place.stream, "b"), T2, 10, "e")
    assert [link.link for link in await engine.links_of(digest_of(1))] == [link_of(1, pointer)]
    assert (await engine.erase(Target(place.connector, place.instance), T2, 10, "e2")).records == 1


async def test_records_can_be_read_with_psql(engine: Engine, outsider: asyncpg.Connection) -> None:
    await apply(engine, MESSAGES, put("é", "text", link_of(1)), put("a\0"))
    rows = await outsider.fetch("SELECT * FROM records.readable WHERE key = 'é'")
    assert [dict(row) for row in rows] == [
        {
            "owner": OWNER,
            "connector": SLACK,
            "instance": "one",
            "stream": "messages",
            "key": "é",
            "emitted_at": T1,
            "version": 1,
            "links": 1,
            "data": put("é", "text").data.decode(),
        }
    ]
    assert await outsider.fetchval("SELECT count(*) FROM records.readable") == 2


@pytest.mark.parametrize("order", Order)
async def test_a_page_of_many_partitions_is_the_same_however_it_is_found(
    engine: Engine, rng: random.Random, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [Partition(SLACK, f"{n:02}", "messages") for n in range(12)]
    for place in places[1:]:
        keys = rng.sample("abcdefghijkl", rng.randrange(1, 12))
        await apply(engine, place, *(put(key, at=rng.choice([None, 1, 2, 2, 3, "x"])) for key in keys))
    everything = (await engine.page(places, order, None, 1000)).records
    for limit in (1, 3, 20, 200):
        for max_bytes in (None, 200):
            for after in (None, *(position(each) for each in rng.sample(everything, 8))):
                found = []
                for few in (0, 100):
                    monkeypatch.setattr(walk, "FEW", few)
                    found.append(await engine.page(places, order, after, limit, max_bytes=max_bytes))
                assert found[0] == found[1]


# -- check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("UPDATE records.partitions SET records = 7 WHERE records = 3", "counts 7 records, but has 3"),
        ("UPDATE records.partitions SET bytes = 0", "counts 0 bytes, but has 70"),
        ("UPDATE records.partitions SET links = 1 WHERE links = 2", "counts 1 links, but has 2"),
        ("UPDATE records.tombstones SET version = 9", "is at version 2, but has a tombstone of version 9"),
        (
            "UPDATE records.partitions SET updated_at = '2020' WHERE records = 3",
            f"was updated at 2020, but has a record of {T1}",
        ),
        (
            "INSERT INTO records.tombstones VALUES ('o1', 'x', 1, 'k', '', '', 0)",
            "there are rows of partition 78, but no such partition",
        ),
        ("UPDATE records.history SET version = until", "remembers 1 states that ended before they began"),
        ("UPDATE records.history SET until = 9 WHERE until = 2", "remembers 1 states that were superseded by none"),
        ("UPDATE records.partitions SET floor = 9 WHERE records = 3", "has forgotten what was before 9, but is at"),
        ("DELETE FROM records.links WHERE key = 'a'", "has 1 records whose links are not those that they count"),
        ("UPDATE records.links SET connector = 'x' WHERE key = 'a'", "has 1 links of another connector"),
        (
            "UPDATE records.links SET key = 'x' WHERE key = 'a'",
            "has 1 links of records that are not there",
        ),
    ],
)
async def test_check_finds_what_disagrees(
    engine: Engine, outsider: asyncpg.Connection, damage: str, sentence: str
) -> None:
    await apply(engine, MESSAGES, put("a", "", link_of(1)), put("b", "", link_of(1)), put("c"), put("c", "1"))
    await apply(engine, USERS, put("a"), delete("a"))
    assert await engine.check() == []
    await outsider.execute(damage)
    assert any(sentence in found for found in await engine.check())


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("UPDATE records.linked SET blobs = 9 WHERE stream = ''", "and 9 blobs of"),
        ("DELETE FROM records.linked", "counts 0 links"),
        ("UPDATE records.months SET bytes = bytes + 1", "of month 2026-"),
    ],
)
async def test_wrong_sums_are_found_and_mended(
    engine: Engine, outsider: asyncpg.Connection, damage: str, sentence: str
) -> None:
    await apply(engine, MESSAGES, put("a", "", link_of(1)), put("b", "", link_of(1)), put("c"))
    sums = await engine.sums()
    await outsider.execute(damage)
    assert any(sentence in found for found in await engine.resum(repair=True))
    assert await engine.resum(repair=False) == []
    assert await engine.sums() == sums


# -- erasing -------------------------------------------------------------------------------------------------------


async def test_sanitizing_waits_for_a_snapshot_and_says_so(engine: Engine, outsider: asyncpg.Connection) -> None:
    await apply(engine, MESSAGES, *(put(str(n), "x" * 100) for n in range(100)))
    async with outsider.transaction(isolation="repeatable_read"):
        await outsider.fetchval("SELECT count(*) FROM records.records")
        while not (await engine.erase(Target(SLACK), T2, 30)).finished:
            pass
        assert await engine.sanitize(0.2) is False
    assert await engine.sanitize(30.0) is True
    dead = "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relid = 'records.records'::regclass"
    assert await outsider.fetchval(dead) == 0
    assert await engine.sanitize(0.0) is True  # nothing to do


async def test_going_through_everything_may_be_given_up(engine: Engine) -> None:
    for start in range(0, 3000, 500):
        await apply(engine, MESSAGES, *(put(f"{n:05}") for n in range(start, start + 500)))
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def see(records: Iterable[object]) -> int:
        loop.call_soon_threadsafe(begun.set)
        return sum(1 for _ in records)

    visiting = asyncio.ensure_future(engine.visit([MESSAGES], see))
    await begun.wait()
    visiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visiting
    assert await engine.visit([MESSAGES], see) == 3000


# -- work ----------------------------------------------------------------------------------------------------------


async def test_no_call_works_more_when_streams_are_longer(database_url: str) -> None:
    """Rows and entries that PostgreSQL looks at, though it has no statistics of the tables."""
    database = await Database.open(database_url, size=1)
    engines = await PostgresEngines.open(database)
    costs: list[dict[str, int]] = []
    for owner, count in (("short", 300), ("long", 3000)):
        engine = await engines.of(owner)
        for place in (MESSAGES, USERS):
            for start in range(0, count, 300):
                numbers = range(start, start + 300)
                puts = (put(f"{n:05}", "", link_of(1), link_of(100 + n, "/own"), at=n % 50) for n in numbers)
                await apply(engine, place, *puts)
        cost = {}
        for name, call in CALLS.items():
            before = await looks(database)
            await call(engine)
            cost[name] = await looks(database) - before
        costs.append(cost)
    few, many = costs
    assert {name: (few[name], many[name]) for name in few if many[name] > 2 * few[name] + 100} == {}
    await engines.close()
    await database.close()


async def looks(database: Database) -> int:
    """How many rows and index entries the only session has looked at so far."""
    await database.fetch("SELECT pg_stat_force_next_flush()")
    return int(await database.fetchval(LOOKS))


LOOKS = """
SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'records')
     + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'records')
"""

# -- processes -----------------------------------------------------------------------------------------------------

PROCESS = """
import asyncio, json, random, sys
from collections import Counter
from dataclasses import replace
from blobstore.postgres import Database
from records.engines.postgres import PostgresEngines
from records.errors import Fenced, Released
from records.model import Order, Outcome, Target
from tests.conformance.engine_values import MAILS, MESSAGES, OTHERS, T2, USERS, batch_of, delete, link_of, put

rng = random.Random(sys.argv[2])
changes, events = Counter(), []

async def write(engine, number):
    place = rng.choice([MESSAGES, OTHERS, USERS, MAILS])
    mutations = [
        delete(key) if rng.random() < 0.2 else put(key, rng.choice("xyz"), link_of(rng.randrange(6)))
        for key in rng.choices("abcdefghijkl", k=8)
    ]
    event = f"{sys.argv[2]}-{number}".encode()
    batch = replace(batch_of(place, *mutations), epoch=await engine.epoch(place), event=event)
    try:
        outcomes = await engine.apply(replace(batch, release_epoch=await engine.release_epoch(place.connector)))
    except (Fenced, Released):
        return
    changed = sum(each not in (Outcome.UNCHANGED, Outcome.ABSENT) for each in outcomes)
    changes[place.stream, place.instance, place.connector] += changed
    if changed:
        events.append(event.decode())

async def disturb(engine, number):
    place = rng.choice([MESSAGES, OTHERS, USERS, MAILS])
    what = rng.randrange(4)
    if what == 0:
        await engine.recount(place.connector, [])
    elif what == 1:
        await engine.fence(place.connector, place.instance)
    elif what == 2:
        gone = await engine.erase(Target(*place_of(place), rng.choice("abc")), T2, 5)
        changes[place.stream, place.instance, place.connector] += gone.records
    else:
        await engine.page([MESSAGES, OTHERS, USERS, MAILS], Order.DESC, None, 5, keep=lambda *_: True)

def place_of(place):
    return place.connector, place.instance, place.stream

async def main(url, rounds):
    database = await Database.open(url)
    engines = await PostgresEngines.open(database)
    engine = await engines.of("o1")
    for n in range(rounds):
        await asyncio.gather(*(write(engine, 4 * n + m) for m in range(4)), disturb(engine, n))
    await engines.close()
    await database.close()
    print(json.dumps([[[list(place), n] for place, n in changes.items()], events]))

asyncio.run(main(sys.argv[1], int(sys.argv[3])))
"""


async def hammer(forks: Path, url: str, name: str, rounds: int) -> tuple[list[Any], list[str]]:
    process = launch(forks, "-c", PROCESS, url, name, rounds)
    changes, events = json.loads(await asyncio.to_thread(process.end))
    return changes, events


async def test_processes_that_write_at_once_lose_nothing(
    engine: Engine, database_url: str, forks: Path, sized: Callable[[int, int], int]
) -> None:
    """Every change has its version, every event comes once and in order, no last link goes without a note."""
    drained: list[OutboxEvent] = []

    async def drain() -> None:
        for event in await engine.outbox(7):
            drained.append(event)
            await engine.drained(event.source, event.seq)

    work = [asyncio.ensure_future(hammer(forks, database_url, f"p{n}", sized(12, 200))) for n in range(3)]
    while not all(each.done() for each in work):
        await drain()
    results = [await each for each in work]
    while await engine.outbox(1):
        await drain()

    versions: Counter[Partition] = Counter()
    for changes, _ in results:
        for (stream, instance, connector), count in changes:
            versions[Partition(connector, instance, stream)] += count
    stats = await engine.stats()
    assert {place: of.version for place, of in stats.items()} == versions
    assert sorted(event.body.decode() for event in drained) == sorted(each for _, some in results for each in some)
    assert [event.seq for event in drained] == list(range(1, len(drained) + 1))
    noted = set(await engine.unlinked(1000))
    for connector in {place.connector for place in stats}:
        linked = {digest for digest, _ in await engine.linked(connector, None, 1000)}
        # Twelve keys in each stream: every blob was linked at some time.
        assert {(connector, digest_of(n)) for n in range(6) if digest_of(n) not in linked} <= noted
    assert await engine.check() == []
    assert len((await engine.page(list(stats), Order.ASC, None, 1000)).records) == sum(
        of.records for of in stats.values()
    )


async def test_a_last_link_is_noted_though_two_batches_each_take_one_of_two(engine: Engine) -> None:
    """Each sees the other's link, unless one waits for the other."""
    for n in range(30):
        for place in (MESSAGES, USERS):
            await apply(engine, place, put("a", "", link_of(n)))
        await asyncio.gather(*(apply(engine, place, delete("a")) for place in (MESSAGES, USERS)))
        assert (SLACK, digest_of(n)) in await engine.unlinked(100)
