"""What the engine on SQLite promises beyond the port: files, processes, crashes, and work that does not grow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from blobstore.errors import StorageUnavailable
from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile
from blobstore.sqlite.recalled import Recalled
from records.engine import Engine
from records.engines.sqlite import SingleFileEngines, SqliteEngine
from records.engines.sqlite.schema import MIGRATIONS
from records.model import Order, Partition, StoredRecord, Target
from tests.conformance.engine_values import (
    MAILS,
    MESSAGES,
    SLACK,
    T1,
    T2,
    USERS,
    apply,
    delete,
    digest_of,
    link_of,
    put,
)
from tests.fakes.warm import launch

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    engine = await SqliteEngine.open(tmp_path / "records.db")
    yield engine
    await engine.close()


async def everything(engine: Engine) -> list[Any]:
    stats = await engine.stats()
    return [
        stats,
        await engine.page(list(stats), Order.ASC, None, 10_000),
        [await engine.changes(place, 5, 5, of.version, 10_000) for place, of in stats.items()],
        [await engine.links_of(digest_of(n), limit=10_000) for n in range(5)],
        await engine.unlinked(100),
        await engine.outbox(100),
        [(await engine.epoch(place)) for place in stats],
        await engine.release_epoch(SLACK),
    ]


# -- files ---------------------------------------------------------------------------------------------------------


async def everything_in(engine: Engine) -> list[StoredRecord]:
    """All messages."""
    found: list[StoredRecord] = []
    page = await engine.page([MESSAGES], Order.ASC, None, 1000)
    while page.reached is not None:
        found += page.records
        page = await engine.page([MESSAGES], Order.ASC, page.reached, 1000)
    return found + list(page.records)


async def test_each_owner_has_a_file_of_its_own(tmp_path: Path) -> None:
    engines = SingleFileEngines(tmp_path / "records")
    await asyncio.gather(*(engines.of(owner) for owner in ("o1", "o2") for _ in range(5)))
    assert {path.name for path in (tmp_path / "records").glob("*.db")} == {"o1.db", "o2.db"}
    await engines.close()
    with pytest.raises(StorageUnavailable):
        await engines.of("o1")


@pytest.mark.parametrize("owner", ["", "../o1", "O1", "o1.db", "o/1", "o\0", "o1\n", "ö1"])
async def test_no_path_is_made_of_what_is_no_owners_id(tmp_path: Path, owner: str) -> None:
    engines = SingleFileEngines(tmp_path / "records")
    with pytest.raises(ValueError, match="owner's id"):
        await engines.of(owner)
    assert list(tmp_path.iterdir()) == []


async def test_all_of_it_is_there_after_opening_again(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "records.db")
    for place in (MESSAGES, USERS, MAILS):
        await apply(engine, place, *(put(str(n), "text", link_of(n % 3), at=n) for n in range(10)), delete("3"))
    await engine.fence(SLACK, "one")
    await engine.fence(SLACK, None)
    await engine.recount(SLACK, [])
    await engine.note(b"event")
    before = await everything(engine)
    await engine.close()

    engine = await SqliteEngine.open(tmp_path / "records.db")
    assert await everything(engine) == before
    await engine.close()


async def test_a_closed_engine_answers_that_it_is_unavailable(engine: SqliteEngine) -> None:
    await engine.close()
    with pytest.raises(StorageUnavailable):
        await apply(engine, MESSAGES, put("a"))
    with pytest.raises(StorageUnavailable):
        await engine.stats()


async def test_deletions_and_erasures_of_streams_leave_tombstones(engine: SqliteEngine, tmp_path: Path) -> None:
    await apply(engine, MESSAGES, *(put(key) for key in "abcde"), delete("a", T1), delete("b", T1), put("b"))
    await engine.erase(Target(SLACK, "one", "messages", "c"), T2, 10)
    await engine.erase(Target(SLACK, "one", "messages"), T2, 10)
    database = sqlite3.connect(tmp_path / "records.db")
    columns = "key, version, deleted_at, emitted_at"
    assert database.execute(f"SELECT {columns} FROM tombstones ORDER BY key").fetchall() == [
        ("a", 6, T1, T1),
        ("b", 10, T2, T2),
        ("c", 9, T2, T2),
        ("d", 11, T2, T2),
        ("e", 12, T2, T2),
    ]
    await engine.erase(Target(SLACK, "one"), T2, 10)
    assert database.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)
    database.close()


# -- check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("UPDATE partitions SET records = 7 WHERE id = 1", "partition 1 counts 7 records, but has 3"),
        ("UPDATE partitions SET bytes = 0 WHERE id = 1", "partition 1 counts 0 bytes, but has 70"),
        ("UPDATE partitions SET links = 0 WHERE id = 1", "partition 1 counts 0 links, but has 2"),
        ("UPDATE partitions SET records = 1 WHERE id = 2", "partition 2 counts 1 records, but has 0"),
        (
            "UPDATE partitions SET version = 3 WHERE id = 1; DELETE FROM history WHERE part = 1",
            "partition 1 is at version 3, but has a record of version 4",
        ),
        ("UPDATE tombstones SET version = 9", "partition 2 is at version 2, but has a tombstone of version 9"),
        (
            "UPDATE partitions SET updated_at = '2020' WHERE id = 1",
            f"partition 1 was updated at 2020, but has a record of {T1}",
        ),
        (
            "UPDATE partitions SET updated_at = '2020' WHERE id = 2",
            "partition 2 was updated at 2020, but has a record of None",
        ),
        (
            "INSERT INTO tombstones VALUES (9, 1, 'k', '', '', 0)",
            "there are rows of partition 9, but no such partition",
        ),
        ("UPDATE records SET id = (2 << 40) + 1 WHERE key = 'a'", "partition 1 has 1 records in the place of another"),
        (
            "UPDATE history SET version = 9 WHERE part = 2",
            "partition 2 remembers 1 states that ended before they began",
        ),
        (
            "UPDATE history SET until = 9, version = 8 WHERE part = 2",
            "partition 2 remembers 1 states that were superseded by none",
        ),
        ("UPDATE history SET part = 9 WHERE part = 2", "partition 9 remembers 1 states that were superseded by none"),
        (
            "INSERT INTO history VALUES (1, 3, 'a', 0, 0, 0, NULL)",
            "partition 1 remembers 1 states that began before the one before them ended",
        ),
        (
            "UPDATE partitions SET floor = 9 WHERE id = 1",
            "partition 1 has forgotten what was before 9, but is at version 4",
        ),
        ("DELETE FROM links WHERE key = 'a'", "partition 1 has 1 records whose links are not those that they count"),
        (
            "INSERT INTO links VALUES (1, 'x', '', 1, x'00', '', '', 0)",
            "partition 1 has 1 links of records that are not there",
        ),
        ("UPDATE links SET connector = 2 WHERE key = 'a'", "partition 1 has 1 links of another connector"),
        (
            "INSERT INTO tombstones VALUES (1, 1, 'a', '', '', 0)",
            "partition 1 has 1 tombstones of records that are there",
        ),
    ],
)
async def test_check_finds_what_disagrees(engine: SqliteEngine, tmp_path: Path, damage: str, sentence: str) -> None:
    await apply(engine, MESSAGES, put("a", "", link_of(1)), put("b", "", link_of(1)), put("c"), put("c", "1"))
    await apply(engine, USERS, put("a"), delete("a"))
    assert await engine.check() == []
    vandal = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    vandal.executescript(damage)
    vandal.close()
    assert await engine.check() == [sentence]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            "UPDATE linked SET blobs = 2 WHERE stream = ''",
            "of what connector 1 links in a stream 2 links, 16 bytes, 2 blobs and 8 bytes of them is kept",
        ),
        (
            "DELETE FROM months WHERE part = 1",
            "of a month of partition 1 3 records, 69 bytes and 16 bytes that they link is true",
        ),
    ],
)
async def test_check_finds_wrong_sums(engine: SqliteEngine, tmp_path: Path, damage: str, sentence: str) -> None:
    await apply(engine, MESSAGES, put("a", "", link_of(1)), put("b", "", link_of(1)), put("c"))
    vandal = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    vandal.executescript(damage)
    vandal.close()
    assert sentence in await engine.resum(repair=True)
    assert await engine.resum(repair=False) == await engine.check() == []


# -- work ----------------------------------------------------------------------------------------------------------


class Work:
    """Counts what SQLite does, in hundreds of its virtual machine's instructions."""

    def __init__(self, file: SqliteFile) -> None:
        self.file = file
        self.engine = SqliteEngine(file)
        self.steps = 0

    def _step(self) -> int:
        self.steps += 1
        return 0

    async def of(self, call: Awaitable[object]) -> int:
        await self.file.read(lambda db: db.set_progress_handler(self._step, 100))
        await self.file.write(lambda db: db.set_progress_handler(self._step, 100))
        self.steps = 0
        await call
        return self.steps


CALLS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "get": lambda engine: engine.get([MESSAGES], ["00150"]),
    "first page": lambda engine: engine.page([MESSAGES, USERS], Order.DESC, None, 10),
    "stats": lambda engine: engine.stats(),
    "links of a blob": lambda engine: engine.links_of(digest_of(1), (MESSAGES, "00150", "/file"), 10),
    "last links of a blob": lambda engine: engine.links_of(digest_of(1), (USERS, "00150", "/file"), 10),
    "linked blobs": lambda engine: engine.linked(SLACK, digest_of(150), 10),
    "recount": lambda engine: engine.recount(SLACK, [digest_of(1), digest_of(150)]),
    "put": lambda engine: apply(engine, MESSAGES, put("new", "", link_of(1))),
    "update": lambda engine: apply(engine, MESSAGES, put("00150", "new", link_of(1))),
    "delete": lambda engine: apply(engine, MESSAGES, delete("00150")),
    "erase one": lambda engine: engine.erase(Target(SLACK, "one", "messages", "00150"), T2, 10),
    "changes": lambda engine: engine.changes(MESSAGES, 100, 200, 250, 10),
    "erase some": lambda engine: engine.erase(Target(SLACK, "one"), T2, 10),
}


async def filled(path: Path, count: int) -> Work:
    """Records in two partitions; each links a blob of its own and one that all do."""
    work = Work(await SqliteFile.open(path, MIGRATIONS, readers=1))
    for place in (MESSAGES, USERS):
        records = [put(f"{n:05}", "text", link_of(1), link_of(100 + n, "/own"), at=n % 50) for n in range(count)]
        await apply(work.engine, place, *records)
    return work


async def test_no_call_works_more_when_streams_are_longer(tmp_path: Path) -> None:
    short, long = await filled(tmp_path / "short.db", 300), await filled(tmp_path / "long.db", 6000)
    for name, call in CALLS.items():
        few, many = [await work.of(call(work.engine)) for work in (short, long)]
        assert many <= few + 5, name
    for order in Order:
        costs = []
        for work, depth in ((short, 100), (long, 5000)):
            middle = (await work.engine.page([MESSAGES, USERS], order, None, depth)).reached
            costs.append(await work.of(work.engine.page([MESSAGES, USERS], order, middle, 10)))
        assert costs[1] <= costs[0] + 5, order
    for work in (short, long):
        await work.file.close()


async def test_a_page_of_many_partitions_reads_little_of_each(tmp_path: Path) -> None:
    work = Work(await SqliteFile.open(tmp_path / "records.db", MIGRATIONS, readers=1))
    places = [Partition(SLACK, f"{n:03}", "messages") for n in range(200)]
    for place in places:
        await apply(work.engine, place, *(put(str(n), at=n) for n in range(10)))
    one = await work.of(work.engine.page(places[:1], Order.ASC, None, 10))
    all_of_them = await work.of(work.engine.page(places, Order.ASC, None, 10))
    assert all_of_them < (one + 1) * 50
    await work.file.close()


async def test_a_page_of_changes_works_no_more_when_much_changed_since_its_session_began(tmp_path: Path) -> None:
    work = await filled(tmp_path / "records.db", 300)
    costs = []
    for text in ("little", "more", "much"):
        costs.append(await work.of(work.engine.changes(MESSAGES, 0, 100, 300, 10)))
        for again in range(10):
            await apply(work.engine, MESSAGES, *(put(f"{n:05}", f"{text} {again}") for n in range(200, 300)))
    assert max(costs) <= costs[0] + 5
    await work.file.close()


async def test_pages_and_changes_leave_no_snapshot_behind(engine: SqliteEngine) -> None:
    await apply(engine, MESSAGES, *(put(str(n), at=n) for n in range(100)))
    await apply(engine, USERS, *(put(str(n), at=n) for n in range(100)))
    for places in ([MESSAGES], [MESSAGES, USERS]):
        assert len((await engine.page(places, Order.ASC, None, 5)).records) == 5
        await apply(engine, MESSAGES, put("more", str(places)))
        assert await engine.sanitize(0.0)
    await engine.erase(Target(SLACK, "one", "messages", "3"), T2, 1)
    assert len((await engine.changes(MESSAGES, 1, 1, 100, 5)).changes) == 4  # and one overtaken
    await apply(engine, MESSAGES, delete("4"))
    assert await engine.sanitize(0.0)


# -- processes -----------------------------------------------------------------------------------------------------

PROCESS = """
import asyncio, sys
from pathlib import Path
from records.engines.sqlite import SingleFileEngines
from records.model import Order
from tests.conformance.engine_values import MESSAGES, apply, delete, link_of, put

async def write(engine, name, number):
    records = [put(f"{name}-{number}-{n}", "text", link_of(number % 3), at=n) for n in range(20)]
    await apply(engine, MESSAGES, *records, put("shared", f"{name}-{number}"))
    await engine.note(f"{name}-{number}".encode())
    print(number, flush=True)

async def main(directory, name, batches):
    engines = SingleFileEngines(Path(directory))
    engine = await engines.of("o1")
    for start in range(0, batches, 4):
        await asyncio.gather(*(write(engine, name, number) for number in range(start, start + 4)))
        await engine.page([MESSAGES], Order.DESC, None, 10)
    await engines.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_sixteen_processes_may_open_an_empty_directory_at_once(tmp_path: Path, forks: Path) -> None:
    processes = [launch(forks, "-c", PROCESS, tmp_path / "new" / "records", f"p{n}", 4) for n in range(16)]
    await asyncio.gather(*(asyncio.to_thread(process.end) for process in processes))
    engine = await SqliteEngine.open(tmp_path / "new" / "records" / "o1.db")
    stats = (await engine.stats())[MESSAGES]
    assert (stats.records, stats.version) == (16 * 4 * 20 + 1, 16 * 4 * 21)
    assert len(await engine.outbox(1000)) == 16 * 4
    assert await engine.check() == []
    await engine.close()


async def test_processes_that_write_at_once_lose_nothing(tmp_path: Path, forks: Path) -> None:
    processes = [launch(forks, "-c", PROCESS, tmp_path, name, 60) for name in ("p", "q")]
    await asyncio.gather(*(asyncio.to_thread(process.end) for process in processes))
    engine = await SqliteEngine.open(tmp_path / "o1.db")
    records = await everything_in(engine)
    names = {f"{name}-{number}-{n}" for name in "pq" for number in range(60) for n in range(20)}
    assert {record.key for record in records} == names | {"shared"}
    assert len({record.version for record in records}) == len(records)
    assert (await engine.stats())[MESSAGES].version == 2 * 60 * 21
    assert await engine.check() == []
    await engine.close()


async def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_there(tmp_path: Path, forks: Path) -> None:
    for round_number, wanted in enumerate([1, 10, 25]):
        process = launch(forks, "-c", PROCESS, tmp_path, f"r{round_number}", 100_000)
        numbers = [int(await asyncio.to_thread(process.out.readline)) for _ in range(wanted)]
        rest = await asyncio.to_thread(process.killed)
        numbers += [int(line) for line in rest.split("\n")[:-1]]

        engine = await SqliteEngine.open(tmp_path / "o1.db")
        assert await engine.check() == []
        keys = {record.key for record in await everything_in(engine)}
        batches = {key.rsplit("-", 1)[0] for key in keys - {"shared"}}
        assert {f"r{round_number}-{number}" for number in numbers} <= batches
        assert keys - {"shared"} == {f"{batch}-{n}" for batch in batches for n in range(20)}
        assert {event.body.decode() for event in await engine.outbox(1_000_000)} <= batches
        assert (await engine.stats())[MESSAGES].version == 21 * len(batches)
        await engine.close()


# -- memory --------------------------------------------------------------------------------------------------------


async def test_what_long_pointers_take_is_counted_where_links_are_kept(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(Recalled, "keep", lambda self, name, answer, size, version: sizes.append(size))
    pointer = "/" + "x" * 100_000
    await apply(engine, MESSAGES, put("a", "", link_of(1, pointer), link_of(1, pointer + "/b")))
    sizes.clear()
    assert len(await engine.links_of(digest_of(1))) == 2
    assert len(await engine.links_of(digest_of(1), (MESSAGES, "a", pointer))) == 1
    assert len(sizes) == 2
    assert min(sizes) > 200_000  # of the second answer half is in its name
