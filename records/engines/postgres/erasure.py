"""Taking records away for good: fences, rows, and what tables still hold of rows gone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from blobstore.digest import Digest
from blobstore.postgres import Connection, Record
from blobstore.postgres.database import changed
from blobstore.postgres.vacuum import vacuum
from records.engine import LEAP
from records.engines.postgres.linking import covered
from records.engines.postgres.schema import (
    HISTORY_COLUMNS,
    InDatabase,
    add_connector,
    bury,
    connector_id,
    copy,
    delete,
    disturb,
    keyed,
    lock_connector,
    lock_owner,
    mark_removed,
    note_unlinked,
    partition_of,
    place_of,
)
from records.engines.postgres.summing import sum_up
from records.engines.postgres.tables import CONTENT
from records.engines.postgres.writes import sized_links
from records.engines.summing import Change
from records.history import consent_in, erased, redacted
from records.model import Erased, Partition, Target, Tombstone

_AT_ONCE = 4 << 20
"""Bytes of data that are read at once for their consent-time fields."""


class Erasure(InDatabase):
    """The part of the port that erases."""

    async def fence(self, connector: str, instance: str | None) -> None:
        async def run(db: Connection) -> None:
            await lock_connector(db, self._owner, connector_id(connector))
            await self.require_here(db, connector)
            await add_connector(db, self._owner, connector)
            await _raise_epoch(db, self._owner, connector, instance, None)

        await self._database.write(run)

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        now = self.now()

        async def run(db: Connection) -> Erased:
            await lock_connector(db, self._owner, connector_id(target.connector))
            await self.require_here(db, target.connector)
            step = _Step(db, self._owner, target, deleted_at, now, limit)
            return await (step.run() if erasure is None else step.run_for(erasure))

        return await self._database.write(run)

    async def erased(self, erasure: str) -> dict[Partition, int]:
        rows = await self._database.fetch(_ERASED, self._owner, erasure)
        return {partition_of(*names): records for *names, records in rows}

    async def sanitize(self, timeout: float) -> bool:
        """As the port says; nothing is read or written where nothing was removed since the last time."""
        marks = await self._database.fetch("SELECT owner, id FROM records.removals")
        if not any(mark["owner"] == self._owner for mark in marks):
            return True
        if not await vacuum(self._database, CONTENT, timeout):
            return False
        # What was removed in the meantime has marks of its own.
        ids = [mark["id"] for mark in marks]
        await self._database.execute("DELETE FROM records.removals WHERE id = ANY($1::bigint[])", ids)
        return True

    async def leap(self) -> None:
        async def run(db: Connection) -> None:
            await lock_owner(db, self._owner)
            base = await db.fetchval(_LEAP, self._owner, LEAP)
            await db.execute(_DISTURB, self._owner)
            await db.execute(
                "UPDATE records.partitions SET version = $2, floor = $2 WHERE owner = $1", self._owner, base
            )

        await self._database.write(run)


async def _raise_epoch(db: Connection, owner: str, connector: str, instance: str | None, stream: str | None) -> None:
    if instance is None:  # counts for instances that nobody has seen yet, too
        sql = "UPDATE records.connectors SET epoch = epoch + 1 WHERE owner = $1 AND id = $2"
        await db.execute(sql, owner, connector_id(connector))
    else:
        names = (place_of(instance, stream or ""), instance.encode(), (stream or "").encode())
        await db.execute(_RAISE, owner, connector_id(connector), *names)


@dataclass(slots=True)
class _Step:
    """One step of an erasure while it goes through partitions; its transaction has the connector's lock."""

    db: Connection
    owner: str
    target: Target
    deleted_at: str
    now: int
    left: int
    records: int = 0
    size: int = 0
    lost: dict[bytes, int] = field(default_factory=dict)
    """Records that went, by partition."""
    dropped: set[Digest] = field(default_factory=set)

    async def run_for(self, erasure: str) -> Erased:
        """A step that is remembered, unless its erasure is over here."""
        target, connector = self.target, connector_id(self.target.connector)
        await add_connector(self.db, self.owner, target.connector)
        mark = (self.owner, erasure, connector, place_of(target.instance or ""))
        if await self.db.fetchval(_IS_FINISHED, *mark):
            return Erased(0, 0, frozenset(), finished=True)
        done = await self.run()
        rows = [(self.owner, erasure, part, count) for part, count in self.lost.items()]
        await self.db.executemany(_COUNT_ERASED, rows)
        if done.finished:
            instance = (target.instance or "").encode()
            await self.db.execute("INSERT INTO records.finished VALUES ($1, $2, $3, $4, $5)", *mark, instance)
            if target.key is None:
                await _raise_epoch(self.db, self.owner, target.connector, target.instance, target.stream)
        return done

    async def run(self) -> Erased:
        target, limit = self.target, self.left
        connector = connector_id(target.connector)
        sql, values = covered(_COVERED, self.owner, target)
        rows = await self.db.fetch(sql, *values)
        parts = [row["part"] for row in rows]
        for part, instance, stream in rows:
            await self._erase_records(part, Partition(target.connector, instance.decode(), stream.decode()))
        for part in parts:
            if target.stream is not None:
                self.left -= await self._redact(part)
            else:
                self.left -= await self._erase_made("tombstones", "version", part)
                self.left -= await self._erase_made("history", "until", part)
        if target.stream is None and parts:
            await self.db.execute(_ALL_TOO_OLD, self.owner, parts)
        if parts:
            await disturb(self.db, self.owner, connector)
        if self.left < limit:
            await mark_removed(self.db, self.owner)
        lost = await note_unlinked(self.db, self.owner, connector, self.dropped)
        return Erased(self.records, self.size, lost, finished=not await self._is_left(parts))

    async def _erase_records(self, part: bytes, place: Partition) -> None:
        if self.left <= 0:
            return
        one, which = self._which(4)
        rows = await self.db.fetch(_CHOSEN.format(one=one), self.owner, part, self.left, *which)
        if not rows:
            return
        consents = await self._consents(part, rows)
        linking = [row["key"] for row in rows if row["links"]]
        gone = await sized_links(self.db, self.owner, part, linking)
        await delete(self.db, "links", "key", self.owner, part, linking)
        self.dropped |= {digest for links in gone.values() for digest, _ in links}
        await delete(self.db, "records", "version", self.owner, part, [row["version"] for row in rows])
        size, links = sum(row["size"] for row in rows), sum(row["links"] for row in rows)
        await self.db.execute(COUNT_DOWN, self.owner, part, len(rows), size, links)
        change = Change()
        for row in rows:
            change.go(row["emitted_at"], row["size"], gone.get(row["key"], ()))
        await sum_up(self.db, self.owner, place, change)
        if self.target.stream is not None:
            await self._bury(part, rows, consents)
        self.left -= len(rows)
        self.records += len(rows)
        self.lost[part] = len(rows)
        self.size += size

    async def _consents(self, part: bytes, rows: Sequence[Record]) -> dict[int, str | None]:
        """The consent-time fields of records, by version. Data is read for nothing else, some at a time."""
        found: dict[int, str | None] = {}
        if self.target.stream is None or self.target.consent_field is None:
            return found
        some: list[int] = []
        size = 0
        for row in rows:
            some.append(row["version"])
            size += row["size"]
            if size > _AT_ONCE or row is rows[-1]:
                for version, data in await self.db.fetch(_DATA, self.owner, part, some):
                    found[version] = consent_in(data, self.target.consent_field)
                some, size = [], 0
        return found

    async def _bury(self, part: bytes, rows: Collection[Record], consents: dict[int, str | None]) -> None:
        """Tombstones for erased records, each with a version of its own."""
        sql = "UPDATE records.partitions SET version = version + $3 WHERE owner = $1 AND part = $2 RETURNING version"
        first = await self.db.fetchval(sql, self.owner, part, len(rows)) - len(rows) + 1
        at, consent_field = self.deleted_at, self.target.consent_field
        graves = [Tombstone(row["key"].decode(), version, at, at) for version, row in enumerate(rows, first)]
        await bury(self.db, self.owner, part, graves, self.now)
        past = [
            (self.owner, part, version, row["key"], row["version"], self.now, True, was)
            for version, row in enumerate(rows, first)
            for was in [erased(consents.get(row["version"]), consent_field)]
        ]
        await copy(self.db, "history", HISTORY_COLUMNS, past)

    async def _redact(self, part: bytes) -> int:
        """Cut what is remembered of the target to what may stay, oldest first; of how many states."""
        if self.left <= 0:
            return 0
        one, which = self._which(4)
        place = "part = $2" if self.target.key is None else f"{keyed('part')} = {keyed('$2')}"
        sql = _REMEMBERED.format(place=place, one=one)
        rows = await self.db.fetch(sql, self.owner, part, self.left, *which)
        if rows:
            cut = [(self.owner, part, row["until"], redacted(row["remembered"])) for row in rows]
            await self.db.executemany(_REDACT, cut)
        return len(rows)

    async def _erase_made(self, table: str, version: str, part: bytes) -> int:
        """Rows that changes have made, oldest first; how many went."""
        if self.left <= 0:
            return 0
        return await changed(self.db, ERASE_MADE.format(table=table, version=version), self.owner, part, self.left)

    async def _is_left(self, parts: Sequence[bytes]) -> bool:
        one, which = self._which(3)
        tables = ["records"] if self.target.stream is not None else [table.partition(".")[2] for table in CONTENT]
        form = str if self.target.key is None else keyed  # of one record there is one partition
        place = f"{form('part')} = ANY(ARRAY(SELECT {form('p')} FROM unnest($2::bytea[]) AS w(p)))"
        conditions = [_IS_LEFT.format(table=table, more=f"{place} {one}") for table in tables]
        if self.target.stream is not None:
            conditions.append(_IS_LEFT.format(table="history", more=f"{place} {one} AND {_TO_BE_CUT}"))
        return bool(await self.db.fetchval(f"SELECT {' OR '.join(conditions)}", self.owner, parts, *which))

    def _which(self, number: int) -> tuple[str, tuple[bytes, ...]]:
        key = self.target.key
        return ("", ()) if key is None else (f"AND key = ${number}", (key.encode(),))


_LEAP = """
UPDATE records.owners SET base = $2 + greatest(
    base, (SELECT coalesce(max(version), 0) FROM records.partitions WHERE owner = $1)
) WHERE owner = $1 RETURNING base
"""

_DISTURB = "UPDATE records.connectors SET disturbances = disturbances + 1 WHERE owner = $1"

_RAISE = """
INSERT INTO records.epochs AS e (owner, connector, place, instance, stream, epoch) VALUES ($1, $2, $3, $4, $5, 1)
ON CONFLICT (owner, connector, place) DO UPDATE SET epoch = e.epoch + 1
"""

_IS_FINISHED = """
SELECT EXISTS (SELECT FROM records.finished WHERE owner = $1 AND erasure = $2 AND connector = $3 AND place = $4)
"""

_COUNT_ERASED = """
INSERT INTO records.erased AS e (owner, erasure, part, records) VALUES ($1, $2, $3, $4)
ON CONFLICT (owner, erasure, part) DO UPDATE SET records = e.records + excluded.records
"""

_ERASED = """
SELECT p.connector_name, p.instance, p.stream, e.records
FROM records.erased e JOIN records.partitions p ON p.owner = $1 AND p.part = e.part
WHERE e.owner = $1 AND e.erasure = $2
"""

_COVERED = """
SELECT part, instance, stream FROM records.partitions
WHERE owner = $1 AND connector = $2 {which} ORDER BY instance, stream
"""

_ALL_TOO_OLD = "UPDATE records.partitions SET floor = version WHERE owner = $1 AND part = ANY($2::bytea[])"

_CHOSEN = f"""
SELECT version, key, octet_length(data) AS size, links, emitted_at FROM records.records
WHERE owner = $1 AND {keyed("part")} = {keyed("$2")} {{one}} ORDER BY key LIMIT $3
"""

_DATA = """
SELECT r.version, r.data FROM unnest($3::bigint[]) AS w(version) CROSS JOIN LATERAL (
    SELECT version, data FROM records.records r WHERE r.owner = $1 AND r.part = $2 AND r.version = w.version LIMIT 1
) AS r
"""

COUNT_DOWN = """
UPDATE records.partitions SET records = records - $3, bytes = bytes - $4, links = links - $5,
    updated_at = CASE WHEN records > $3 THEN updated_at END
WHERE owner = $1 AND part = $2
"""

_TO_BE_CUT = "NOT erased AND remembered IS NOT NULL"

_REMEMBERED = f"""
SELECT until, remembered FROM records.history
WHERE owner = $1 AND {{place}} {{one}} AND {_TO_BE_CUT} ORDER BY until LIMIT $3
"""

_REDACT = """
UPDATE records.history SET erased = true, remembered = $4 WHERE owner = $1 AND part = $2 AND until = $3
"""

ERASE_MADE = """
DELETE FROM records.{table} WHERE owner = $1 AND part = $2 AND {version} <= (
    SELECT max({version}) FROM (
        SELECT {version} FROM records.{table} WHERE owner = $1 AND part = $2 ORDER BY {version} LIMIT $3
    ) AS oldest
)
"""

_IS_LEFT = "EXISTS (SELECT FROM records.{table} WHERE owner = $1 AND {more})"
