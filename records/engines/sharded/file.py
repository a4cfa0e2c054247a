"""One shard's file: nobody writes to it who has not woken it first, which each write makes sure of.

The number of `rests` in the file is that under which it was last brought to rest. Who writes goes by a number that
waking it gave (`Central.wake`), and only with a higher one. So when the central store says of a shard that it rests
under its number, nothing was written since, by any process: its file refuses whoever was woken before, and whoever is
woken later has changed the number first.

A *sealed* shard takes no writes any more, whatever number they go by, and answers nobody: what it holds is on its way
to another, or has come there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from blobstore.errors import Moved
from blobstore.sqlite import sqlite3
from blobstore.sqlite.file import SqliteFile
from records.engines.sharded.telling import told
from records.engines.sqlite.reads import stats_in
from records.engines.sqlite.summing import sums_in
from records.shards import Left

T = TypeVar("T")

SEALED = 1 << 62
"""Above every number."""


class Asleep(Exception):
    """The shard has to be woken before it is written to; nothing was written."""


class Sealed(Moved):
    """The shard takes no writes any more; nothing was written."""


class ShardFile(SqliteFile):
    """As `SqliteFile`; what is written goes by `number`."""

    number = 0

    async def read(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """As there. Raises `Moved` where the shard is sealed."""
        return await super().read(partial(_unsealed, transaction))

    async def read_sealed(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """As `read`, sealed or not."""
        return await super().read(transaction)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """As there. Raises `Moved` where the shard is sealed."""
        with super().snapshot() as db:
            _require_unsealed(db)
            yield db

    async def write(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """As there. Raises `Asleep` and `Sealed`."""
        return await super().write(partial(self._awake, transaction))

    async def write_alone(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """As there. Raises `Asleep` and `Sealed`."""
        return await super().write_alone(partial(self._awake, transaction))

    async def write_at_rest(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """For what nobody reads again and nothing is left to do after: it needs no number."""
        return await super().write(transaction)

    def _awake(self, transaction: Callable[[sqlite3.Connection], T], db: sqlite3.Connection) -> T:
        (rested,) = db.execute("SELECT number FROM rests").fetchone()
        if rested >= SEALED:
            raise Sealed("what this file has is on its way to another")
        if self.number <= rested:
            raise Asleep
        return transaction(db)


def _unsealed(transaction: Callable[[sqlite3.Connection], T], db: sqlite3.Connection) -> T:
    _require_unsealed(db)
    return transaction(db)


def _require_unsealed(db: sqlite3.Connection) -> None:
    if db.execute("SELECT number FROM rests").fetchone()[0] >= SEALED:
        raise Sealed("what this file has is on its way to another")


def rest(number: int, db: sqlite3.Connection) -> Left | None:
    """Let nobody write by this number or a lower one; None, and nothing done, where events are not on the spine yet."""
    if db.execute("SELECT 1 FROM outbox LIMIT 1").fetchone():
        return None
    db.execute("UPDATE rests SET number = max(number, ?)", (number,))
    (oldest,) = db.execute(_OLDEST).fetchone()
    (stale,) = db.execute("SELECT stale FROM slack").fetchone()
    notes = db.execute("SELECT 1 FROM unlinked LIMIT 1").fetchone()
    return Left(notes is not None, bool(stale), oldest, told(stats_in(db), sums_in(db)))


def seal(db: sqlite3.Connection) -> None:
    """Take no writes any more."""
    db.execute("UPDATE rests SET number = max(number, ?)", (SEALED,))


def unseal(number: int, db: sqlite3.Connection) -> bool:
    """Take writes again, by numbers above this one; whether it was sealed."""
    return db.execute("UPDATE rests SET number = ? WHERE number >= ?", (number, SEALED)).rowcount > 0


# A partition's history lies in the order of time.
_OLDEST = """
SELECT min(at) FROM (
    SELECT (SELECT at FROM history WHERE part = p.id ORDER BY until LIMIT 1) AS at FROM partitions p
    UNION ALL
    SELECT (SELECT at FROM tombstones WHERE part = p.id ORDER BY version LIMIT 1) FROM partitions p
)
"""
