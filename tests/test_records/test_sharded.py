"""One file per connector: what is lost with one, what is left when one is erased, and how many are open."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import blobstore.sqlite.file
from blobstore.errors import Damaged, Moved, OverQuota, StorageUnavailable, WrongStore
from blobstore.quota import WHOLE, Limit
from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import Identity, connect
from records.central import Owner
from records.centrals.sqlite import SqliteCentral
from records.consent.scope import Selector
from records.engine import Engine
from records.engines.sharded import PerConnectorEngines
from records.engines.sharded.pool import Pool
from records.engines.sharded.shard import Shard
from records.engines.sharded.switching import SUFFIXES, remove_files
from records.errors import Fenced, SourceDamaged
from records.layout import Topology
from records.model import Order, Partition, Target
from records.store import RecordStore
from tests.conformance.engine_values import T2, apply, batch_of, delete, keys_of, link_of, put
from tests.fakes.data_directory import DRAFT, LETTER, MANIFEST, PHOTO, digest_of, ingest, upload
from tests.fakes.warm import launch

ROOT = Path(__file__).parents[2]


def place(number: int, stream: str = "messages") -> Partition:
    return Partition(f"connector {number:04}", f"instance {number}", stream)


class Opened:
    """Engines over a directory, as one process has them."""

    def __init__(self, directory: Path, central: SqliteCentral, owner: str, limit: int | None = None) -> None:
        self.directory = directory
        self.central = central
        self.owner = owner
        self.engines = PerConnectorEngines(directory / "records", central, "store", pool=Pool(limit))

    @classmethod
    async def open(cls, directory: Path, limit: int | None = None) -> "Opened":
        central = await SqliteCentral.open(directory / "central.db")
        return cls(directory, central, (await central.ensure_owner("ann", "t")).id, limit)

    async def engine(self) -> Engine:
        return await self.engines.of(self.owner)

    async def file(self, number: int) -> Path:
        home = (await self.central.shards(self.owner)).homes[place(number).connector]
        return self.directory / "records" / self.owner / f"{home.shard}.db"

    def files(self) -> list[str]:
        return sorted(each.name for each in (self.directory / "records" / self.owner).iterdir())

    async def close(self) -> None:
        await self.engines.close()
        await self.central.close()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    opened = await Opened.open(tmp_path)
    yield opened
    await opened.close()


async def drain(engine: Engine) -> None:
    """Twice: what had events a moment ago comes to rest the next time."""
    for _ in range(2):
        while events := await engine.outbox(100):
            await engine.drained(events[0].source, events[-1].seq)


async def erase_all(engine: Engine, number: int) -> None:
    """As an erasure does it."""
    target = Target(place(number).connector)
    await engine.fence(target.connector, None)
    while not (await engine.erase(target, T2, 10, "era_1")).finished:
        pass
    noted = [digest for _, digest in await engine.unlinked(100, target.connector)]
    await engine.forget_notes(await engine.notes(target.connector, noted))


# -- how many are open -------------------------------------------------------------------------------------------------


async def test_more_connectors_than_may_be_open_are_written_and_read_at_once(tmp_path: Path) -> None:
    opened = await Opened.open(tmp_path, limit=4)
    engine = await opened.engine()
    places = [place(number) for number in range(20)]
    for some in range(3):
        await asyncio.gather(*(apply(engine, each, put(f"{some}")) for each in places))
        pages = await asyncio.gather(*(engine.page([each], Order.ASC, None, 10) for each in places))
        assert [keys_of(page.records) for page in pages] == [[str(n) for n in range(some + 1)]] * 20
        assert len(opened.engines._around.pool._places) <= 4
    whole = await engine.page(places, Order.ASC, None, 100)
    assert [(each.key, each.partition) for each in whole.records] == [(k, p) for k in "012" for p in places]
    assert await engine.check() == []
    await opened.close()


async def test_what_connectors_at_rest_hold_is_known_without_opening_their_files(opened: Opened) -> None:
    engine = await opened.engine()
    for number in range(5):
        await apply(engine, place(number), put("a"))
    await drain(engine)
    other = await Opened.open(opened.directory)
    stats = await (await other.engine()).stats()
    assert list(stats) == [place(number) for number in range(5)]
    assert other.engines._around.pool.opened == 0
    await apply(engine, place(3), put("b"))
    assert [of.records for of in (await (await other.engine()).stats()).values()] == [1, 1, 1, 2, 1]
    assert other.engines._around.pool.opened == 1
    await other.close()


async def test_the_central_file_shows_nothing_of_the_time_of_a_record_that_was_erased(opened: Opened) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("a", emitted_at=SHOWN))
    await drain(engine)
    assert SHOWN.encode() in bytes_of_central(opened)
    await erase_all(engine, 0)
    await drain(engine)
    assert await opened.central.sanitize(5.0)
    assert SHOWN.encode() not in bytes_of_central(opened)
    assert all(of.updated_at is None for of in (await engine.stats()).values())


SHOWN = "2026-11-24T10:11:12.131415Z"


def bytes_of_central(opened: Opened) -> bytes:
    return b"".join(path.read_bytes() for path in opened.directory.glob("central.db*"))


MANY = """
import asyncio, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]),) * 2)
import blobstore.sqlite.file
from records.model import Order
from tests.conformance.engine_values import apply, put
from tests.test_records.test_sharded import Opened, drain, hasty, place

blobstore.sqlite.file.connect = hasty

async def main(directory, count):
    opened = await Opened.open(Path(directory))
    engine = await opened.engine()
    places = [place(number) for number in range(count)]
    for start in range(0, count, 50):
        await asyncio.gather(*(apply(engine, each, put("a"), put("b")) for each in places[start : start + 50]))
    await drain(engine)
    page = await engine.page(places, Order.DESC, None, 3 * count)
    assert [each.key for each in page.records] == ["b"] * count + ["a"] * count
    assert len(await engine.stats()) == count
    await opened.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_connectors_need_few_descriptors(tmp_path: Path, sized: Callable[[int, int], int]) -> None:
    count, descriptors = sized(60, 2000), sized(400, 1024)  # 400: 13 files at once
    run = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path), str(count), str(descriptors)], cwd=ROOT, capture_output=True
    )
    assert run.returncode == 0, run.stderr.decode()


class Counted:
    """Connections to databases, and statements on them."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.statements = 0

    def connect(self, path: Path, was: Identity) -> sqlite3.Connection:
        self.files.add(path.name)
        connection = hasty(path, was)
        connection.set_trace_callback(self._count)
        return connection

    def _count(self, statement: str) -> None:
        # How many share a transaction, or a connection, is a matter of chance.
        if statement.split()[0] not in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA"):
            self.statements += 1


def hasty(path: Path, was: Identity) -> sqlite3.Connection:
    """A connection that waits for no disk: a power cut is not what these tests are about, and files are many."""
    connection = connect(path, was)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(blobstore.sqlite.file, "connect", counted.connect)
    return counted


async def test_a_start_costs_the_same_for_any_number_of_connectors(
    tmp_path: Path, counted: Counted, sized: Callable[[int, int], int]
) -> None:
    costs = []
    for count in (5, sized(40, 300)):
        directory = tmp_path / str(count)
        directory.mkdir()
        store = await RecordStore.open(directory, topology=Topology.PER_CONNECTOR)
        owner = await store.access.owner("ann")
        for number in range(count):
            manifest = {**MANIFEST, "connector_id": f"c{number}"}
            await store.registry.register(owner, msgspec.json.encode(manifest))
            await ingest(store, owner, "1", [], connector=f"c{number}")
        await store.audit.drain_all()  # a start goes on with what a process left undone
        await store.close()
        counted.files.clear()
        counted.statements = 0
        store = await RecordStore.open(directory, topology=Topology.PER_CONNECTOR)
        await store.audit.drain_all()
        await store.erasures.resume()
        await store.collect(0.0)
        await store.forget(0.0)
        costs.append((len(counted.files), counted.statements))
        await store.close()
    assert costs[0] == costs[1]


async def test_what_rests_is_not_opened_for_pages_that_it_gives_nothing_to(opened: Opened) -> None:
    engine = await opened.engine()
    places = [place(number) for number in range(10)]
    for number, each in enumerate(places):
        await apply(engine, each, *(put(f"{number} {key:02}") for key in range(20)))
    await drain(engine)
    pool = opened.engines._around.pool
    after, seen = None, []
    for pages in range(20):
        page = await engine.page(places, Order.ASC, after, 10)
        seen += [each.key for each in page.records]
        after = page.reached
        for shard in list(pool._places):
            await pool.drop(shard)
        if pages == 0:
            pool.opened = 0
    assert after is None
    assert seen == [f"{number} {key:02}" for number in range(10) for key in range(20)]
    assert pool.opened <= 10  # each read 20 records ahead at first
    # What is written meanwhile is seen all the same, by whomever.
    other = await Opened.open(opened.directory)
    await apply(await other.engine(), places[3], delete("3 05"), put("3 05b"))
    page = await engine.page(places, Order.ASC, None, 200)
    assert [each.key for each in page.records] == sorted({*seen, "3 05b"} - {"3 05"})
    await other.close()


# -- writers who are woken ---------------------------------------------------------------------------------------------


async def test_who_writes_to_what_another_process_brought_to_rest_wakes_it(opened: Opened) -> None:
    other = await Opened.open(opened.directory)
    one, two = await opened.engine(), await other.engine()
    for number in range(5):
        await apply(one, place(0), put(f"{number} one"))
        await drain(two)
        assert (await opened.central.shards(opened.owner)).homes[place(0).connector].left is not None
        await apply(two, place(0), put(f"{number} two"))
        assert (await opened.central.shards(opened.owner)).homes[place(0).connector].left is None
        assert len((await one.page([place(0), place(1)], Order.ASC, None, 100)).records) == 2 * number + 2
    await other.close()


async def test_what_had_events_when_its_writer_died_is_still_awake(tmp_path: Path) -> None:
    opened = await Opened.open(tmp_path)
    engine = await opened.engine()
    await apply(engine, place(0), put("a", "", link_of(1)))
    await drain(engine)
    await apply(engine, place(0), delete("a"))
    await drain(engine)
    home = (await opened.central.shards(opened.owner)).homes[place(0).connector]
    assert home.left is not None
    assert (home.left.notes, home.left.stale, home.left.oldest is not None) == (True, True, True)
    assert [digest for _, digest in await engine.unlinked(10)] == [link_of(1).digest]
    await opened.close()


# -- one file is lost --------------------------------------------------------------------------------------------------


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[tuple[RecordStore, Owner]]:
    """A store with a blob in each of three connectors, of which `a`'s file is damaged and `b`'s and `c`'s are not."""
    store = await RecordStore.open(tmp_path, topology=Topology.PER_CONNECTOR)
    owner = await store.access.owner("ann")
    for connector, data in (("a", LETTER), ("b", PHOTO), ("c", DRAFT)):
        await store.registry.register(owner, msgspec.json.encode({**MANIFEST, "connector_id": connector}))
        await ingest(
            store, owner, "1", [await upload(store, owner, data, "1", connector=connector)], connector=connector
        )
    homes = (await store.central.shards(owner.id)).homes
    await store.close()
    (tmp_path / "records" / owner.id / f"{homes['a'].shard}.db").write_bytes(b"no database" * 1000)
    store = await RecordStore.open(tmp_path, topology=Topology.PER_CONNECTOR)
    yield store, owner
    await store.close()


async def test_a_damaged_file_takes_only_its_own_connector_down(three: tuple[RecordStore, Owner]) -> None:
    store, owner = three
    engine = await store.engines.of(owner.id)
    assert [stats.records for stats in (await engine.stats("b")).values()] == [1]
    await ingest(store, owner, "2", [], connector="c")
    every = await engine.stats()  # what rests has told what it holds
    assert [(each.connector, of.records) for each, of in every.items()] == [("a", 1), ("b", 1), ("c", 2)]
    for ask in (
        engine.stats("a"),
        engine.page(list(every), Order.ASC, None, 10),
        engine.release_epoch("a"),
        engine.linkers([digest_of(LETTER)]),
    ):
        with pytest.raises(StorageUnavailable, match="the records of a cannot be read"):
            await ask
    (line,) = await engine.check()
    assert line == "the records of a cannot be read; those of other connectors can"
    await store.audit.drain_all()


async def wake(store: RecordStore, owner: Owner, connector: str) -> None:
    """As if a process had died that was about to write there."""
    home = (await store.central.shards(owner.id)).homes[connector]
    await store.central.wake(owner.id, connector, home.shard)


async def test_a_quota_keeps_nobody_from_writing_beside_a_damaged_file(three: tuple[RecordStore, Owner]) -> None:
    store, owner = three
    await store.blobs.catalogue.limit(Limit(owner.id, WHOLE, 1_000_000))
    before = (await store.room.beside(owner.id, "a")).of("a")
    await wake(store, owner, "a")
    with pytest.raises(SourceDamaged) as error:
        await (await store.engines.of(owner.id)).stats()
    assert error.value.others is not None
    assert {place.connector for place in error.value.others} == {"b", "c"}
    await ingest(store, owner, "2", [], connector="c")
    assert (await store.room.beside(owner.id, "a")).of("a") == before > 0
    with pytest.raises(OverQuota):
        await store.room.require(owner.id, "c", 1_000_000)


async def test_a_spine_without_what_may_wait_in_a_damaged_file_is_not_shown(three: tuple[RecordStore, Owner]) -> None:
    store, owner = three
    before = await store.audit.events(owner, 0, 1000)  # it rests: nothing waits there
    await wake(store, owner, "a")
    await ingest(store, owner, "2", [], connector="c")
    with pytest.raises(SourceDamaged, match="the records of a cannot be read"):
        await store.audit.events(owner, 0, 1000)
    assert len(await store.central.spine(owner.id, 0, 1000)) > len(before)


async def test_another_connector_can_be_erased_beside_a_damaged_one(three: tuple[RecordStore, Owner]) -> None:
    store, owner = three
    erasure = await store.erasures.erase(owner, await store.erasures.coverage.of_connector(owner, "b"), wait=10)
    assert (erasure.report.state, erasure.report.records, erasure.report.blobs) == ("done", 1, 1)
    assert await store.blobs.catalogue.find(owner.id, digest_of(LETTER)) is not None


async def test_garbage_of_others_is_collected_but_not_what_a_damaged_connector_held(
    three: tuple[RecordStore, Owner],
) -> None:
    store, owner = three
    for connector in ("b", "c"):
        work = await store.ingests.begin(owner, "documents", Selector(connector))
        await work.apply([b'{"key":"1","emitted_at":"2026-11-24T10:00:00Z","op":"delete"}'])
    collected = await store.collect(0.0)
    assert collected.blobs == 2
    assert {holder.holder for holder in await store.blobs.catalogue.holders(owner.id, "a", [digest_of(LETTER)])} == {
        "a"
    }


async def test_a_file_that_is_gone_is_missed_and_not_made_again(opened: Opened) -> None:
    engine = await opened.engine()
    for number in range(2):
        await apply(engine, place(number), put("a"))
    await drain(engine)
    path = await opened.file(0)
    for each in path.parent.glob(f"{path.stem}*"):
        each.unlink()
    for _ in range(2):
        with pytest.raises(SourceDamaged) as error:
            await apply(engine, place(0), put("b"))
        assert isinstance(error.value, Damaged)
        assert "restore them from a backup" in str(error.value.__cause__)
    assert not path.exists()
    await apply(engine, place(1), put("b"))


# -- a connector is erased ---------------------------------------------------------------------------------------------


async def test_an_erased_connector_leaves_a_file_without_content_and_no_other(opened: Opened) -> None:
    engine = await opened.engine()
    for number in range(2):
        await apply(engine, place(number), *(put(f"needle {key}", "", link_of(key)) for key in range(25)))
    before, epoch = await opened.file(0), await engine.epoch(place(0))
    version = (await engine.stats())[place(0)].version
    await drain(engine)
    await erase_all(engine, 0)
    assert await engine.sanitize(5.0)
    after = await opened.file(0)
    assert after != before
    assert {name.partition(".")[0] for name in opened.files()} == {after.stem, (await opened.file(1)).stem, "placing"}
    assert not any(b"needle" in each.read_bytes() for each in after.parent.glob(f"{after.stem}*"))
    stats = (await engine.stats())[place(0)]
    assert (stats.records, stats.version, stats.floor) == (0, version, version)
    assert await engine.erased("era_1") == {place(0): 25}
    assert await engine.epoch(place(0)) > epoch
    assert (await engine.erase(Target(place(0).connector), T2, 10, "era_1")).finished
    await apply(engine, place(0), put("new"))
    assert (await engine.stats())[place(0)].version == version + 1
    assert await engine.check() == []


async def test_a_process_that_has_the_erased_file_open_goes_on_in_the_new_one(opened: Opened) -> None:
    other = await Opened.open(opened.directory)
    one, two = await opened.engine(), await other.engine()
    for engine in (one, two):
        await apply(engine, place(0), put("a"), put("b"))
    await erase_all(one, 0)
    assert await one.sanitize(5.0)
    assert (await two.page([place(0)], Order.ASC, None, 10)).records == []
    assert [each async for each in _written(two)] == [1, 2, 3]
    assert len((await one.page([place(0)], Order.ASC, None, 10)).records) == 3
    await other.close()


async def _written(engine: Engine) -> AsyncIterator[int]:
    for number in range(1, 4):
        await apply(engine, place(0), put(f"late {number}"))
        yield len((await engine.page([place(0)], Order.ASC, None, 10)).records)


@pytest.mark.parametrize("step", ["outlive", "move", "remove_files"])
async def test_an_erasure_that_dies_while_a_file_is_replaced_is_gone_on_with(
    opened: Opened, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("a"))
    before = await opened.file(0)
    await erase_all(engine, 0)

    class Died(Exception):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        name = {
            "outlive": "records.engines.sharded.shard.Shard.outlive",
            "move": "records.centrals.sqlite.SqliteCentral.move",
            "remove_files": "records.engines.sharded.erasure.remove_files",
        }[step]
        patched.setattr(name, die)
        with pytest.raises(Died):
            await engine.sanitize(5.0)
    other = await Opened.open(opened.directory)
    two = await other.engine()
    await apply(two, place(0), put("b"))
    assert keys_of((await two.page([place(0)], Order.ASC, None, 10)).records) == ["b"]
    assert keys_of((await engine.page([place(0)], Order.ASC, None, 10)).records) == ["b"]
    await drain(two)
    assert await two.sanitize(5.0)
    home = await opened.file(0)
    assert (home == before) is (step != "remove_files")
    assert {name.partition(".")[0].removesuffix("seal") for name in opened.files()} == {home.stem, "placing"}
    await other.close()


@pytest.mark.parametrize("write", [False, True])
async def test_a_file_that_is_replaced_while_it_is_opened_is_looked_for_anew(
    opened: Opened, write: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("a"))
    await drain(engine)
    home = await opened.file(0)
    await erase_all(engine, 0)
    other = await Opened.open(opened.directory)
    late = await other.engine()
    await late._homes.now()  # type: ignore[attr-defined]
    connected, replaced, connect_late = threading.Event(), threading.Event(), sqlite3.connect

    def connect_early(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect_late(*arguments, **settings)
        if home.name in str(arguments[0]) and not connected.is_set():
            connected.set()
            replaced.wait(30)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_early)
        task = asyncio.create_task(
            apply(late, place(0), put("b")) if write else late.page([place(0)], Order.ASC, None, 10)
        )
        await asyncio.to_thread(connected.wait, 30)
        assert await engine.sanitize(5.0)
        assert not home.exists()
        replaced.set()
        await task
    assert keys_of((await engine.page([place(0)], Order.ASC, None, 10)).records) == ["b"] * write
    await other.close()
    await drain(engine)
    assert await engine.sanitize(5.0)
    assert {name.partition(".")[0].removesuffix("seal") for name in opened.files()} == {
        (await opened.file(0)).stem,
        "placing",
    }


@pytest.mark.parametrize("gone", range(1, len(SUFFIXES) + 1))
async def test_a_file_that_is_being_removed_is_away_from_the_first_step_on(
    opened: Opened, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log goes after it: who opened the one without the other would read what was erased."""
    engine = await opened.engine()
    await apply(engine, place(0), put("a"))
    home = await opened.file(0)
    unlink, left = Path.unlink, iter([True] * gone)

    def die_later(path: Path, missing_ok: bool = False) -> None:
        if not next(left, False):
            raise OSError("died")
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die_later)
        with suppress(StorageUnavailable):
            remove_files(home)
    with pytest.raises(Moved):
        await Shard.begin(home, make=False)


ERASER = """
import asyncio, sys
from pathlib import Path
from records.engines.sharded.erasure import Erasure
from tests.test_records.test_sharded import Opened, T2, drain, place
from records.model import Target

async def main(directory):
    opened = await Opened.open(Path(directory))
    engine = await opened.engine()
    print("ready", flush=True)
    for number in range(10_000):
        target = Target(place(0).connector)
        while not (await engine.erase(target, T2, 10, f"era_{number}")).finished:
            pass
        await drain(engine)
        await engine.sanitize(1.0)

asyncio.run(main(sys.argv[1]))
"""


async def test_writers_never_notice_that_another_process_erases_or_dies(
    opened: Opened, forks: Path, sized: Callable[[int, int], int]
) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("first"))
    version = 1
    for _ in range(sized(3, 30)):
        eraser = launch(forks, "-c", ERASER, opened.directory)
        assert await asyncio.to_thread(eraser.out.readline) == "ready\n"
        for number in range(40):
            with suppress(Fenced):  # what it was told: it began before an erasure ended
                await apply(engine, place(0), put(f"key {number}"))
            stats = (await engine.stats(place(0).connector))[place(0)]
            assert stats.version >= version
            version = stats.version
        await asyncio.to_thread(eraser.killed)
    await apply(engine, place(0), put("last"))
    assert "last" in keys_of((await engine.page([place(0)], Order.ASC, None, 100)).records)
    await drain(engine)
    assert await engine.sanitize(5.0)
    assert {name.partition(".")[0].removesuffix("seal") for name in opened.files()} == {
        (await opened.file(0)).stem,
        "placing",
    }
    assert await engine.check() == []


async def test_files_that_nobody_lives_in_go_with_the_next_start(opened: Opened) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("a"))
    home = await opened.file(0)
    for suffix in (".db", ".db-wal", ".db-shm", ".db.lock"):
        (home.parent / f"0123456789abcdef{suffix}").write_bytes(b"what a crash left")
    other = await Opened.open(opened.directory)
    await other.engine()
    assert {name.partition(".")[0] for name in opened.files()} == {home.stem, "placing"}
    await other.close()


async def test_files_that_the_central_store_is_too_old_to_know_stay(opened: Opened) -> None:
    engine = await opened.engine()
    epoch = await engine.epoch(place(0))
    await engine.apply(replace(batch_of(place(0), put("a")), epoch=epoch, event=b"{}"))
    home = await opened.file(0)
    await opened.close()
    before = home.read_bytes()
    for log in opened.directory.glob("central.db-*"):
        log.unlink()
    with sqlite3.connect(opened.directory / "central.db") as central:
        central.execute("DELETE FROM homes")  # a copy from before the connector came
    central.close()
    other = await Opened.open(opened.directory)
    with pytest.raises(WrongStore, match="older than"):
        await other.engine()
    await other.close()
    assert home.read_bytes() == before


async def test_a_copy_that_somebody_put_beside_a_file_is_not_touched(opened: Opened) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("a"))
    home = await opened.file(0)
    await opened.close()
    copy = home.with_name("feedc0ffee.db")
    copy.write_bytes(home.read_bytes())
    home.with_name("backup.db").write_bytes(home.read_bytes())
    other = await Opened.open(opened.directory)
    await other.engine()
    assert {"feedc0ffee.db", "backup.db"} <= set(opened.files())
    await other.close()


@pytest.mark.parametrize("fresh", [False, True])
async def test_an_empty_file_in_the_place_of_another_is_refused_as_it_is(opened: Opened, fresh: bool) -> None:
    engine = await opened.engine()
    await apply(engine, place(0), put("a"))
    home = await opened.file(0)
    await opened.close()
    home.write_bytes(b"")
    if fresh:
        await (await Shard.begin(home, make=True)).close()
    before = home.read_bytes()
    other = await Opened.open(opened.directory)
    with pytest.raises(SourceDamaged):
        await (await other.engine()).page([place(0)], Order.ASC, None, 10)
    await other.close()
    assert home.read_bytes() == before


async def test_a_shard_is_not_made_by_who_only_reads(opened: Opened) -> None:
    engine = await opened.engine()
    assert await engine.stats() == {}
    assert (await engine.page([place(0), place(1)], Order.ASC, None, 10)).records == []
    assert not (opened.directory / "records" / opened.owner).exists()
    with pytest.raises(Moved):
        async with engine._opened("nobody", "0123456789abcdef"):  # type: ignore[attr-defined]
            pass
