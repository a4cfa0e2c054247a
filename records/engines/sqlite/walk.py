"""Rows of one or many partitions in the order of a list, read no further than they are asked for."""

import heapq
import json
from collections.abc import Collection, Generator, Iterator, Sequence

from blobstore.sqlite import sqlite3
from records.engines.rank import Rank, rank
from records.engines.sqlite.schema import Row, version_of
from records.model import Order, Partition, Position, SortKey, StoredRecord
from records.times import unpacked

Part = tuple[Partition, int]
Placed = tuple[Partition, Row]


def parts_of(db: sqlite3.Connection, partitions: Collection[Partition]) -> list[Part]:
    """The partitions that the file has, in order, with their numbers."""
    places = sorted(set(partitions))
    named = json.dumps([(each.connector, each.instance, each.stream) for each in places])
    return [(places[index], part) for index, part in db.execute(_PARTS, (named,))]


def walk(db: sqlite3.Connection, parts: Sequence[Part], order: Order, after: Position | None) -> Generator[Placed]:
    """Rows in order, beyond a position."""
    for absent in (False, True):
        if after is not None and after.sort.absent > absent:
            continue
        bound = after if after is not None and after.sort.absent == absent else None
        if len(parts) == 1:
            yield from _run(db, *parts[0], absent, order, bound)
        else:
            yield from _merged(db, parts, absent, order, bound)


def _merged(
    db: sqlite3.Connection, parts: Sequence[Part], absent: bool, order: Order, after: Position | None
) -> Iterator[Placed]:
    """A partition is opened when its first row is the next one: a page needs few of many."""
    runs: list[tuple[Rank, Placed, Iterator[Placed]]] = []
    for head, place, part in sorted(_heads(db, parts, absent, order, after)):
        while runs and runs[0][0] < head:
            yield _next(runs, order)
        run = _run(db, place, part, absent, order, after)
        heapq.heappush(runs, (head, next(run), run))
    while runs:
        yield _next(runs, order)


def _next(runs: list[tuple[Rank, Placed, Iterator[Placed]]], order: Order) -> Placed:
    _, placed, run = runs[0]
    following = next(run, None)
    if following is None:
        heapq.heappop(runs)
    else:
        place, row = following
        heapq.heapreplace(runs, (rank(order, Position(SortKey(row[1] == 1, row[2]), place, row[0])), following, run))
    return placed


def _heads(
    db: sqlite3.Connection, parts: Sequence[Part], absent: bool, order: Order, after: Position | None
) -> Iterator[tuple[Rank, Partition, int]]:
    """Where the first row of each partition that has any stands in the list."""
    places = {part: place for place, part in parts}
    for some in _sides(parts, order, after):
        where, by, values = _bounds(some[0][0], order, after)
        sql = f"""SELECT r.part, r.cursor, r.key FROM json_each(?) AS p CROSS JOIN records r ON r.id =
                  (SELECT id FROM records WHERE part = p.value AND absent = ? {where} ORDER BY {by} LIMIT 1)"""
        numbers = json.dumps([part for _, part in some])
        for part, cursor, key in db.execute(sql, (numbers, absent, *values)):
            place = places[part]
            yield rank(order, Position(SortKey(absent, cursor), place, key)), place, part


def _sides(parts: Sequence[Part], order: Order, after: Position | None) -> Iterator[Sequence[Part]]:
    """Those before and those behind the position's own partition, for which its equals are bounded differently."""
    if after is None:
        sides = [parts]
    else:
        sides = [[each for each in parts if _is_later(each[0], order, after) is later] for later in (False, True)]
    yield from (each for each in sides if each)


def _run(
    db: sqlite3.Connection, place: Partition, part: int, absent: bool, order: Order, after: Position | None
) -> Iterator[Placed]:
    """One partition's rows, beyond a position that may be another's."""
    where, by, values = _bounds(place, order, after)
    sql = f"SELECT {COLUMNS} FROM records WHERE part = ? AND absent = ? {where} ORDER BY {by}"
    for row in db.execute(sql, (part, absent, *values)):
        yield place, row


def _bounds(place: Partition, order: Order, after: Position | None) -> tuple[str, str, Sequence[object]]:
    """Of one partition's rows: which lie beyond a position, in which order, and the values of the first."""
    beyond, direction = (">", "ASC") if order is Order.ASC else ("<", "DESC")
    by = f"cursor {direction}, key {direction}"
    if after is None:
        return "", by, ()
    # Of records with equal sort keys those of later partitions come after it.
    equal = "=" if _is_later(place, order, after) else ""
    return f"AND (cursor, key) {beyond}{equal} (?, ?)", by, (after.sort.cursor, after.key)


def _is_later(place: Partition, order: Order, after: Position) -> bool:
    return place > after.partition if order is Order.ASC else place < after.partition


def record(place: Partition, row: Row) -> StoredRecord:
    """A row of `COLUMNS` as a record."""
    key, absent, cursor, emitted_at, number, links, revisions, data = row
    sort = SortKey(absent == 1, cursor)
    return StoredRecord(place, key, sort, data, unpacked(emitted_at), version_of(number), links > 0, revisions)


COLUMNS = "key, absent, cursor, emitted_at, id, links, revisions, CAST(data AS BLOB)"


_PARTS = """
SELECT place.key, p.id FROM json_each(?) AS place
CROSS JOIN connectors c ON c.name = place.value ->> 0
CROSS JOIN partitions p ON p.connector = c.id AND p.instance = place.value ->> 1 AND p.stream = place.value ->> 2
ORDER BY place.key
"""
