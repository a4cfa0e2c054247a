"""Connectors on their way to and from other engines: marks, what is read to be copied, what a copy is made of."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from blobstore.postgres import Connection
from blobstore.postgres.database import changed
from records.engines.postgres.copied import REST, Copy
from records.engines.postgres.erasure import COUNT_DOWN, ERASE_MADE
from records.engines.postgres.extracting import copied, items_of, state_of
from records.engines.postgres.pieces import LONG, once, seen
from records.engines.postgres.schema import InDatabase, connector_id, delete, lock_connector, lock_owner, mark_removed
from records.engines.postgres.summing import sum_up
from records.engines.postgres.writes import sized_links
from records.engines.summing import Change
from records.model import Partition
from records.transfer import CONDEMNED, NEW, Item, Mark, Piece, Stage, State

T = TypeVar("T")


class _Refused(Exception):
    """The piece is not to be loaded; what was done is undone."""


class Moving(InDatabase):
    """The part of the port that moves connectors."""

    async def connectors(self) -> list[str]:
        sql = "SELECT name FROM records.connectors WHERE owner = $1 ORDER BY name"
        return [name.decode() for (name,) in await self._database.fetch(sql, self._owner)]

    async def marks(self, connector: str | None = None) -> list[Mark]:
        named = None if connector is None else connector.encode()
        rows = await self._database.fetch(_MARKS, self._owner, named)
        return [Mark(name.decode(), Stage(stage), other.decode()) for name, stage, other in rows]

    async def mark(self, mark: Mark) -> None:
        async def run(db: Connection) -> None:
            await self._lock(db, mark.connector)
            await _mark(db, self._owner, mark)

        await self._database.write(run)

    async def unmark(self, connector: str) -> None:
        async def run(db: Connection) -> None:
            await self._lock(db, connector)
            sql = "DELETE FROM records.moving WHERE owner = $1 AND connector = $2"
            await db.execute(sql, self._owner, connector_id(connector))

        await self._database.write(run)

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        return await self._database.read(once(lambda db: self._see(db, connector, since, see)), timeout=LONG)

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        async def run(db: Connection) -> T:
            await self._lock(db, connector)
            disturbances = (await state_of(db, self._owner, connector)).disturbances
            await _mark(db, self._owner, Mark(connector, Stage.LEFT, to), disturbances)
            return await self._see(db, connector, since, see)

        return await self._database.write(once(run), timeout=LONG)

    async def load(self, source: str, piece: Piece) -> bool:
        state = piece.state

        async def run(db: Connection) -> None:
            await self._lock(db, state.connector)
            known = await self._require_away(db, state.connector)
            await _mark(db, self._owner, Mark(state.connector, Stage.COMING, source), state.disturbances)
            there = await copied(db, self._owner, state.connector)
            if known is not None and (state.disturbances < known or (there and state.disturbances > known)):
                raise _Refused
            if not piece.goes_on_from(there):
                raise _Refused
            await Copy(db, self._owner, piece).load(there)

        try:
            await self._database.write(run)
        except _Refused:
            return False
        return True

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        async def run(db: Connection) -> bool:
            await self._lock(db, connector)
            if await self._require_away(db, connector) is None:
                await _mark(db, self._owner, Mark(connector, Stage.COMING, ""))
            done = await self._discard(db, connector, limit)
            # Half of a copy is none: nothing is added to it.
            condemned = 0 if done else CONDEMNED
            await db.execute(_KNOWN, self._owner, connector_id(connector), disturbances, condemned)
            return done

        return await self._database.write(run)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _lock(self, db: Connection, connector: str) -> None:
        if connector == NEW:  # it stands for connectors that nobody knows
            await lock_owner(db, self._owner)
        else:
            await lock_connector(db, self._owner, connector_id(connector))

    async def _see(
        self,
        db: Connection,
        connector: str,
        since: Mapping[Partition, int],
        see: Callable[[State, Iterable[Item]], T],
    ) -> T:
        state = await state_of(db, self._owner, connector)
        items = items_of(db, self._owner, list(state.partitions), since)
        return await seen(self._threads, items, lambda each: see(state, each))

    async def _require_away(self, db: Connection, connector: str) -> int | None:
        """The number of disturbances that its mark knows of; None where nothing is known of it at all."""
        place = (self._owner, connector_id(connector))
        row = await db.fetchrow(_KNOWS, *place)
        there = await db.fetchval("SELECT EXISTS (SELECT FROM records.connectors WHERE owner = $1 AND id = $2)", *place)
        if (row is None and there) or (row is not None and row["stage"] == Stage.LEAVING):
            raise ValueError(f"{connector} is served here")
        return None if row is None else int(row["disturbances"])

    async def _discard(self, db: Connection, connector: str, limit: int) -> bool:
        left = limit
        place = (self._owner, connector_id(connector))
        for part, instance, stream in await db.fetch(_PARTS, *place):
            left -= await self._discard_records(
                db, part, Partition(connector, instance.decode(), stream.decode()), left
            )
            for table, version in (("tombstones", "version"), ("history", "until")):
                if left > 0:
                    left -= await changed(db, ERASE_MADE.format(table=table, version=version), self._owner, part, left)
            if left <= 0:
                break
        if left < limit:
            await mark_removed(db, self._owner)
        if left <= 0:
            return False
        for sql in (*REST, *_ALL):
            await db.execute(sql, *place)
        return True

    async def _discard_records(self, db: Connection, part: bytes, place: Partition, limit: int) -> int:
        rows = await db.fetch(_FIRST, self._owner, part, limit) if limit > 0 else []
        if rows:
            linking = [row["key"] for row in rows if row["links"]]
            gone = await sized_links(db, self._owner, part, linking)
            await delete(db, "links", "key", self._owner, part, linking)
            await delete(db, "records", "version", self._owner, part, [row["version"] for row in rows])
            size, links = sum(row["size"] for row in rows), sum(row["links"] for row in rows)
            await db.execute(COUNT_DOWN, self._owner, part, len(rows), size, links)
            change = Change()
            for row in rows:
                change.go(row["emitted_at"], row["size"], gone.get(row["key"], ()))
            await sum_up(db, self._owner, place, change)
        return len(rows)


async def _mark(db: Connection, owner: str, mark: Mark, disturbances: int = 0) -> None:
    """What is known of disturbances only rises, until the mark goes."""
    names = (connector_id(mark.connector), mark.connector.encode(), mark.stage.value, mark.other.encode())
    await db.execute(_MARK, owner, *names, disturbances)


_MARK = """
INSERT INTO records.moving AS m (owner, connector, name, stage, other, disturbances) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (owner, connector) DO UPDATE SET
    stage = excluded.stage, other = excluded.other, disturbances = greatest(m.disturbances, excluded.disturbances)
"""

_KNOWS = "SELECT stage, disturbances FROM records.moving WHERE owner = $1 AND connector = $2"

_KNOWN = f"""
UPDATE records.moving SET disturbances = greatest(disturbances % {CONDEMNED}, $3) + $4
WHERE owner = $1 AND connector = $2
"""

_PARTS = "SELECT part, instance, stream FROM records.partitions WHERE owner = $1 AND connector = $2 ORDER BY part"

_FIRST = """
SELECT version, key, links, octet_length(data) AS size, emitted_at FROM records.records
WHERE owner = $1 AND part = $2 ORDER BY version LIMIT $3
"""

_ALL = (
    "DELETE FROM records.unlinked WHERE owner = $1 AND connector = $2",
    "DELETE FROM records.linked WHERE owner = $1 AND connector = $2",
    """DELETE FROM records.months m USING records.partitions p
       WHERE p.owner = $1 AND p.connector = $2 AND m.owner = $1 AND m.part = p.part""",
    "DELETE FROM records.partitions WHERE owner = $1 AND connector = $2",
    "DELETE FROM records.connectors WHERE owner = $1 AND id = $2",
)

_MARKS = """
SELECT name, stage, other FROM records.moving
WHERE owner = $1 AND ($2::bytea IS NULL OR name = $2) ORDER BY name
"""
