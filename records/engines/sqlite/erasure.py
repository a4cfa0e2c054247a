"""Taking records away for good: fences, rows, and (`blobstore.sqlite.slack`) what pages still show of rows gone."""

from dataclasses import dataclass, field
from typing import NamedTuple

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.slack import mark_stale, sanitize
from records.engine import LEAP
from records.engines.sqlite.schema import (
    CONTENT,
    OnFile,
    bury,
    connector_id,
    disturb,
    note_unlinked,
    take_links,
    version_of,
)
from records.engines.sqlite.summing import sum_up
from records.engines.sqlite.views import drop_views, is_left_of_erased
from records.engines.summing import Change
from records.history import consent_in, erased, redacted
from records.model import Erased, Partition, Target, Tombstone
from records.times import unpacked


class Erasure(OnFile):
    """The part of the port that erases."""

    async def fence(self, connector: str, instance: str | None) -> None:
        def run(db: sqlite3.Connection) -> None:
            _raise_epoch(db, connector_id(db, connector), instance, None)

        await self._file.write(self.here([connector], run))

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        def run(db: sqlite3.Connection) -> Erased:
            step = _Step(target, deleted_at, self.now(), limit)
            return _erase(db, step) if erasure is None else _erase_for(db, step, erasure)

        return await self._file.write(self.here([target.connector], run))

    async def erased(self, erasure: str) -> dict[Partition, int]:
        rows = await self._file.read(lambda db: db.execute(_ERASED, (erasure,)).fetchall())
        return {Partition(*place): records for *place, records in rows}

    async def sanitize(self, timeout: float) -> bool:
        if await self._file.read(is_left_of_erased):
            await self._file.write(drop_views)
            await self._file.vacuum()  # pages of the schema may show them still
            self._views.clear()
        return await sanitize(self._file, CONTENT, timeout)

    async def leap(self) -> None:
        await self._file.write(_leap)

    async def base(self) -> int:
        """The version at which partitions begin."""
        return int((await self._file.read(lambda db: db.execute("SELECT base FROM versions").fetchone()))[0])

    async def land(self, base: int) -> None:
        """Every partition, old or new, goes on from this version, which is above all that were given out."""
        await self._file.write(lambda db: _land(db, base))


@dataclass(slots=True)
class _Step:
    """One step of an erasure while it goes through partitions."""

    target: Target
    deleted_at: str
    now: int
    left: int
    records: int = 0
    size: int = 0
    lost: dict[int, int] = field(default_factory=dict)
    """Records that went, by partition."""


def _erase_for(db: sqlite3.Connection, step: _Step, erasure: str) -> Erased:
    """A step that is remembered, unless its erasure is over here."""
    target = step.target
    number = connector_id(db, target.connector)
    mark = (erasure, number, target.instance or "")
    if db.execute("SELECT 1 FROM finished WHERE (erasure, connector, instance) = (?, ?, ?)", mark).fetchone():
        return Erased(0, 0, frozenset(), finished=True)
    done = _erase(db, step)
    db.executemany(_COUNT_ERASED, [(erasure, part, count) for part, count in step.lost.items()])
    if done.finished:
        db.execute("INSERT INTO finished VALUES (?, ?, ?)", mark)
        if target.key is None:
            _raise_epoch(db, number, target.instance, target.stream)
    return done


def _raise_epoch(db: sqlite3.Connection, connector: int, instance: str | None, stream: str | None) -> None:
    if instance is None:  # counts for instances that nobody has seen yet, too
        db.execute("UPDATE connectors SET epoch = epoch + 1 WHERE id = ?", (connector,))
    else:
        db.execute(_RAISE, (connector, instance, stream or ""))


def _leap(db: sqlite3.Connection) -> None:
    sql = "UPDATE versions SET base = ? + max(base, (SELECT coalesce(max(version), 0) FROM partitions)) RETURNING base"
    _land(db, *db.execute(sql, (LEAP,)).fetchone())


def _land(db: sqlite3.Connection, base: int) -> None:
    db.execute("UPDATE versions SET base = ?", (base,))
    db.execute("UPDATE partitions SET version = ?, floor = ?", (base, base))
    db.execute("UPDATE connectors SET disturbances = disturbances + 1")


def _erase(db: sqlite3.Connection, step: _Step) -> Erased:
    target, limit = step.target, step.left
    values = (target.connector, target.instance, target.instance, target.stream, target.stream)
    places = db.execute(_COVERED, values).fetchall()
    dropped: set[Digest] = set()
    for _, part in places:
        dropped |= _erase_records(db, part, step)
    for _, part in places:
        if target.stream is not None:
            step.left -= _redact(db, part, step)
        else:
            step.left -= _erase_made(db, "tombstones", "version", part, step)
            step.left -= _erase_made(db, "history", "until", part, step)
    if target.stream is None:
        db.executemany("UPDATE partitions SET floor = version WHERE id = ?", [(part,) for _, part in places])
    if places:
        disturb(db, places[0][0])
    if step.left < limit:
        mark_stale(db)
    lost = note_unlinked(db, places[0][0], dropped) if dropped else set()
    finished = not any(_is_left(db, part, target) for _, part in places)
    return Erased(step.records, step.size, frozenset(lost), finished)


def _erase_records(db: sqlite3.Connection, part: int, step: _Step) -> set[Digest]:
    rows = _chosen(db, part, step)
    if not rows:
        return set()
    gone = take_links(db, part, [row.key for row in rows if row.links])
    db.executemany("DELETE FROM records WHERE id = ?", [(row.id,) for row in rows])
    size = sum(row.size for row in rows)
    counts = db.execute(_COUNT_DOWN, (len(rows), size, sum(row.links for row in rows), part)).fetchone()
    if not counts[0]:
        db.execute("UPDATE partitions SET updated_at = NULL WHERE id = ?", (part,))
    if step.target.stream is not None:
        _bury(db, part, rows, step)
    step.left -= len(rows)
    step.records += len(rows)
    step.lost[part] = len(rows)
    step.size += size
    change = Change()
    for row in rows:
        change.go(unpacked(row.emitted_at), row.size, gone.get(row.key, ()))
    sum_up(db, part, change)
    return {digest for links in gone.values() for digest, _ in links}


class _Chosen(NamedTuple):
    id: int
    key: str
    emitted_at: int | str
    size: int
    links: int
    consent: str | None


def _chosen(db: sqlite3.Connection, part: int, step: _Step) -> list[_Chosen]:
    """The records to erase now. Their data is read for nothing but the consent-time field, one after the other."""
    one, which = _which(step.target)
    consent_field = step.target.consent_field
    data = "NULL" if consent_field is None else "CAST(data AS BLOB)"
    rows = db.execute(_CHOSEN.format(one=one, data=data), (part, *which, step.left))
    return [
        _Chosen(number, key, emitted_at, size, links, None if data is None else consent_in(data, consent_field))
        for number, key, emitted_at, size, links, data in rows
    ]


def _bury(db: sqlite3.Connection, part: int, rows: list[_Chosen], step: _Step) -> None:
    """Tombstones for erased records, each with a version of its own."""
    sql = "UPDATE partitions SET version = version + ? WHERE id = ? RETURNING version"
    first = db.execute(sql, (len(rows), part)).fetchone()[0] - len(rows) + 1
    at = step.deleted_at
    bury(db, part, [Tombstone(row.key, version, at, at) for version, row in enumerate(rows, first)], step.now)
    past = [
        (part, version, row.key, version_of(row.id), step.now, erased(row.consent, step.target.consent_field))
        for version, row in enumerate(rows, first)
    ]
    db.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, 1, ?)", past)


def _redact(db: sqlite3.Connection, part: int, step: _Step) -> int:
    """Cut what is remembered of the target to what may stay, oldest first; of how many states."""
    one, which = _which(step.target)
    rows = db.execute(_REMEMBERED.format(one=one), (part, *which, step.left)).fetchall()
    sql = "UPDATE history SET erased = 1, remembered = ? WHERE part = ? AND until = ?"
    db.executemany(sql, [(redacted(remembered), part, until) for until, remembered in rows])
    return len(rows)


def _erase_made(db: sqlite3.Connection, table: str, version: str, part: int, step: _Step) -> int:
    """Rows that changes have made, oldest first; how many went."""
    chosen = f"SELECT {version} FROM {table} WHERE part = ? ORDER BY {version} LIMIT ?"
    sql = f"DELETE FROM {table} WHERE part = ? AND {version} IN ({chosen})"
    return db.execute(sql, (part, part, step.left)).rowcount


def _is_left(db: sqlite3.Connection, part: int, target: Target) -> bool:
    one, which = _which(target)
    tables = ["records"] if target.stream is not None else CONTENT
    queries = [f"SELECT 1 FROM {table} WHERE part = ? {one} LIMIT ?" for table in tables]
    if target.stream is not None:
        queries.append(_REMEMBERED.format(one=one))
    return any(db.execute(sql, (part, *which, 1)).fetchone() for sql in queries)


def _which(target: Target) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if target.key is None else ("AND key = ?", (target.key,))


_REMEMBERED = """
SELECT until, remembered FROM history
WHERE part = ? {one} AND NOT erased AND remembered IS NOT NULL ORDER BY until LIMIT ?
"""

_RAISE = "INSERT INTO epochs VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1"

_COUNT_ERASED = """
INSERT INTO erased VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records
"""

_ERASED = """
SELECT c.name, p.instance, p.stream, e.records
FROM erased e JOIN partitions p ON p.id = e.part JOIN connectors c ON c.id = p.connector WHERE e.erasure = ?
"""

_COVERED = """
SELECT p.connector, p.id FROM connectors c JOIN partitions p ON p.connector = c.id
WHERE c.name = ? AND (? IS NULL OR p.instance = ?) AND (? IS NULL OR p.stream = ?)
ORDER BY p.instance, p.stream
"""

_CHOSEN = """
SELECT id, key, emitted_at, octet_length(data), links, {data} FROM records WHERE part = ? {one} ORDER BY key LIMIT ?
"""

_COUNT_DOWN = """
UPDATE partitions SET records = records - ?, bytes = bytes - ?, links = links - ? WHERE id = ? RETURNING records
"""
