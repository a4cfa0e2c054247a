"""Nothing of erased records can be read in any file of the SQLite engine: not in rows, slack, indexes or logs."""

import asyncio
import random
import string
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import pytest

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from records.engines.sqlite import SqliteEngine
from records.model import Delete, Link, Order, Partition, Put, Target
from records.order import sort_key
from tests.conformance.engine_values import T1, T2, apply
from tests.fakes.residue import cut_log, pieces_in

HERE, THERE = Partition("here", "one", "s"), Partition("there", "one", "s")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    engine = await SqliteEngine.open(tmp_path / "records.db")
    yield engine
    assert await engine.check() == []
    await engine.close()


class Writer:
    """Writes records that have nothing in common, and remembers every text that it ever wrote, by key."""

    def __init__(self, engine: SqliteEngine, rng: random.Random) -> None:
        self.engine = engine
        self.rng = rng
        self.texts: dict[tuple[Partition, str], list[str]] = {}

    def text(self, length: int) -> str:
        return "".join(self.rng.choices(string.ascii_letters + string.digits, k=length))

    def put(self, place: Partition, key: str) -> Put:
        # From a few to a page, to several overflow pages.
        data, cursor, name = (self.text(self.rng.choice(sizes)) for sizes in (SIZES, [20, 60, 1500], [40, 300]))
        self.texts.setdefault((place, key), [key]).extend([data, cursor, name])
        links = (Link(Digest(f"{self.rng.getrandbits(256):064x}"), "/" + name, "a/b", name, 1),)
        json = f'{{"body":"{data}"}}'.encode()
        return Put(key, sort_key(cursor), json, T1, links if self.rng.random() < 0.2 else ())

    async def write(self, count: int, places: Collection[Partition] = (HERE, THERE)) -> None:
        """New records in no order, in both places alternately."""
        for _ in range(count // 100):
            for place in places:
                await apply(self.engine, place, *(self.put(place, self.text(40)) for _ in range(50)))

    async def change(self, count: int) -> None:
        """Replace some records by shorter and longer ones, delete others."""
        chosen = self.rng.sample(sorted(self.texts), count)
        for start in range(0, count, 50):
            for place in (HERE, THERE):
                keys = [key for where, key in chosen[start : start + 50] if where == place]
                deleted = [Delete(key, T2, T2) for key in keys[::5]]
                await apply(self.engine, place, *(self.put(place, key) for key in keys), *deleted)

    def texts_of(self, *records: tuple[Partition, str]) -> list[str]:
        return [text for record in records for text in self.texts[record]]

    def everything(self, place: Partition) -> list[tuple[Partition, str]]:
        return [record for record in self.texts if record[0] == place]


SIZES = [40, 100, 300, 300, 300, 700, 2000, 3900, 9000]


@pytest.mark.long
async def test_no_piece_of_an_erased_connector_is_left_in_any_file(
    engine: SqliteEngine, tmp_path: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    writer = Writer(engine, rng)
    await writer.write(sized(800, 6000))
    await writer.change(sized(400, 3000))
    await writer.write(sized(200, 3000))
    before = await engine.page([THERE], Order.ASC, None, 100_000)
    while not (await engine.erase(Target("here"), T2, 300)).finished:
        pass
    erased = writer.texts_of(*writer.everything(HERE))
    assert pieces_in(tmp_path, erased)
    assert await engine.sanitize(60.0)
    assert pieces_in(tmp_path, erased) == set()
    assert await engine.page([THERE], Order.ASC, None, 100_000) == before


@pytest.mark.long
async def test_no_piece_of_single_erased_records_is_left_in_any_file(
    engine: SqliteEngine, tmp_path: Path, rng: random.Random, sized: Callable[[int, int], int]
) -> None:
    writer = Writer(engine, rng)
    await writer.write(sized(600, 4000), [THERE])
    for _ in range(3):
        await writer.change(sized(100, 1000))
        victims = rng.sample(writer.everything(THERE), sized(10, 100))
        for _, key in victims:
            await engine.erase(Target("there", "one", "s", key), T2, 10)
        assert await engine.sanitize(60.0)
        # A tombstone names its record, and so does the test's list of texts: by its key, first.
        contents = [text for victim in victims for text in writer.texts_of(victim)[1:]]
        assert pieces_in(tmp_path, contents) == set()
        for victim in victims:
            del writer.texts[victim]


async def test_overwriting_rows_alone_leaves_pieces_in_the_slack_of_pages(tmp_path: Path) -> None:
    """Why tables are written anew: should this fail one day, SQLite has learned to clean up by itself."""
    engine = await SqliteEngine.open(tmp_path / "records.db")
    writer = Writer(engine, random.Random(3))
    await writer.write(2000)
    await writer.change(1000)
    while not (await engine.erase(Target("here"), T2, 1000)).finished:
        pass
    await engine.close()
    cut_log(tmp_path / "records.db")
    assert pieces_in(tmp_path, writer.texts_of(*writer.everything(HERE))) == {"records.db"}


async def test_records_that_were_deleted_before_are_erased_with_their_stream(
    engine: SqliteEngine, tmp_path: Path, rng: random.Random
) -> None:
    writer = Writer(engine, rng)
    await writer.write(200)
    gone = writer.everything(HERE)
    await apply(engine, HERE, *(Delete(key, T2, T2) for _, key in gone))
    assert (await engine.erase(Target("here", "one", "s"), T2, 100)).records == 0
    assert await engine.sanitize(60.0)
    assert pieces_in(tmp_path, [text for record in gone for text in writer.texts_of(record)[1:]]) == set()


async def test_what_was_remembered_of_an_erased_instance_is_in_no_file(
    engine: SqliteEngine, tmp_path: Path, rng: random.Random
) -> None:
    """Consent-time fields may hold any text, and history keeps it."""
    texts = ["".join(rng.choices(string.ascii_letters, k=40)) for _ in range(300)]
    for start in range(0, len(texts), 3):
        for text in texts[start : start + 3]:
            await apply(engine, HERE, Put(str(start), sort_key(None), f'{{"text":"{text}"}}'.encode(), T1))
        await apply(engine, HERE, Delete(str(start), T2, T2))
    assert (await engine.stats())[HERE].records == 0
    while not (await engine.erase(Target("here", "one"), T2, 50)).finished:
        pass
    assert await engine.sanitize(60.0)
    assert pieces_in(tmp_path, texts) == set()


async def test_forgotten_states_are_in_no_file_once_it_is_sanitized(engine: SqliteEngine, tmp_path: Path) -> None:
    first, second = ("f" * 40, "s" * 40)
    for text in (first, second):
        await apply(engine, HERE, Put("a", sort_key(None), f'{{"text":"{text}"}}'.encode(), T1))
    assert await engine.forget(1e12, 10) == 1
    assert await engine.sanitize(60.0)
    assert pieces_in(tmp_path, [first]) == set()
    assert pieces_in(tmp_path, [second]) == {"records.db"}


async def test_sanitizing_waits_for_a_readers_snapshot_and_says_so(
    engine: SqliteEngine, tmp_path: Path, rng: random.Random
) -> None:
    writer = Writer(engine, rng)
    await writer.write(200)
    reader = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*) FROM records").fetchone()
    await engine.erase(Target("here"), T2, 1000)
    assert await engine.sanitize(0.2) is False
    assert reader.execute("SELECT count(*) FROM records").fetchone() == seen
    waiting = asyncio.create_task(engine.sanitize(30.0))
    await asyncio.sleep(0.2)
    reader.close()
    assert await waiting is True
    assert pieces_in(tmp_path, writer.texts_of(*writer.everything(HERE))) == set()


async def test_sanitizing_again_writes_nothing(engine: SqliteEngine, tmp_path: Path, rng: random.Random) -> None:
    await Writer(engine, rng).write(200)
    await engine.erase(Target("here"), T2, 1000)
    assert await engine.sanitize(30.0)
    before = (tmp_path / "records.db").stat().st_mtime_ns
    assert await engine.sanitize(30.0)
    assert (tmp_path / "records.db").stat().st_mtime_ns == before


async def test_readers_and_writers_go_on_while_an_engine_is_sanitized(
    engine: SqliteEngine, tmp_path: Path, rng: random.Random
) -> None:
    writer = Writer(engine, rng)
    await writer.write(400)
    there = (await engine.page([THERE], Order.ASC, None, 1000)).records
    await engine.erase(Target("here"), T2, 1000)
    other = await SqliteEngine.open(tmp_path / "records.db")
    added = [apply(each, THERE, writer.put(THERE, writer.text(40))) for each in (engine, other) for _ in range(10)]
    pages = [each.page([THERE], Order.ASC, None, 1000) for each in (engine, other) for _ in range(10)]
    sanitizing = [each.sanitize(30.0) for each in (engine, other)]
    done, seen, _ = await asyncio.gather(*(asyncio.gather(*calls) for calls in (sanitizing, pages, added)))
    assert done == [True, True]
    for page in seen:
        assert {record.key for record in there} <= {record.key for record in page.records}
    assert len((await engine.page([THERE], Order.ASC, None, 1000)).records) == len(there) + 20
    await other.close()
    assert pieces_in(tmp_path, writer.texts_of(*writer.everything(HERE))) == set()
