"""Looks for traces in the tables of a database, as `blobstore.tracing` does in files.

What is looked at is what rows show through SQL. The server's pages, its write-ahead log and its replicas cannot be seen
from here: rows that were removed leave the pages with VACUUM, which an erasure runs before it looks.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from blobstore.postgres.database import Connection, Database
from blobstore.traces import BLOCK, LONGEST, Traces
from blobstore.tracing import Found, Hit

PAGES = 4096
"""Pages of a table that are read at one moment: no snapshot that keeps VACUUM waiting is held for longer."""

READ_TIMEOUT = 600.0
"""Seconds for these."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str  # with its schema, quoted
    pages: int
    owner: str | None  # the column that says whose a row is


class Tables:
    """The tables of some schemas. `silent` are those whose rows must never show any of it, so that they excuse nothing.

    Offsets of hits are 0: a place in a table has none.
    """

    def __init__(self, database: Database, schemas: Sequence[str], silent: Collection[str]) -> None:
        self._database = database
        self._schemas = list(schemas)
        self._silent = frozenset(silent)

    async def search(self, samples: Sequence[bytes], owner: str | None) -> Found:
        """All tables; rows of this owner alone where one is named. `files` are tables. Nothing is said of the living.

        Raises `StorageUnavailable`.
        """
        traces, hits, total, count = Traces(samples), list[Hit](), 0, 0
        for table in await self._tables():
            shown = set[int]()
            total += await self._look(table, traces, shown, owner)
            hits += [Hit(table.name, 0, sample) for sample in sorted(shown)]
            count += 1
        return Found(count, total, hits, [], [])

    async def living(self, samples: Sequence[bytes]) -> set[int]:
        """The numbers of the samples that rows show which are there to stay, anybody's."""
        traces, shown = Traces(samples, every=True), set[int]()
        for table in await self._tables():
            if len(shown) < len(traces) and table.name.partition(".")[2] not in self._silent:
                await self._look(table, traces, shown, None)
        return shown

    async def _tables(self) -> list[_Table]:
        return [_Table(*row) for row in await self._database.fetch(_TABLES, self._schemas)]

    async def _look(self, table: _Table, traces: Traces, shown: set[int], owner: str | None) -> int:
        """Add to `shown` what the table shows; the bytes that were looked at."""
        total = 0
        for query in _pieces(table, owner):

            async def work(db: Connection, query: str = query) -> int:
                looking = _Looking(traces, shown)
                await db.copy_from_query(query, output=looking.take, format="binary", timeout=READ_TIMEOUT)
                return await looking.end()

            total += await self._database.read(work, timeout=READ_TIMEOUT)
        return total


class _Looking:
    """What COPY sends, looked at in blocks, in a thread."""

    def __init__(self, traces: Traces, shown: set[int]) -> None:
        self._traces = traces
        self._shown = shown
        self._buffer = bytearray()
        self._total = 0

    async def take(self, piece: bytes) -> None:
        self._total += len(piece)
        self._buffer += piece
        if len(self._buffer) >= BLOCK:
            await self._look()
            del self._buffer[:-LONGEST]

    async def end(self) -> int:
        await self._look()
        return self._total

    async def _look(self) -> None:
        text = bytes(self._buffer)
        self._shown |= await asyncio.to_thread(lambda: {each for _, each in self._traces.in_text(text, self._shown)})


def _pieces(table: _Table, owner: str | None) -> Iterator[str]:
    whose = "" if owner is None or table.owner is None else f" AND {table.owner} = '{_plain(owner)}'"
    for page in range(0, table.pages, PAGES):
        # The last piece has no end: what is added meanwhile may show it, too.
        end = f" AND ctid < '({page + PAGES},0)'" if page + PAGES < table.pages else ""
        yield f"SELECT * FROM {table.name} WHERE ctid >= '({page},0)'{end}{whose}"


def _plain(owner: str) -> str:
    """COPY takes no parameters; ids are made of letters and digits."""
    if not owner.isalnum() or not owner.isascii():
        raise ValueError("an owner's id has letters and digits only")
    return owner


_TABLES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       greatest(pg_relation_size(c.oid) / current_setting('block_size')::bigint, 1),
       (SELECT quote_ident(a.attname) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname IN ('owner', 'namespace') AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = ANY($1) ORDER BY 1
"""
