"""Which records link which blobs, and which blobs lost their last link."""

from collections.abc import Collection, Sequence
from typing import Any

from blobstore.digest import Digest
from blobstore.postgres import Connection, Record
from records.engines.counted import by_stream
from records.engines.postgres.schema import (
    LINK_COLUMNS,
    InDatabase,
    add_connector,
    connector_id,
    copy,
    disturb,
    keyed,
    link_of,
    link_rows,
    listed,
    lock_connector,
    lock_links,
    note_unlinked,
    part_of,
    partition_locks,
    partition_of,
)
from records.engines.postgres.summing import sum_up, unlinked_in
from records.engines.summing import Change
from records.errors import Released
from records.model import Link, Partition, PlacedLink


class Links(InDatabase):
    """The part of the port that counts links."""

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        mine = None if connector is None else connector.encode()
        named = [] if connector is None else [connector]
        if after is None:
            rows = await self.fetch(named, _LINKS_OF, digest.raw, limit, mine)
        else:
            place, key, pointer = after
            names = [each.encode() for each in (place.connector, place.instance, place.stream, key, pointer)]
            rows = await self.fetch(named, _LINKS_BEYOND, digest.raw, limit, mine, *names)
        return [placed(partition_of(*row[:3]), row[3:]) for row in rows]

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        rows = await self._database.fetch(_LINKERS, self._owner, [digest.raw for digest in set(digests)])
        return {Digest.from_bytes(digest): connector.decode() for digest, connector in rows}

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        rows = await self.fetch([partition.connector], _LINKS_IN, part_of(partition), key.encode())
        return [placed(partition, row) for row in rows]

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        start = b"" if after is None else after.raw
        rows = await self.fetch([connector], _LINKED, connector_id(connector), start, limit)
        return by_stream((digest, stream.decode(), count) for digest, stream, count in rows)

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        connector, place = connector_id(partition.connector), (self._owner, part_of(partition))

        async def run(db: Connection) -> bool:
            await self.require_here(db, partition.connector)
            found = await db.fetchrow(_RECORD, *place, connector, key.encode(), version)
            if found is None:
                return False
            if release_epoch != found["release_epoch"]:
                raise Released("blobs were released while the request ran")
            await lock_links(db, self._owner, connector)
            gone = [(Digest.from_bytes(digest), size) for digest, size in await db.fetch(_UNLINK, *place, key.encode())]
            change = Change()
            change.relinked(found["emitted_at"], links, gone)
            unlinked = await unlinked_in(db, self._owner, partition, change.fresh)
            await copy(db, "links", LINK_COLUMNS, link_rows(*place[:1], connector, place[1], key, links))
            await db.execute(_COUNT, *place, key.encode(), len(links))
            await disturb(db, self._owner, connector)
            await db.execute(_ADD, *place, len(links) - found["links"])
            await sum_up(db, self._owner, partition, change, unlinked)
            await note_unlinked(db, self._owner, connector, {digest for digest, _ in gone})
            return True

        return await self._database.write(run, lock=partition_locks(self._owner, partition))

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        async def run(db: Connection) -> list[Record]:
            await lock_connector(db, self._owner, connector_id(connector))
            await self.require_here(db, connector)
            number = await add_connector(db, self._owner, connector)
            await db.execute(_RELEASE, self._owner, number)
            return await db.fetch(_WITHOUT_LINKS, self._owner, number, [digest.raw for digest in digests])

        return {Digest.from_bytes(digest) for (digest,) in await self._database.write(run)}

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        which = "" if connector is None else "AND c.id = $3"
        values = () if connector is None else (connector_id(connector),)
        named = [] if connector is None else [connector]
        rows = await self.fetch(named, _UNLINKED.format(which=which), limit, *values)
        return [(name.decode(), Digest.from_bytes(digest)) for name, digest in rows]

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        values = (connector_id(connector), [digest.raw for digest in set(digests)])
        return [note for (note,) in await self.fetch([connector], _NOTES, *values)]

    async def forget_notes(self, notes: Collection[int]) -> None:
        if notes:
            sql = "DELETE FROM records.unlinked WHERE owner = $1 AND note = $2"
            await self._database.executemany(sql, [(self._owner, note) for note in notes])


def placed(partition: Partition, row: Sequence[Any] | Record) -> PlacedLink:
    """A row of key, digest, pointer, media type, filename."""
    key, *link = row
    return PlacedLink(partition, key.decode(), link_of(*link))


_LINK = "l.key, l.digest, l.pointer, l.media_type, l.filename, l.size"

# From the few partitions to the links in each: the order comes from the indexes, whatever the number of links.
_LINKS_FROM = f"""
SELECT p.connector_name, p.instance, p.stream, {_LINK}
FROM records.partitions p
CROSS JOIN LATERAL (
    SELECT * FROM records.links l
    WHERE l.owner = $1 AND l.connector = p.connector AND l.digest = $2
        AND {listed("l.part")} = {listed("p.part")} {{beyond}}
    ORDER BY l.key, l.number LIMIT $3
) AS l
WHERE p.owner = $1 AND p.links > 0 AND ($4::bytea IS NULL OR p.connector_name = $4) {{which}}
ORDER BY p.connector_name, p.instance, p.stream, l.key, l.number LIMIT $3
"""

_LINKS_OF = _LINKS_FROM.format(beyond="", which="")

_NAMES = "(p.connector_name, p.instance, p.stream)"

_LINKS_BEYOND = _LINKS_FROM.format(
    beyond=f"""
        AND l.key >= CASE WHEN {_NAMES} = ($5, $6, $7) THEN $8 ELSE ''::bytea END
        AND ({_NAMES} <> ($5, $6, $7) OR (l.key, l.pointer) > ($8, $9))""",
    which=f"AND {_NAMES} >= ($5, $6, $7)",
)

_LINKERS = """
SELECT DISTINCT ON (w.digest) w.digest, c.name FROM unnest($2::bytea[]) AS w(digest) CROSS JOIN records.connectors c
WHERE c.owner = $1 AND (
    SELECT true FROM records.links l WHERE l.owner = $1 AND l.connector = c.id AND l.digest = w.digest LIMIT 1
)
ORDER BY w.digest, c.name
"""

_LINKS_IN = f"SELECT {_LINK} FROM records.links l WHERE owner = $1 AND part = $2 AND key = $3 ORDER BY number"

_LINKED = """
SELECT page.digest, p.stream, sum(of_each.links)::bigint FROM (
    SELECT digest FROM records.links
    WHERE owner = $1 AND connector = $2 AND digest > $3 GROUP BY digest ORDER BY digest LIMIT $4
) AS page
CROSS JOIN LATERAL (
    SELECT l.part, count(*) AS links FROM records.links l
    WHERE l.owner = $1 AND l.connector = $2 AND l.digest = page.digest GROUP BY l.part
) AS of_each
JOIN records.partitions p ON p.owner = $1 AND p.part = of_each.part
GROUP BY page.digest, p.stream ORDER BY page.digest, p.stream
"""

_RECORD = f"""
SELECT r.links, r.emitted_at, c.release_epoch
FROM records.records r JOIN records.connectors c ON c.owner = $1 AND c.id = $3
WHERE r.owner = $1 AND {keyed("r.part")} = {keyed("$2")} AND r.key = $4 AND r.version = $5
"""

_UNLINK = "DELETE FROM records.links WHERE owner = $1 AND part = $2 AND key = $3 RETURNING digest, size"

_COUNT = f"UPDATE records.records SET links = $4 WHERE owner = $1 AND {keyed('part')} = {keyed('$2')} AND key = $3"

_ADD = "UPDATE records.partitions SET links = links + $3 WHERE owner = $1 AND part = $2"

_RELEASE = "UPDATE records.connectors SET release_epoch = release_epoch + 1 WHERE owner = $1 AND id = $2"

_WITHOUT_LINKS = """
SELECT w.digest FROM unnest($3::bytea[]) AS w(digest)
WHERE (
    SELECT true FROM records.links l WHERE l.owner = $1 AND l.connector = $2 AND l.digest = w.digest LIMIT 1
) IS NULL
"""

_UNLINKED = """
SELECT c.name, u.digest FROM records.connectors c
JOIN records.unlinked u ON u.owner = $1 AND u.connector = c.id
WHERE c.owner = $1 {which} ORDER BY c.name, u.digest LIMIT $2
"""

_NOTES = """
SELECT u.note FROM unnest($3::bytea[]) AS w(digest) CROSS JOIN LATERAL (
    SELECT note FROM records.unlinked u WHERE u.owner = $1 AND u.connector = $2 AND u.digest = w.digest LIMIT 1
) AS u ORDER BY u.note
"""
