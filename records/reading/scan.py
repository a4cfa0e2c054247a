"""Pages gathered from an engine: it looks at so many records at a time, a page may need more of them."""

import bisect
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from records.engine import Engine
from records.model import Order, Partition, Position, StoredRecord
from records.reading.lens import Lens
from records.reading.paging import MAX_BYTES, is_full, position, up_to

PIECE = 1000

FEW = 1000
"""Resources that are looked up one by one rather than found among all records."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Records of one page, and where the next one begins; None where there are no more."""

    records: list[StoredRecord]
    reached: Position | None


async def scan(
    engine: Engine,
    partitions: Collection[Partition],
    order: Order,
    after: Position | None,
    limit: int,
    lens: Lens,
    pieces: int | None = None,
) -> Scanned:
    """Up to `limit` records that the lens sees, beyond `after`; fewer where their data exceeds `paging.MAX_BYTES`.

    The search ends after so many `pieces`, of some thousand records each, also where it found none.
    """
    if lens.bounds is not None and lens.bounds.resources is not None and len(lens.bounds.resources) <= FEW:
        return await _scan_named(engine, partitions, order, after, limit, lens)
    records: list[StoredRecord] = []
    size = 0
    if lens.keep is None:  # all that lies beyond is seen: the engine's own word that there is more will do
        page = await engine.page(partitions, order, after, limit, max_bytes=MAX_BYTES)
        return _scanned(list(page.records), page.reached is not None)
    while True:
        # One beyond the page tells whether there is more.
        wanted = limit + 1 - len(records)
        page = await engine.page(partitions, order, after, wanted, max_bytes=max(MAX_BYTES - size, 0), keep=lens.keep)
        records += page.records
        size += sum(len(each.data) for each in page.records)
        if len(records) > limit or (is_full(size, MAX_BYTES) and len(records) > 1):
            return _scanned(records[:-1], True)
        if page.reached is None:
            return Scanned(records, None)
        after = page.reached
        if pieces is not None and (pieces := pieces - 1) < 1:
            return Scanned(records, after)


def _scanned(records: list[StoredRecord], more: bool) -> Scanned:
    return Scanned(records, position(records[-1]) if more else None)


async def _scan_named(
    engine: Engine, partitions: Collection[Partition], order: Order, after: Position | None, limit: int, lens: Lens
) -> Scanned:
    """The same where the records are named: all of them are looked at, and little more than a page is held."""
    assert lens.bounds is not None
    first: list[StoredRecord] = []
    for place in partitions:
        async for found in named(engine, place, lens.bounds.resources or ()):
            first += [each for each in found if _is_beyond(each, after, order) and lens.sees(each)]
            first.sort(key=lambda each: _rank(each, order), reverse=order is Order.DESC)
            # The last one only tells that there is more.
            first = first[: max(2, len(up_to(first[: limit + 1], MAX_BYTES)))]
    more = len(first) > limit or (len(first) > 1 and is_full(sum(len(each.data) for each in first), MAX_BYTES))
    return _scanned(first[:-1] if more else first, more)


async def named(engine: Engine, place: Partition, keys: Collection[str]) -> AsyncIterator[list[StoredRecord]]:
    """The records of a partition with these keys, in lists that are little longer than a page."""
    left = sorted(keys)
    while left:
        found = await engine.get([place], left, max_bytes=MAX_BYTES)
        yield found
        if not is_full(sum(len(each.data) for each in found), MAX_BYTES):
            return
        left = left[bisect.bisect_right(left, found[-1].key) :]


async def every(engine: Engine, partition: Partition, lens: Lens) -> AsyncIterator[StoredRecord]:
    """All records of a partition that the lens sees, ascending."""
    after = None
    while True:
        page = await engine.page([partition], Order.ASC, after, PIECE, max_bytes=MAX_BYTES, keep=lens.keep)
        for record in page.records:
            yield record
        if page.reached is None:
            return
        after = page.reached


def _rank(record: StoredRecord, order: Order) -> tuple[bool, bytes, str, Partition]:
    return _ranked(position(record), order)


def _ranked(place: Position, order: Order) -> tuple[bool, bytes, str, Partition]:
    # Records without the cursor field come last in both directions.
    absent = place.sort.absent if order is Order.ASC else not place.sort.absent
    return absent, place.sort.cursor, place.key, place.partition


def _is_beyond(record: StoredRecord, after: Position | None, order: Order) -> bool:
    if after is None:
        return True
    here, there = _rank(record, order), _ranked(after, order)
    return here > there if order is Order.ASC else here < there
