"""Which records link which blobs, and which blobs lost their last link."""

from collections.abc import Collection, Sequence

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from blobstore.sqlite.recalled import size_of_values
from blobstore.sqlite.slack import mark_stale
from records.engines.counted import by_stream
from records.engines.sqlite.schema import (
    LINK,
    OnFile,
    Row,
    connector_id,
    disturb,
    in_lists,
    link_rows,
    note_unlinked,
    part_of,
    version_of,
    without_links,
)
from records.engines.sqlite.summing import sum_up, unlinked_in
from records.engines.summing import Change
from records.errors import Released
from records.model import Link, Partition, PlacedLink
from records.times import unpacked


class Links(OnFile):
    """The part of the port that counts links."""

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        def run(db: sqlite3.Connection) -> list[PlacedLink]:
            begun = after is not None and connector in (None, after[0].connector)
            found = _rest_of_partition(db, digest, *after, limit) if after is not None and begun else []
            place = ("", "", "") if after is None else (after[0].connector, after[0].instance, after[0].stream)
            beyond = ">=" if after is None else ">"
            sql = _LINKS_OF.format(beyond=beyond)
            rows = db.execute(sql, (digest.raw, *place, connector, connector, limit - len(found))).fetchall()
            return found + [_placed(Partition(*row[:3]), digest, row[3:]) for row in rows]

        here = self.here([] if connector is None else [connector], run)
        name = ("links", digest, after, limit, connector, self._regardless)
        beyond = [] if after is None else [after[1:]]  # the name's own, for a pointer is as long as a record makes it
        found = await self._file.recall(name, here, lambda found: size_of_values([*beyond, *map(_values, found)]))
        return list(found)

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        raw = [digest.raw for digest in digests]

        def run(db: sqlite3.Connection) -> list[Row]:
            return [row for marks, some in in_lists(raw) for row in db.execute(_LINKERS.format(marks=marks), some)]

        return {Digest.from_bytes(digest): connector for digest, connector in await self._file.read(run)}

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        def run(db: sqlite3.Connection) -> list[PlacedLink]:
            rows = db.execute(_LINKS_IN, (part_of(db, partition), key)).fetchall()
            return [_placed(partition, Digest.from_bytes(row[0]), row[1:]) for row in rows]

        return await self._file.read(self.here([partition.connector], run))

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        values = (connector, b"" if after is None else after.raw, limit)
        rows = await self._file.read(self.here([connector], lambda db: db.execute(_LINKED, values).fetchall()))
        return by_stream(rows)

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            place = (partition.connector, partition.instance, partition.stream)
            found = db.execute(_RECORD, (*place, key)).fetchone()
            if found is None or version_of(found[-1]) != version:
                return False
            connector, epoch, part, counted, emitted_at, _ = found
            if release_epoch != epoch:
                raise Released("blobs were released while the request ran")
            sql = "SELECT digest, size FROM links WHERE part = ? AND key = ?"
            gone = [(Digest.from_bytes(digest), size) for digest, size in db.execute(sql, (part, key))]
            change = Change()
            change.relinked(unpacked(emitted_at), links, gone)
            fresh = unlinked_in(db, part, change.fresh)
            db.execute("DELETE FROM links WHERE part = ? AND key = ?", (part, key))
            if gone:
                mark_stale(db)
            db.executemany(LINK, link_rows(connector, part, key, links))
            db.execute("UPDATE records SET links = ? WHERE part = ? AND key = ?", (len(links), part, key))
            db.execute("UPDATE partitions SET links = links + ? WHERE id = ?", (len(links) - counted, part))
            sum_up(db, part, change, fresh)
            note_unlinked(db, connector, {digest for digest, _ in gone})
            disturb(db, connector)
            return True

        return await self._file.write(self.here([partition.connector], run))

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        def run(db: sqlite3.Connection) -> set[Digest]:
            number = connector_id(db, connector)
            db.execute("UPDATE connectors SET release_epoch = release_epoch + 1 WHERE id = ?", (number,))
            return without_links(db, number, digests)

        return await self._file.write(self.here([connector], run))

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        values = (connector, connector, limit)
        named = [] if connector is None else [connector]
        rows = await self._file.read(self.here(named, lambda db: db.execute(_UNLINKED, values).fetchall()))
        return [(connector, Digest.from_bytes(digest)) for connector, digest in rows]

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        def run(db: sqlite3.Connection) -> list[int]:
            found = (db.execute(_NOTE, (connector, digest.raw)).fetchone() for digest in set(digests))
            return sorted(row[0] for row in found if row is not None)

        return await self._file.read(self.here([connector], run))

    async def forget_notes(self, notes: Collection[int]) -> None:
        await self._file.executemany("DELETE FROM unlinked WHERE note = ?", [(note,) for note in notes])


def _rest_of_partition(
    db: sqlite3.Connection, digest: Digest, partition: Partition, key: str, pointer: str, limit: int
) -> list[PlacedLink]:
    rows = db.execute(_REST, (partition.connector, digest.raw, part_of(db, partition), key, pointer, limit))
    return [_placed(partition, digest, row) for row in rows.fetchall()]


def _values(placed: PlacedLink) -> Sequence[object]:
    return placed.key, placed.link.pointer, placed.link.media_type, placed.link.filename


def _placed(partition: Partition, digest: Digest, row: Row) -> PlacedLink:
    key, pointer, media_type, filename, size = row
    return PlacedLink(partition, key, Link(digest, pointer, media_type, filename, size))


# From the few partitions to the links in each: the order comes from the indexes, whatever the number of links.
_LINKS_OF = """
SELECT c.name, p.instance, p.stream, l.key, l.pointer, l.media_type, l.filename, l.size
FROM connectors c
CROSS JOIN partitions p ON p.connector = c.id
CROSS JOIN links l ON l.connector = c.id AND l.digest = ? AND l.part = p.id
WHERE (c.name, p.instance, p.stream) {beyond} (?, ?, ?) AND (? IS NULL OR c.name = ?)
ORDER BY c.name, p.instance, p.stream, l.key, l.pointer LIMIT ?
"""

_LINKERS = """
SELECT l.digest, min(c.name) FROM connectors c CROSS JOIN links l ON l.connector = c.id AND l.digest IN {marks}
GROUP BY l.digest
"""

_REST = """
SELECT l.key, l.pointer, l.media_type, l.filename, l.size FROM connectors c JOIN links l ON l.connector = c.id
WHERE c.name = ? AND l.digest = ? AND l.part = ? AND (l.key, l.pointer) > (?, ?)
ORDER BY l.key, l.pointer LIMIT ?
"""

_RECORD = """
SELECT c.id, c.release_epoch, p.id, r.links, r.emitted_at, r.id
FROM connectors c JOIN partitions p ON p.connector = c.id JOIN records r ON r.part = p.id
WHERE c.name = ? AND p.instance = ? AND p.stream = ? AND r.key = ?
"""

_LINKS_IN = """
SELECT digest, key, pointer, media_type, filename, size FROM links WHERE part = ? AND key = ? ORDER BY pointer
"""

_LINKED = """
SELECT l.digest, p.stream, count(*) FROM (
    SELECT DISTINCT connectors.id AS connector, links.digest FROM connectors JOIN links ON connector = connectors.id
    WHERE name = ? AND digest > ? ORDER BY digest LIMIT ?
) AS page
CROSS JOIN links l ON l.connector = page.connector AND l.digest = page.digest
CROSS JOIN partitions p ON p.id = l.part
GROUP BY l.digest, p.stream ORDER BY l.digest, p.stream
"""

_UNLINKED = """
SELECT c.name, u.digest FROM connectors c JOIN unlinked u ON u.connector = c.id
WHERE ? IS NULL OR c.name = ? ORDER BY c.name, u.digest LIMIT ?
"""

_NOTE = "SELECT u.note FROM connectors c JOIN unlinked u ON u.connector = c.id WHERE c.name = ? AND u.digest = ?"
