"""The record engine without anything above it: batches in and pages out, beside bare SQLite on the same tables."""

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from itertools import islice
from pathlib import Path

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect, make_file
from blobstore.sqlite.versions import Schema, prepare
from records.engine import Engine
from records.engines.sqlite import SqliteEngine
from records.engines.sqlite.schema import MIGRATIONS
from records.history import Recorder
from records.model import Batch, Order, Position, Put
from tools.bench.bare import BATCH, PAGE, PLACE, batches, position, puts, select
from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.messages import messages
from tools.bench.pairs import Median, Pairs, Work
from tools.bench.seeds import seeded

CHUNK = 20_000
"""Records of each side of a pair."""

WRITTEN = 100_000
STREAM = 10_000_000
PAGES = 50
"""Pages of each side of a pair, at places that are others in each."""

Row = tuple[object, ...]


def batch(mutations: Sequence[Put]) -> Batch:
    """As an ingest makes it."""
    recorder = Recorder(bytes(32), "sent_at")
    return Batch(PLACE, mutations, 0, None, append_only=False, event=b"event" * 30, recorder=recorder)


class Chunks:
    """Batches, and the very rows that the engine makes of them: it writes them once, into a file of its own."""

    def __init__(self, path: Path, size: int, count: int) -> None:
        self._path, self._lines, self._size = path, messages(size * count), size
        self._batches: list[list[Batch]] = []
        self._rows: list[list[list[Row]]] = []

    def batches(self, number: int) -> list[Batch]:
        """Of a chunk."""
        return self._made(number)[0]

    def rows(self, number: int) -> list[list[Row]]:
        """The same, batch by batch."""
        return self._made(number)[1]

    def _made(self, number: int) -> tuple[list[Batch], list[list[Row]]]:
        while number >= len(self._batches):
            asyncio.run(self._make())
        return self._batches[number], self._rows[number]

    async def _make(self) -> None:
        made = [batch(puts(lines)) for lines in batches(islice(self._lines, self._size))]
        engine = await SqliteEngine.open(self._path)
        with closing(connect(self._path)) as db:
            last = db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()[0]
            for each in made:
                await engine.apply(each)
            found = db.execute("SELECT * FROM records WHERE id > ? ORDER BY id", [last]).fetchall()
        await engine.close()
        self._batches.append(made)
        self._rows.append([found[first : first + BATCH] for first in range(0, len(found), BATCH)])


def ingest(bench: Bench) -> Iterator[Figure]:
    """One batch after another, each with its fsync, into files that grow alike."""
    chunks = Chunks(bench.scratch / "template.db", bench.sized(CHUNK), bench.pairs + 1)
    with asyncio.Runner() as runner, opened(runner, bench.scratch / "engine.db") as engine:
        numbers = iter(range(bench.pairs + 1))
        work = lambda: runner.run(applied(engine, chunks.batches(next(numbers))))  # noqa: E731
        yield bench.versus("executemany, the same rows", Goal(Of.RATE, 0.5), work, _executed(bench, chunks))


async def applied(engine: Engine, made: Sequence[Batch]) -> float:
    """Seconds of these batches."""
    begun = time.perf_counter()
    for each in made:
        await engine.apply(each)
    return time.perf_counter() - begun


@contextmanager
def opened(runner: asyncio.Runner, path: Path) -> Iterator[Engine]:
    """An engine over one file."""
    engine = runner.run(SqliteEngine.open(path))
    try:
        yield engine
    finally:
        runner.run(engine.close())


@contextmanager
def _executed(bench: Bench, chunks: Chunks) -> Iterator[Work]:
    path = bench.scratch / "bare.db"
    make_file(path)
    with closing(connect(path)) as db:
        prepare(path, db, Schema(MIGRATIONS))
        numbers = iter(range(bench.pairs + 1))
        yield lambda: _execute(db, chunks.rows(next(numbers)))


def _execute(db: sqlite3.Connection, made: Sequence[Sequence[Row]]) -> float:
    sql = f"INSERT INTO records VALUES ({', '.join('?' * len(made[0][0]))})"
    begun = time.perf_counter()
    for rows in made:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(sql, rows)
        db.execute("COMMIT")
    return time.perf_counter() - begun


def written(bench: Bench) -> Iterator[Figure]:
    """Bytes that go to the disk until all of it is in the file itself, as the kernel counts them."""
    size, lines = 0, messages(bench.sized(WRITTEN))
    with asyncio.Runner() as runner:
        before = _write_bytes()
        with opened(runner, bench.scratch / "written.db") as engine:
            for some in batches(lines):
                size += sum(len(line) + 1 for line in some)
                runner.run(engine.apply(batch(puts(some))))
        bytes_written = _write_bytes() - before
    goal, pairs = Goal(Of.BYTES, 2.5), Pairs((bytes_written,), (size,))
    yield Figure("", "bytes of NDJSON", goal, Median.of(goal.ratios(pairs)), pairs)


def _write_bytes() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def page(bench: Bench) -> Iterator[Figure]:
    """The median page of each side of a pair, at places all over the stream."""
    path, count = bench.scratch / "stream.db", bench.sized(STREAM)
    with asyncio.Runner() as runner, closing(runner.run(seeded(path, count))) as db, opened(runner, path) as engine:
        pages = Pages(db, count)
        work = lambda: runner.run(pages.of_engine(engine))  # noqa: E731
        theirs = nullcontext(lambda: runner.run(pages.of_sqlite()))
        yield bench.versus("SELECT, JSON decoded", Goal(Of.TIME, 3), work, theirs)


class Pages:
    """Places of a stream, the same for both sides."""

    def __init__(self, db: sqlite3.Connection, count: int) -> None:
        self._db = db
        self._count = count
        self._turn = [0, 0]

    async def of_engine(self, engine: Engine) -> float:
        """Median seconds of a page."""
        times = []
        for after in self._places(0):
            begun = time.perf_counter()
            found = await engine.page([PLACE], Order.ASC, after, PAGE)
            times.append(time.perf_counter() - begun)
            assert found.records
        return statistics.median(times)

    async def of_sqlite(self) -> float:
        """The same, in a thread, as whoever has an event loop must ask SQLite."""
        times = []
        for after in self._places(1):
            begun = time.perf_counter()
            found = await asyncio.to_thread(select, self._db, after)
            times.append(time.perf_counter() - begun)
            assert found
        return statistics.median(times)

    def _places(self, side: int) -> list[Position]:
        turn = self._turn[side]
        self._turn[side] += 1
        ids = [1 + (turn * PAGES + number) * 7_368_787 % max(1, self._count - PAGE) for number in range(PAGES)]
        return [position(self._db, each) for each in ids]


LINES = (
    Line("ingest", "ingest small records, durable batches of 500, at the engine", ingest),
    Line("written", "bytes written to the disk by that ingest, 100,000 records", written),
    Line("page", "page of 100 records, anywhere in 10,000,000, at the engine", page),
)
