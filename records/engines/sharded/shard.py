"""One shard: the engine of a single file, for one connector."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from blobstore.sqlite import sqlite3
from records.engines.sharded.file import ShardFile, rest, seal, unseal
from records.engines.sqlite import SqliteEngine
from records.engines.sqlite.schema import CONTENT, MIGRATIONS, Row
from records.shards import Left, source_of

Outliving = Mapping[str, Sequence[Row]]
"""Rows by their tables."""

READERS = 1
"""Threads that read one shard: many shards are read at once."""


class Shard(SqliteEngine):
    """Adapter of `Engine` for what is in one file; what writes raises `Asleep` or `Sealed` besides."""

    own_file = True
    _file: ShardFile

    @classmethod
    async def begin(cls, path: Path, clock: Callable[[], float] = time.time, *, make: bool) -> Self:
        """Open the file; make it where it is to be made. Raises `Moved` where it is not there and is not to be."""
        file = await ShardFile.open(path, MIGRATIONS, readers=READERS, make=make)
        return cls(file, clock, source_of(path.stem))

    @property
    def path(self) -> Path:
        """Its file."""
        return self._file.path

    @property
    def number(self) -> int:
        """What its writes go by."""
        return self._file.number

    @number.setter
    def number(self, number: int) -> None:
        self._file.number = max(number, self._file.number)

    async def drained(self, source: str, seq: int) -> None:
        if source == self.source:
            sql = "DELETE FROM outbox WHERE seq <= ?"
            await self._file.write_at_rest(lambda db: db.execute(sql, (seq,)))

    async def forget_notes(self, notes: Collection[int]) -> None:
        sql, rows = "DELETE FROM unlinked WHERE note = ?", [(note,) for note in notes]
        await self._file.write_at_rest(lambda db: db.executemany(sql, rows))

    async def rest(self, number: int) -> Left | None:
        """See `file.rest`."""
        return await self._file.write_at_rest(partial(rest, number))

    async def seal(self) -> None:
        """Take no writes any more."""
        await self._file.write_at_rest(seal)

    async def unseal(self, number: int) -> None:
        """Take writes again, by numbers above this one."""
        await self._file.write_at_rest(partial(unseal, number))

    async def outliving(self) -> Outliving:
        """What outlives the erasure of all content: versions and floors, epochs, and what erasures took."""

        def run(db: sqlite3.Connection) -> Outliving:
            return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in _OUTLIVING}

        return await self._file.read_sealed(run)

    async def outlive(self, rows: Outliving) -> None:
        """Begin with these rows of another shard."""

        def run(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM versions")
            for table in _OUTLIVING:
                for row in rows[table]:
                    db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)

        await self._file.write(run)

    async def is_bare(self) -> bool:
        """Whether nothing is left in it but what outlives an erasure, and something was removed since it was made."""
        return await self._file.read_sealed(_is_bare)


def _is_bare(db: sqlite3.Connection) -> bool:
    stale = db.execute("SELECT 1 FROM slack WHERE stale").fetchone()
    return bool(stale) and not any(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in _GOING)


_OUTLIVING = ("versions", "connectors", "epochs", "partitions", "erased", "finished")
"""In the order in which rows may be added: later ones refer to earlier ones."""

_GOING = (*CONTENT, "unlinked", "outbox")
