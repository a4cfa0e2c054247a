"""What the record engine in PostgreSQL does and how fast, against bare COPY and SELECT on the same server."""

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Sequence

import msgspec

from blobstore.postgres import Connection, Database
from records.engine import Engine
from records.engines.postgres import PostgresEngines
from records.history import Recorder
from records.model import Batch, Order, Position, Put
from tools.bench.bare import BATCH, PAGE, PLACE, batches, percentile, puts, row
from tools.bench.messages import messages

ROUNDS = 5
WRITERS = 4
COLUMNS = ("owner", "part", "version", "key", "absent", "cursor", "emitted_at", "links", "revisions", "data")
RATE_LIMIT = 0.2
PAGE_LIMIT = 3.0


async def measure(url: str, rate: int, stream: int, pages: int) -> list[dict[str, object]]:
    """Work in an empty database, which must be nobody else's; what is written stays there."""
    database = await Database.open(url)
    engines = await PostgresEngines.open(database)
    await database.write(lambda db: db.execute(_BARE))
    owners = [await engines.of("o" + secrets.token_hex(8)) for _ in range(WRITERS + 1)]
    rows = [
        *await _rate(owners[0], database, rate),
        row(f"PostgreSQL: {WRITERS} owners at once, records a second", await _together(owners[1:], rate)),
        *await _paging(await engines.of("o" + secrets.token_hex(8)), database, stream, pages),
    ]
    await engines.close()
    await database.close()
    return rows


# -- writing -------------------------------------------------------------------------------------------------------


async def _rate(engine: Engine, database: Database, count: int) -> list[dict[str, object]]:
    """The engine and COPY write batches of the same records in turn, each batch with its commit."""
    ratios, total = [], [0.0, 0.0]
    version = 0
    for _ in range(ROUNDS):
        round_total = [0.0, 0.0]
        for index, lines in enumerate(batches(messages(count // ROUNDS))):
            mutations = [_distinct(put, version) for put in puts(lines)]
            records = [_bare(version + n, put) for n, put in enumerate(mutations)]
            version += len(mutations)
            for which in (0, 1) if index % 2 else (1, 0):
                round_total[which] += await _timed(
                    _copy(database, records) if which else engine.apply(_batch(mutations))
                )
        ratios.append(round_total[1] / round_total[0])
        total = [sum(each) for each in zip(total, round_total, strict=True)]
    return [
        row(f"PostgreSQL: ingest in batches of {BATCH}, records a second", version / total[0]),
        row(f"PostgreSQL: COPY in batches of {BATCH}, records a second", version / total[1]),
        row("PostgreSQL: rate of ingest / bare COPY", statistics.median(ratios), at_least=RATE_LIMIT),
    ]


async def _together(engines: Sequence[Engine], count: int) -> float:
    """Records a second of several writers in one process."""
    prepared = [puts(lines) for lines in batches(messages(count // len(engines)))]

    async def write(engine: Engine) -> None:
        for mutations in prepared:
            await engine.apply(_batch(mutations))

    took = await _timed(asyncio.gather(*(write(engine) for engine in engines)))
    return sum(len(each) for each in prepared) * len(engines) / took


async def _copy(database: Database, records: Sequence[tuple[object, ...]]) -> None:
    async def run(db: Connection) -> None:
        await db.copy_records_to_table("bare", schema_name="records", columns=COLUMNS, records=records)

    await database.write(run)


def _distinct(put: Put, version: int) -> Put:
    """Rounds write the same messages: the next ones are other records."""
    key = f"{put.key}-{version}"
    return Put(key, put.sort, put.data, put.emitted_at)


def _bare(version: int, put: Put) -> tuple[object, ...]:
    key = put.key.encode()
    return "bare", b"p" * 16, version, key, False, put.sort.cursor, put.emitted_at, 0, None, put.data


def _batch(puts: Sequence[Put]) -> Batch:
    return Batch(PLACE, puts, 0, None, append_only=False, event=b"event" * 30, recorder=Recorder(bytes(32), "sent_at"))


# -- reading -------------------------------------------------------------------------------------------------------


async def _paging(engine: Engine, database: Database, count: int, pages: int) -> list[dict[str, object]]:
    last: list[Put] = []
    for number, lines in enumerate(batches(messages(count))):
        mutations = puts(lines)
        await engine.apply(_batch(mutations))
        await _copy(database, [_page_row(number * BATCH + n, put) for n, put in enumerate(mutations)])
        last = [*last, *mutations][-PAGE - 1 :]
    figures = []
    for name, after in (("start", None), ("end", Position(last[0].sort, PLACE, last[0].key))):
        ours, theirs = [], []
        for _ in range(pages):
            ours.append(await _timed(engine.page([PLACE], Order.ASC, after, PAGE)))
            theirs.append(await _timed(_select(database, after)))
        for at in (50, 90):
            own, bare = percentile(ours, at), percentile(theirs, at)
            figures.append(row(f"PostgreSQL: page of {PAGE} at the {name} of {count:,}, p{at}, ms", own * 1000))
            limit = PAGE_LIMIT if at == 50 else None
            figures.append(row(f"PostgreSQL: the same / SELECT and decoding, p{at}", own / bare, at_most=limit))
    return figures


def _page_row(version: int, put: Put) -> tuple[object, ...]:
    return "paged", *_bare(version, put)[1:]


async def _select(database: Database, after: Position | None) -> list[object]:
    cursor, key = (b"", b"") if after is None else (after.sort.cursor, after.key.encode())
    rows = await database.fetch(_SELECT, b"p" * 16, cursor, key, PAGE)
    return [msgspec.json.decode(data) for (data,) in rows]


async def _timed(call: Awaitable[object]) -> float:
    started = time.perf_counter()
    await call
    return time.perf_counter() - started


_BARE = "CREATE TABLE records.bare (LIKE records.records INCLUDING ALL)"

_SELECT = """
SELECT data FROM records.bare
WHERE owner = 'paged' AND (part || 'l') = ($1::bytea || 'l') AND NOT absent AND (cursor, key) > ($2, $3)
ORDER BY cursor, key LIMIT $4
"""
