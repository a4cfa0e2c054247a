"""Where records live, in SQLite."""

from contextlib import closing
from pathlib import Path
from typing import Any

from blobstore.sqlite import sqlite3
from blobstore.sqlite.connection import connect, translated
from blobstore.sqlite.slack import mark_stale
from records.centrals.sqlite.schema import OnFile, require_owner
from records.shards import Home, Left, Shards


class Homes(OnFile):
    """The part of the port about shards."""

    async def shards(self, owner: str) -> Shards:
        def run(db: sqlite3.Connection) -> Shards:
            topology, revision = db.execute(_TOPOLOGY, (owner,)).fetchone() or (None, 0)
            rows = db.execute(_HOMES, (owner,)).fetchall()
            return Shards(topology, {connector: _home(*row) for connector, *row in rows}, revision)

        return await self._file.read(run)

    async def shards_revision(self, owner: str) -> int:
        row = await self._file.read(lambda db: db.execute(_TOPOLOGY, (owner,)).fetchone())
        return 0 if row is None else int(row[1])

    async def set_topology(self, owner: str, source: str | None, to: str) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            require_owner(db, owner)
            row = db.execute(_TOPOLOGY, (owner,)).fetchone()
            if (row and row[0]) != source:
                return False
            _change(db, owner)
            db.execute("UPDATE topologies SET topology = ? WHERE owner = ?", (to, owner))
            return True

        return await self._file.write(run)

    async def topologies(self) -> dict[str, str]:
        return dict(await self._file.read(lambda db: db.execute(_TOPOLOGIES).fetchall()))

    async def place(self, owner: str, connector: str, shard: str) -> Home:
        def run(db: sqlite3.Connection) -> Home:
            require_owner(db, owner)
            if (there := _find(db, owner, connector)) is not None:
                return there
            _put(db, owner, connector, shard)
            return Home(shard, 1)

        return await self._file.write(run)

    async def move(self, owner: str, connector: str, source: str | None, to: str | None) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            require_owner(db, owner)
            there = _find(db, owner, connector)
            if (there and there.shard) != source:
                return False
            if db.execute("DELETE FROM homes WHERE owner = ? AND connector = ?", (owner, connector)).rowcount:
                mark_stale(db)
            _put(db, owner, connector, to)
            return True

        return await self._file.write(run)

    async def wake(self, owner: str, connector: str, shard: str) -> int | None:
        def run(db: sqlite3.Connection) -> int | None:
            require_owner(db, owner)
            row = db.execute(_WAKE, (owner, connector, shard)).fetchone()
            if row is None:
                return None
            mark_stale(db)  # of what it held
            _change(db, owner)
            return int(row[0])

        return await self._file.write(run)

    async def rest(self, owner: str, connector: str, shard: str, number: int, left: Left) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            require_owner(db, owner)
            values = (left.notes, left.stale, left.oldest, left.holds, owner, connector, shard, number)
            if not db.execute(_REST, values).rowcount:
                return False
            mark_stale(db)  # it may have been told before
            _change(db, owner)
            return True

        return await self._file.write(run)


def homes_in(path: Path) -> list[tuple[str, Home]]:
    """The homes of all owners' connectors, each after its owner, in a file that somebody may be writing to. Blocks."""
    with translated(path), closing(connect(path)) as db:
        return [(owner, _home(*row)) for owner, *row in db.execute(_ALL)]


def _find(db: sqlite3.Connection, owner: str, connector: str) -> Home | None:
    row = db.execute(f"{_HOMES} AND connector = ?", (owner, connector)).fetchone()
    return None if row is None else _home(*row[1:])


def _put(db: sqlite3.Connection, owner: str, connector: str, shard: str | None) -> None:
    if shard is not None:
        db.execute("INSERT INTO homes (owner, connector, shard) VALUES (?, ?, ?)", (owner, connector, shard))
    _change(db, owner)


def _change(db: sqlite3.Connection, owner: str) -> None:
    db.execute("INSERT INTO topologies VALUES (?, NULL, 1) ON CONFLICT DO UPDATE SET revision = revision + 1", (owner,))


def _home(shard: str, number: int, rests: int, notes: int, stale: int, *left: Any) -> Home:
    return Home(shard, number, Left(bool(notes), bool(stale), *left) if rests else None)


_TOPOLOGIES = "SELECT owner, topology FROM topologies WHERE topology IS NOT NULL"
_TOPOLOGY = "SELECT topology, revision FROM topologies WHERE owner = ?"

_HOMES = "SELECT connector, shard, number, rests, notes, stale, oldest, holds FROM homes WHERE owner = ?"

_ALL = "SELECT owner, shard, number, rests, notes, stale, oldest FROM homes ORDER BY owner, connector"

_WAKE = """
UPDATE homes SET number = number + 1, rests = 0, holds = NULL WHERE owner = ? AND connector = ? AND shard = ?
RETURNING number
"""

_REST = """
UPDATE homes SET rests = 1, notes = ?, stale = ?, oldest = ?,
    holds = iif((SELECT erased_at FROM owners WHERE id = homes.owner) IS NULL, ?, NULL)
WHERE owner = ? AND connector = ? AND shard = ? AND number = ?
"""
