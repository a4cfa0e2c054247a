"""The record engine in PostgreSQL, beside COPY of the very rows that it made."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice

from blobstore.postgres import Database
from records.engine import Engine
from records.engines.postgres import PostgresEngines
from records.model import Batch
from tools.bench.bare import BATCH, batches, puts
from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.lines.records import CHUNK, applied, batch
from tools.bench.messages import messages
from tools.bench.pairs import Work
from tools.bench.peers.postgres import cluster, psql
from tools.bench.peers.programs import program


def ingest(bench: Bench) -> Iterator[Figure]:
    """Each side of a pair writes the same records for an owner who has none yet, into tables that grow alike."""
    made = [batch(puts(lines)) for lines in batches(messages(bench.sized(CHUNK)))]
    goal = Goal(Of.RATE, 0.4)
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        url = bench.database_url or stack.enter_context(cluster(bench.scratch))
        engines = _Engines(runner, runner.run(Database.open(url)))
        stack.callback(engines.close)
        work = partial(engines.apply, made)
        for each, peer in ((None, "psql COPY, all at once"), (BATCH, f"psql COPY, a commit for each {BATCH}")):
            yield bench.versus(peer, goal, work, _copied(engines, url, made, each))


class _Engines:
    """Of one database, an owner for each time."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        self.run = runner.run
        self.database = database
        self._engines = runner.run(PostgresEngines.open(database))
        self._owners = 0

    def apply(self, made: list[Batch]) -> float:
        """Seconds."""
        return self.run(applied(self.run(self.fresh()), made))

    async def fresh(self) -> Engine:
        """Of the next owner."""
        self._owners += 1
        return await self._engines.of(f"o{self._owners:015x}")

    def close(self) -> None:
        """Let go of the database."""
        self.run(self._engines.close())
        self.run(self.database.close())


@contextmanager
def _copied(engines: _Engines, url: str, made: list[Batch], each: int | None) -> Iterator[Work]:
    """The rows are read out of the engine's table once; an owner's name stands at the beginning of each."""
    program("psql")
    engine = engines.run(engines.fresh())
    engines.run(applied(engine, made))
    engines.run(engines.database.write(lambda db: db.execute(_BARE)))
    owner = f"o{engines._owners:015x}".encode()
    rows = engines.run(_rows(engines.database, owner.decode()))
    numbers = iter(range(1 << 40))

    def work() -> float:
        name = b"p%015x" % next(numbers)
        own = iter([name + row.removeprefix(owner) for row in rows])
        script = b"".join(
            b"COPY records.bare FROM STDIN;\n" + b"\n".join(some) + b"\n\\.\n"
            for some in iter(lambda: list(islice(own, each)), [])
        )
        return psql(url, script)

    yield work


async def _rows(database: Database, owner: str) -> list[bytes]:
    text = bytearray()

    async def collect(data: bytes) -> None:
        text.extend(data)

    await database.write(lambda db: db.copy_from_query(_ROWS, owner, output=collect))
    return bytes(text).splitlines()


_BARE = "DROP TABLE IF EXISTS records.bare; CREATE TABLE records.bare (LIKE records.records INCLUDING ALL)"
_ROWS = "SELECT * FROM records.records WHERE owner = $1 ORDER BY version"

LINES = (Line("ingest-postgres", "ingest into PostgreSQL, durable batches of 500, at the engine", ingest, ("psql",)),)
