"""`blobstore bench records`: what the record engine writes and how fast, against SQLite without it."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
import msgspec

from blobstore.sqlite import sqlite3
from blobstore.sqliteconnection import connect, prepare
from records.engine import Engine
from records.engines.sqlite import SqliteEngine
from records.engines.sqlite.schema import MIGRATIONS
from records.history import Recorder
from records.lines import ParsedPut, parse_line
from records.model import Batch, Order, Page, Partition, Position, Put
from tools.bench.messages import declaration, messages
from tools.output import json_option, listing

BATCH = 500
PAGE = 100
ROUNDS = 5
PLACE = Partition("bench", "one", "messages")
WRITTEN_LIMIT = 2.5
RATE_LIMIT = 0.5


@click.command()
@click.option("--written", default=100_000, show_default=True, help="Records whose bytes on the disk are counted.")
@click.option("--rate", default=100_000, show_default=True, help="Records for the rate of writing.")
@click.option("--stream", default=1_000_000, show_default=True, help="Records of the stream that is paged through.")
@click.option("--pages", default=500, show_default=True, help="Pages at each end of the stream.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@json_option
def records(written: int, rate: int, stream: int, pages: int, directory: Path | None, as_json: bool) -> None:
    """Write and page through records; the peers are executemany and SELECT on the same tables."""
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = asyncio.run(_measure(Path(name), written, rate, stream, pages))
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(row["within"] for row in rows):
        raise click.exceptions.Exit(1)


async def _measure(scratch: Path, written: int, rate: int, stream: int, pages: int) -> list[dict[str, object]]:
    return [
        _row(
            "bytes written per byte of NDJSON", await _written(scratch / "written.db", written), at_most=WRITTEN_LIMIT
        ),
        _row("rate of ingest / bare executemany", await _rate(scratch, rate), at_least=RATE_LIMIT),
        *await _paging(scratch / "stream.db", stream, pages),
    ]


def _row(
    figure: str, value: float, *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, object]:
    within = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    return {"figure": figure, "value": round(value, 3), "at_most": at_most, "at_least": at_least, "within": within}


# -- writing -------------------------------------------------------------------------------------------------------


async def _written(path: Path, count: int) -> float:
    """Bytes that go to the disk until all of it is in the file itself, as the kernel counts them."""
    engine = await SqliteEngine.open(path)
    before, size = _write_bytes(), 0
    for lines in _batches(messages(count)):
        size += sum(len(line) + 1 for line in lines)
        await engine.apply(_batch(_puts(lines)))
    await engine.close()
    return (_write_bytes() - before) / size


def _write_bytes() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


async def _rate(scratch: Path, count: int) -> float:
    """The engine and executemany write batches of the same records in turn, each batch with its fsync."""
    ratios = []
    for number in range(ROUNDS):
        engine = await SqliteEngine.open(scratch / f"engine-{number}.db")
        bare = _Bare(scratch / f"bare-{number}.db")
        total = [0.0, 0.0]
        for index, lines in enumerate(_batches(messages(count // ROUNDS))):
            puts = _puts(lines)
            bare.prepare(index * BATCH, puts)
            for which in (0, 1) if index % 2 else (1, 0):
                write = asyncio.to_thread(bare.write) if which else engine.apply(_batch(puts))
                total[which] += await _timed(write)
        await engine.close()
        bare.close()
        ratios.append(total[1] / total[0])
    return statistics.median(ratios)


class _Bare:
    """The engine's tables and nothing else of it."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        prepare(path, self._db, MIGRATIONS)
        self._rows: list[tuple[object, ...]] = []
        self._columns = [row[1] for row in self._db.execute("PRAGMA table_info(records)")]

    def prepare(self, version: int, puts: Sequence[Put]) -> None:
        """Rows as they go into the table."""
        self._rows = []
        for number, put in enumerate(puts, version + 1):
            cursor = put.sort.encoded[: -len(put.key.encode())]
            self._rows.append((1 << 40 | number, 1, put.key, 0, cursor, number, 0, None, put.data.decode()))

    def write(self) -> None:
        """All rows in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


async def _timed(call: Awaitable[object]) -> float:
    started = time.perf_counter()
    await call
    return time.perf_counter() - started


# -- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _End:
    name: str
    after: Position | None


async def _paging(path: Path, count: int, pages: int) -> list[dict[str, object]]:
    engine = await SqliteEngine.open(path)
    last: list[Put] = []
    for lines in _batches(messages(count)):
        puts = _puts(lines)
        await engine.apply(_batch(puts))
        last = [*last, *puts][-PAGE - 1 :]
    before = Position(last[0].sort, PLACE, last[0].key)
    database = connect(path)
    rows = []
    for end in (_End("start", None), _End("end", before)):
        rows += await _compare(engine, database, end, count, pages)
    database.close()
    await engine.close()
    return rows


async def _compare(
    engine: Engine, database: sqlite3.Connection, end: _End, count: int, pages: int
) -> list[dict[str, object]]:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(pages):
        ours.append(await _timed(_page(engine, end.after)))
        theirs.append(await _timed(asyncio.to_thread(_select, database, end.after)))
    figures = []
    for name, at in (("p50", 50), ("p90", 90)):
        own, bare = (statistics.quantiles(times, n=100)[at - 1] for times in (ours, theirs))
        figures.append(_row(f"page of {PAGE} at the {end.name} of {count:,}, {name}, ms", own * 1000))
        figures.append(_row(f"the same / SELECT and decoding, {name}", own / bare))
    return figures


async def _page(engine: Engine, after: Position | None) -> Page:
    page = await engine.page([PLACE], Order.ASC, after, PAGE)
    assert len(page.records) == PAGE
    return page


def _select(database: sqlite3.Connection, after: Position | None) -> list[object]:
    cursor, key = (b"", "") if after is None else (after.sort.encoded[: -len(after.key.encode())], after.key)
    found = [msgspec.json.decode(row[0]) for row in database.execute(_SELECT, (cursor, key, PAGE))]
    assert len(found) == PAGE
    return found


_SELECT = """
SELECT data FROM records WHERE part = 1 AND absent = 0 AND (cursor, key) > (?, ?) ORDER BY cursor, key LIMIT ?
"""


# -- records -------------------------------------------------------------------------------------------------------


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def _puts(lines: Sequence[bytes]) -> list[Put]:
    parsed = (parse_line(line, _DECLARATION) for line in lines)
    return [each.put(()) for each in parsed if isinstance(each, ParsedPut)]


def _batch(puts: Sequence[Put]) -> Batch:
    return Batch(PLACE, puts, 0, None, append_only=False, event=b"event" * 30, recorder=Recorder(bytes(32), "sent_at"))


_DECLARATION = declaration()
