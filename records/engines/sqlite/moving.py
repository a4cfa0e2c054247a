"""Connectors on their way to and from other engines: marks, what is read to be copied, what a copy is made of."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TypeVar

from blobstore.errors import StorageUnavailable
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale
from records.engines.sqlite.copied import held_here, load
from records.engines.sqlite.extracting import items_of, state_of
from records.engines.sqlite.schema import OnFile, Row, take_links
from records.engines.sqlite.summing import sum_up
from records.engines.summing import Change
from records.model import Partition
from records.times import unpacked
from records.transfer import CONDEMNED, Item, Mark, Piece, Stage, State

T = TypeVar("T")


class Moving(OnFile):
    """The part of the port that moves connectors."""

    async def require_in_place(self) -> None:
        """Raise `StorageUnavailable` where the file has lost its name: what is asked of it is nowhere else either."""
        if not await asyncio.to_thread(self._file.is_in_place):
            raise StorageUnavailable(f"{self._file.path.name} was removed or replaced while it was open; start again")

    async def connectors(self) -> list[str]:
        rows = await self._file.read(lambda db: db.execute("SELECT name FROM connectors ORDER BY name").fetchall())
        return [name for (name,) in rows]

    async def marks(self, connector: str | None = None) -> list[Mark]:
        sql = "SELECT connector, stage, other FROM moving WHERE ? IS NULL OR connector = ? ORDER BY connector"
        rows = await self._file.read(lambda db: db.execute(sql, (connector, connector)).fetchall())
        return [Mark(connector, Stage(stage), other) for connector, stage, other in rows]

    async def mark(self, mark: Mark) -> None:
        await self._file.write(lambda db: _mark(db, mark))

    async def unmark(self, connector: str) -> None:
        await self._file.execute("DELETE FROM moving WHERE connector = ?", (connector,))

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        return await self._file.read(lambda db: _see(db, connector, since, see))

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        def run(db: sqlite3.Connection) -> T:
            _mark(db, Mark(connector, Stage.LEFT, to), state_of(db, connector).disturbances)
            return _see(db, connector, since, see)

        return await self._file.write(run)

    async def load(self, source: str, piece: Piece) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            connector = piece.state.connector
            known = _require_away(db, connector)
            _mark(db, Mark(connector, Stage.COMING, source), piece.state.disturbances)
            copied = held_here(db, connector)
            if known is not None and (
                piece.state.disturbances < known or (copied and piece.state.disturbances > known)
            ):
                return False
            return piece.goes_on_from(copied) and load(db, piece, copied)

        return await self._file.write(lambda db: _undone_if_false(db, run))

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            if _require_away(db, connector) is None:
                _mark(db, Mark(connector, Stage.COMING, ""))
            done = _discard(db, connector, limit)
            # Half of a copy is none: nothing is added to it, and an erasure does not leave it to who began.
            db.execute(_KNOWN, (disturbances, 0 if done else CONDEMNED, connector))
            return done

        return await self._file.write(run)

    async def condemn(self, connector: str, disturbances: int) -> bool:
        """Let no piece be added to what is here of a connector that is not served here, if it is from before so many
        disturbances: it is to be discarded. False where nothing of the kind is here.

        What was read before, and is yet to be loaded, is refused from then on.
        """

        def run(db: sqlite3.Connection) -> bool:
            sql = "SELECT stage, disturbances FROM moving WHERE connector = ?"
            stage, known = db.execute(sql, (connector,)).fetchone() or (None, 0)
            if stage is None and connector_there(db, connector):
                return False
            if stage is None:
                _mark(db, Mark(connector, Stage.COMING, ""), disturbances)
            if stage in (None, Stage.LEAVING.value) or disturbances <= known < CONDEMNED:
                return False
            db.execute(_KNOWN, (disturbances, CONDEMNED, connector))
            return True

        return await self._file.write(run)


def _see(
    db: sqlite3.Connection,
    connector: str,
    since: Mapping[Partition, int],
    see: Callable[[State, Iterable[Item]], T],
) -> T:
    # Closed, so that no statement stays open and holds the snapshot.
    with closing(items_of(db, connector, since)) as items:
        return see(state_of(db, connector), items)


def _mark(db: sqlite3.Connection, mark: Mark, disturbances: int = 0) -> None:
    """What is known of disturbances only rises, until the mark goes."""
    db.execute(_MARK, (mark.connector, mark.stage.value, mark.other, disturbances))


def _require_away(db: sqlite3.Connection, connector: str) -> int | None:
    """The number of disturbances that its mark knows of; None where nothing is known of it at all."""
    row = db.execute("SELECT stage, disturbances FROM moving WHERE connector = ?", (connector,)).fetchone()
    if (row is None and connector_there(db, connector)) or (row is not None and row[0] == Stage.LEAVING.value):
        raise ValueError(f"{connector} is served here")
    return None if row is None else int(row[1])


def connector_there(db: sqlite3.Connection, connector: str) -> bool:
    """Whether anything is kept of it."""
    return db.execute("SELECT 1 FROM connectors WHERE name = ?", (connector,)).fetchone() is not None


def _undone_if_false(db: sqlite3.Connection, run: Callable[[sqlite3.Connection], bool]) -> bool:
    db.execute("SAVEPOINT piece")
    done = run(db)
    if not done:
        db.execute("ROLLBACK TO piece")
    db.execute("RELEASE piece")
    return done


def _discard(db: sqlite3.Connection, connector: str, limit: int) -> bool:
    left = limit
    for (part,) in db.execute(_PARTS, (connector,)).fetchall():
        left -= _discard_records(db, part, left)
        for table, version in (("tombstones", "version"), ("history", "until")):
            chosen = f"SELECT {version} FROM {table} WHERE part = ? ORDER BY {version} LIMIT ?"
            sql = f"DELETE FROM {table} WHERE part = ? AND {version} IN ({chosen})"
            left -= db.execute(sql, (part, part, max(left, 0))).rowcount
        if left <= 0:
            break
    if left < limit:
        mark_stale(db)
    if left <= 0:
        return False
    for sql in _REST:
        db.execute(sql, (connector,))
    return True


def _discard_records(db: sqlite3.Connection, part: int, limit: int) -> int:
    sql = "SELECT id, key, links, octet_length(data), emitted_at FROM records WHERE part = ? ORDER BY id LIMIT ?"
    rows: list[Row] = db.execute(sql, (part, max(limit, 0))).fetchall()
    gone = take_links(db, part, [row[1] for row in rows if row[2]])
    change = Change()
    for _, key, _, size, emitted_at in rows:
        change.go(unpacked(emitted_at), size, gone.get(key, ()))
    sum_up(db, part, change)
    db.executemany("DELETE FROM records WHERE id = ?", [row[:1] for row in rows])
    counts = (len(rows), sum(row[3] for row in rows), sum(row[2] for row in rows))
    db.execute(_COUNT_DOWN, (*counts, len(rows), part))
    return len(rows)


_MARK = """
INSERT INTO moving VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    stage = excluded.stage, other = excluded.other, disturbances = max(disturbances, excluded.disturbances)
"""

_KNOWN = f"UPDATE moving SET disturbances = max(disturbances % {CONDEMNED}, ?) + ? WHERE connector = ?"
"""Takes the disturbances, and `CONDEMNED` or 0."""

_PARTS = "SELECT p.id FROM connectors c JOIN partitions p ON p.connector = c.id WHERE c.name = ?"

_COUNT_DOWN = """
UPDATE partitions SET records = records - ?, bytes = bytes - ?, links = links - ?,
    updated_at = CASE WHEN records > ? THEN updated_at END
WHERE id = ?
"""

_NUMBER = "(SELECT id FROM connectors WHERE name = ?)"

_REST = (
    f"DELETE FROM erased WHERE part IN (SELECT id FROM partitions WHERE connector = {_NUMBER})",
    f"DELETE FROM finished WHERE connector = {_NUMBER}",
    f"DELETE FROM unlinked WHERE connector = {_NUMBER}",
    f"DELETE FROM epochs WHERE connector = {_NUMBER}",
    f"DELETE FROM linked WHERE connector = {_NUMBER}",
    f"DELETE FROM months WHERE part IN (SELECT id FROM partitions WHERE connector = {_NUMBER})",
    f"DELETE FROM partitions WHERE connector = {_NUMBER}",
    "DELETE FROM connectors WHERE name = ?",
)
