"""Which blobs a target of an erasure links, and what else links them."""

from collections.abc import Collection, Iterator, Sequence

from blobstore.digest import Digest
from blobstore.sqlite import sqlite3
from records.engines.sqlite.schema import OnFile, Row
from records.model import Link, Linking, Partition, PlacedLink, Target


class Linkings(OnFile):
    """The part of the port that previews use."""

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        def run(db: sqlite3.Connection) -> list[PlacedLink]:
            found: list[PlacedLink] = []
            parts = _covered(db, target)
            for place, (partition, _) in enumerate(parts):
                if after is None or partition >= after[0]:
                    start = after[1:] if after is not None and partition == after[0] else None
                    found += _first(db, target, parts, place, start, limit - len(found))
                if len(found) == limit:
                    break
            return found

        return await self._file.read(self.here([target.connector], run))

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        def run(db: sqlite3.Connection) -> list[Linking]:
            covered = {part for _, part in _covered(db, target)}
            found: list[Linking] = []
            for digest in sorted(set(digests)):
                found += sorted(_linking(db, target, covered, digest), key=lambda each: each.partition)
            return found

        return await self._file.read(self.here([target.connector], run))


_Part = tuple[Partition, int]


def _covered(db: sqlite3.Connection, target: Target) -> list[_Part]:
    """The partitions of the target in their order, each with its number."""
    values = (target.connector, target.instance, target.instance, target.stream, target.stream)
    return [(Partition(*place), part) for *place, part in db.execute(_COVERED, values)]


def _first(
    db: sqlite3.Connection,
    target: Target,
    parts: Sequence[_Part],
    place: int,
    start: tuple[str, str] | None,
    limit: int,
) -> list[PlacedLink]:
    """Links of one partition that are the first of their blobs in the target, in bounded pieces."""
    partition, part = parts[place]
    earlier = [number for _, number in parts[:place]]
    found: list[PlacedLink] = []
    key, pointer = start or ("", "")
    one, which = _which(target)
    beyond = ">=" if start is None else ">"
    while len(found) < limit:
        rows = db.execute(_LINKS.format(one=one, beyond=beyond), (part, *which, key, pointer, _PIECE)).fetchall()
        for row in rows:
            if not _is_seen(db, row, part, earlier, target):
                found.append(_placed(partition, row))
                if len(found) == limit:
                    return found
        if len(rows) < _PIECE:
            return found
        (key, pointer), beyond = rows[-1][2:4], ">"
    return found


def _is_seen(db: sqlite3.Connection, row: Row, part: int, earlier: Sequence[int], target: Target) -> bool:
    """Whether the target has a link to the same blob before this one."""
    connector, digest, key, pointer, *_ = row
    one, which = _which(target)
    if db.execute(_BEFORE.format(one=one), (connector, digest, part, *which, key, pointer)).fetchone():
        return True
    lookups = ((connector, digest, number, *which) for number in earlier)
    return any(db.execute(_ANY.format(one=one), values).fetchone() for values in lookups)


def _which(target: Target) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if target.key is None else ("AND key = ?", (target.key,))


def _linking(db: sqlite3.Connection, target: Target, covered: set[int], digest: Digest) -> Iterator[Linking]:
    """From one partition that links the blob to the next, however many links each has."""
    part = -1
    while row := db.execute(_NEXT, (target.connector, digest.raw, part)).fetchone():
        connector, part, instance, stream = row
        within, beside = part in covered, part not in covered
        if within and target.key is not None:
            within, below, above = (
                db.execute(sql, (connector, digest.raw, part, target.key)).fetchone() is not None
                for sql in (_THERE, _BELOW, _ABOVE)
            )
            beside = below or above
        yield Linking(digest, Partition(target.connector, instance, stream), within, beside)


def _placed(partition: Partition, row: Row) -> PlacedLink:
    _, digest, key, pointer, media_type, filename, size = row
    return PlacedLink(partition, key, Link(Digest.from_bytes(digest), pointer, media_type, filename, size))


_PIECE = 500

_COVERED = """
SELECT c.name, p.instance, p.stream, p.id FROM connectors c JOIN partitions p ON p.connector = c.id
WHERE c.name = ? AND (? IS NULL OR p.instance = ?) AND (? IS NULL OR p.stream = ?) ORDER BY p.instance, p.stream
"""

_LINKS = """
SELECT connector, digest, key, pointer, media_type, filename, size FROM links
WHERE part = ? {one} AND (key, pointer) {beyond} (?, ?) ORDER BY key, pointer LIMIT ?
"""

_ONE = "SELECT 1 FROM links WHERE connector = ? AND digest = ? AND part = ?"
_BEFORE = _ONE + " {one} AND (key, pointer) < (?, ?) LIMIT 1"
_ANY = _ONE + " {one} LIMIT 1"
_THERE = f"{_ONE} AND key = ? LIMIT 1"
_BELOW = f"{_ONE} AND key < ? LIMIT 1"
_ABOVE = f"{_ONE} AND key > ? LIMIT 1"

_NEXT = """
SELECT l.connector, l.part, p.instance, p.stream
FROM connectors c JOIN links l ON l.connector = c.id JOIN partitions p ON p.id = l.part
WHERE c.name = ? AND l.digest = ? AND l.part > ? ORDER BY l.part LIMIT 1
"""
