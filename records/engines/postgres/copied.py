"""What `records.transfer` copies as a connector's rows."""

from collections.abc import Sequence

from blobstore.postgres import Connection
from records.engines.postgres.schema import (
    HISTORY_COLUMNS,
    LINK_COLUMNS,
    TOMBSTONE_COLUMNS,
    add_connector,
    connector_id,
    copy,
    delete,
    keyed,
    link_rows,
    mark_removed,
    part_of,
    place_of,
)
from records.engines.postgres.summing import sum_up, unlinked_in
from records.engines.postgres.writes import RECORD_COLUMNS, record_row, sized_links
from records.engines.summing import Change
from records.model import Partition, PartitionStats
from records.transfer import Grave, Held, Item, Past, Piece, State


class Copy:
    """The copy of a connector while a piece is added to it; the connector's lock is held."""

    def __init__(self, db: Connection, owner: str, piece: Piece) -> None:
        self._db = db
        self._owner = owner
        self._piece = piece
        self._connector = connector_id(piece.state.connector)

    async def load(self, there: dict[Partition, PartitionStats]) -> None:
        """Add what is new in the piece; `there` is what `extracting.copied` told."""
        state, piece = self._piece.state, self._piece
        await add_connector(self._db, self._owner, state.connector)
        news = piece.news(there)
        for place, version in piece.reached.items():
            was, of = there.get(place), state.partitions[place]
            await self._forget(place, was, of.floor)
            if place in news:
                await self._add(place, 0 if was is None else was.version)
            version = max(version, 0 if was is None else was.version)
            values = (part_of(place), version, of.updated_at, of.floor)
            await self._db.execute(_REACHED, self._owner, *values)
        if piece.whole:
            await self._set_rest(state)

    async def _add(self, place: Partition, start: int) -> None:
        part = part_of(place)
        names = (each.encode() for each in (place.connector, place.instance, place.stream))
        await self._db.execute(_NEW_PART, self._owner, part, self._connector, *names)
        items = [each for each in self._piece.items if each.partition == place and each.version > start]
        held = [each for each in items if isinstance(each, Held)]
        change = Change()
        change.come((each.record.emitted_at, len(each.record.data), each.links) for each in held)
        gone = await self._remove(part, sorted({_key(each) for each in items}), change)
        unlinked = await unlinked_in(self._db, self._owner, place, change.fresh)
        await self._insert(part, items)
        await sum_up(self._db, self._owner, place, change, unlinked)
        come = (len(held), sum(len(each.record.data) for each in held), sum(len(each.links) for each in held))
        newest = max((each.record.emitted_at for each in held), default=None)
        more = [now - was for now, was in zip(come, gone, strict=True)]
        await self._db.execute(_COUNT, self._owner, part, *more, newest)

    async def _forget(self, place: Partition, there: PartitionStats | None, floor: int) -> None:
        """The floor rose since: what is below is forgotten here too."""
        if there is not None and there.floor < floor:
            await mark_removed(self._db, self._owner)
            for table, version in (("history", "until"), ("tombstones", "version")):
                sql = f"DELETE FROM records.{table} WHERE owner = $1 AND part = $2 AND {version} <= $3"
                await self._db.execute(sql, self._owner, part_of(place), floor)

    async def _remove(self, part: bytes, keys: Sequence[bytes], change: Change) -> tuple[int, int, int]:
        """What the copy has of these keys is superseded; how many records, bytes and links that were.

        `change` is told of them.
        """
        rows = await self._db.fetch(_THERE, self._owner, part, keys)
        linking = [row["key"] for row in rows if row["links"]]
        taken = await sized_links(self._db, self._owner, part, linking)
        for row in rows:
            change.go(row["emitted_at"], row["size"], taken.get(row["key"], ()))
        await delete(self._db, "links", "key", self._owner, part, linking)
        await delete(self._db, "records", "version", self._owner, part, [row["version"] for row in rows])
        await delete(self._db, "tombstones", "key", self._owner, part, keys)
        if rows:
            await mark_removed(self._db, self._owner)
        return len(rows), sum(row["size"] for row in rows), sum(row["links"] for row in rows)

    async def _insert(self, part: bytes, items: Sequence[Item]) -> None:
        place = (self._owner, part)
        held = [(each.record, each.links) for each in items if isinstance(each, Held)]
        records = [record_row(*place, of.version, of, len(links), of.revisions) for of, links in held]
        await copy(self._db, "records", RECORD_COLUMNS, records)
        rows = [row for of, links in held for row in link_rows(self._owner, self._connector, part, of.key, links)]
        await copy(self._db, "links", LINK_COLUMNS, rows)
        graves = [(each.tombstone, each.at) for each in items if isinstance(each, Grave)]
        rows = [(*place, of.version, of.key.encode(), of.deleted_at, of.emitted_at, at) for of, at in graves]
        await copy(self._db, "tombstones", TOMBSTONE_COLUMNS, rows)
        past = [
            (*place, each.version, each.key.encode(), each.began, each.at, each.erased, each.remembered)
            for each in items
            if isinstance(each, Past)
        ]
        await copy(self._db, "history", HISTORY_COLUMNS, past)

    async def _set_rest(self, state: State) -> None:
        """Replace what is little as a whole."""
        place = (self._owner, self._connector)
        everywhere = state.epochs.get((None, None), 0)
        await self._db.execute(_CONNECTOR, *place, everywhere, state.release_epoch, state.disturbances)
        for sql in REST:
            await self._db.execute(sql, *place)
        epochs = [
            (*place, place_of(instance, stream or ""), instance.encode(), (stream or "").encode(), epoch)
            for (instance, stream), epoch in state.epochs.items()
            if instance is not None
        ]
        await copy(self._db, "epochs", ("owner", "connector", "place", "instance", "stream", "epoch"), epochs)
        erased = [
            (self._owner, erasure, part_of(where), count)
            for erasure, of in state.erased.items()
            for where, count in of.items()
        ]
        await copy(self._db, "erased", ("owner", "erasure", "part", "records"), erased)
        finished = [
            (self._owner, erasure, self._connector, place_of(instance or ""), (instance or "").encode())
            for erasure, instance in state.finished
        ]
        await copy(self._db, "finished", ("owner", "erasure", "connector", "place", "instance"), finished)
        unlinked = [digest.raw for digest in state.unlinked]
        await self._db.execute(_NO_LONGER_UNLINKED, *place, unlinked)
        await self._db.execute(_UNLINKED, *place, unlinked)
        await self._db.execute(
            "UPDATE records.owners SET base = greatest(base, $2) WHERE owner = $1", *place[:1], state.base
        )


def _key(item: Item) -> bytes:
    match item:
        case Held(record=record):
            return record.key.encode()
        case Grave(tombstone=tombstone):
            return tombstone.key.encode()
        case Past(key=key):
            return key.encode()


REST = (
    """DELETE FROM records.erased e USING records.partitions p
       WHERE p.owner = $1 AND p.connector = $2 AND e.owner = $1 AND e.part = p.part""",
    "DELETE FROM records.finished WHERE owner = $1 AND connector = $2",
    "DELETE FROM records.epochs WHERE owner = $1 AND connector = $2",
)
"""What a connector has beside its partitions, but for its own row and its notes."""

_THERE = f"""
SELECT r.* FROM unnest($3::bytea[]) AS w(key) CROSS JOIN LATERAL (
    SELECT key, version, links, octet_length(data) AS size, emitted_at FROM records.records r
    WHERE r.owner = $1 AND {keyed("r.part")} = {keyed("$2")} AND r.key = w.key LIMIT 1
) AS r
"""

_NEW_PART = """
INSERT INTO records.partitions VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, NULL, 0) ON CONFLICT DO NOTHING
"""

_COUNT = """
UPDATE records.partitions SET records = records + $3, bytes = bytes + $4, links = links + $5,
    updated_at = greatest(updated_at, $6)
WHERE owner = $1 AND part = $2
"""

_REACHED = """
UPDATE records.partitions SET
    version = $3, updated_at = CASE WHEN records > 0 THEN coalesce($4, updated_at) END, floor = $5
WHERE owner = $1 AND part = $2
"""

_CONNECTOR = """
UPDATE records.connectors SET epoch = $3, release_epoch = $4, disturbances = $5 WHERE owner = $1 AND id = $2
"""

_NO_LONGER_UNLINKED = """
DELETE FROM records.unlinked WHERE owner = $1 AND connector = $2 AND digest <> ALL($3::bytea[])
"""

_UNLINKED = """
INSERT INTO records.unlinked (owner, connector, digest, note)
SELECT $1, $2, digest, nextval('records.notes') FROM (
    SELECT digest FROM unnest($3::bytea[]) AS w(digest) WHERE NOT EXISTS (
        SELECT FROM records.unlinked u WHERE u.owner = $1 AND u.connector = $2 AND u.digest = w.digest
    ) ORDER BY digest
) AS fresh
"""
