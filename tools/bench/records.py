"""`blobstore bench records`: what the record engine writes and how fast, against SQLite without it."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect
from records.engine import Engine
from records.engines.sqlite import SqliteEngine
from records.history import Recorder
from records.model import Batch, Order, Page, Position, Put
from tools.bench import postgres
from tools.bench.bare import BATCH, PAGE, PLACE, Bare, batches, percentile, puts, row, select
from tools.bench.messages import messages
from tools.output import json_option, listing

ROUNDS = 5
WRITTEN_LIMIT = 2.5
RATE_LIMIT = 0.5
PAGE_LIMIT = 3.0
DEPTH_LIMIT = 1.5


@click.command()
@click.option("--written", default=100_000, show_default=True, help="Records whose bytes on the disk are counted.")
@click.option("--rate", default=100_000, show_default=True, help="Records for the rate of writing.")
@click.option("--stream", default=1_000_000, show_default=True, help="Records of the stream that is paged through.")
@click.option("--pages", default=500, show_default=True, help="Pages at each end of the stream.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where to work: a real disk.")
@click.option("--database-url", help="An empty PostgreSQL database: what its engine does is measured instead.")
@json_option
def records(
    written: int, rate: int, stream: int, pages: int, directory: Path | None, database_url: str | None, as_json: bool
) -> None:
    """Write and page through records; the peers are executemany (COPY) and SELECT on the same tables."""
    if database_url is not None:
        _show(asyncio.run(postgres.measure(database_url, rate, stream, pages)), as_json=as_json)
        return
    with tempfile.TemporaryDirectory(prefix="blobstore-bench-", dir=directory) as name:
        rows = asyncio.run(_measure(Path(name), written, rate, stream, pages))
    _show(rows, as_json=as_json)


def _show(rows: list[dict[str, object]], *, as_json: bool) -> None:
    listing(rows, as_json=as_json, columns=("figure", "value", "at_most", "at_least", "within"))
    if not all(row["within"] for row in rows):
        raise click.exceptions.Exit(1)


async def _measure(scratch: Path, written: int, rate: int, stream: int, pages: int) -> list[dict[str, object]]:
    return [
        row("bytes written per byte of NDJSON", await _written(scratch / "written.db", written), at_most=WRITTEN_LIMIT),
        row("rate of ingest / bare executemany", await _rate(scratch, rate), at_least=RATE_LIMIT),
        *await _paging(scratch / "stream.db", stream, pages),
    ]


# -- writing -------------------------------------------------------------------------------------------------------


async def _written(path: Path, count: int) -> float:
    """Bytes that go to the disk until all of it is in the file itself, as the kernel counts them."""
    engine = await SqliteEngine.open(path)
    before, size = _write_bytes(), 0
    for lines in batches(messages(count)):
        size += sum(len(line) + 1 for line in lines)
        await engine.apply(_batch(puts(lines)))
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
        bare = Bare(scratch / f"bare-{number}.db")
        total = [0.0, 0.0]
        for index, lines in enumerate(batches(messages(count // ROUNDS))):
            mutations = puts(lines)
            bare.prepare(index * BATCH, mutations)
            for which in (0, 1) if index % 2 else (1, 0):
                write = asyncio.to_thread(bare.write) if which else engine.apply(_batch(mutations))
                total[which] += await _timed(write)
        await engine.close()
        bare.close()
        ratios.append(total[1] / total[0])
    return statistics.median(ratios)


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
    for lines in batches(messages(count)):
        mutations = puts(lines)
        await engine.apply(_batch(mutations))
        last = [*last, *mutations][-PAGE - 1 :]
    before = Position(last[0].sort, PLACE, last[0].key)
    database = connect(path)
    rows = await _compare(engine, database, [_End("start", None), _End("end", before)], count, pages)
    database.close()
    await engine.close()
    return rows


async def _compare(
    engine: Engine, database: sqlite3.Connection, ends: Sequence[_End], count: int, pages: int
) -> list[dict[str, object]]:
    ours: dict[str, list[float]] = {end.name: [] for end in ends}
    theirs: dict[str, list[float]] = {end.name: [] for end in ends}
    for _ in range(pages):
        for end in ends:
            ours[end.name].append(await _timed(_page(engine, end.after)))
            theirs[end.name].append(await _timed(asyncio.to_thread(select, database, end.after)))
    figures = []
    for end in ends:
        for at in (50, 90):
            own, bare = percentile(ours[end.name], at), percentile(theirs[end.name], at)
            figures.append(row(f"page of {PAGE} at the {end.name} of {count:,}, p{at}, ms", own * 1000))
            limit = PAGE_LIMIT if at == 50 else None
            figures.append(row(f"the same / SELECT and decoding, p{at}", own / bare, at_most=limit))
    last = percentile(ours["end"], 90) / percentile(ours["start"], 90)
    return [*figures, row("page at the end / page at the start, p90", last, at_most=DEPTH_LIMIT)]


async def _page(engine: Engine, after: Position | None) -> Page:
    page = await engine.page([PLACE], Order.ASC, after, PAGE)
    assert len(page.records) == PAGE
    return page


# -- records -------------------------------------------------------------------------------------------------------


def _batch(puts: Sequence[Put]) -> Batch:
    return Batch(PLACE, puts, 0, None, append_only=False, event=b"event" * 30, recorder=Recorder(bytes(32), "sent_at"))
