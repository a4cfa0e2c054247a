"""Pages gathered from an engine: it looks at so many records at a time, a page may need more of them."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from records.engine import Engine
from records.lens import Lens
from records.model import Order, Partition, Position, StoredRecord
from records.paging import MAX_BYTES, is_full, position

PIECE = 1000

FEW = 1000
"""Resources that are looked up one by one rather than found among all records."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Records of one page, and whether there are more."""

    records: list[StoredRecord]
    more: bool


async def scan(
    engine: Engine, partitions: Collection[Partition], order: Order, after: Position | None, limit: int, lens: Lens
) -> Scanned:
    """Up to `limit` records that the lens sees, beyond `after`; fewer where their data exceeds `paging.MAX_BYTES`."""
    if lens.bounds is not None and lens.bounds.resources is not None and len(lens.bounds.resources) <= FEW:
        found = await engine.get(partitions, lens.bounds.resources)
        ranked = sorted(found, key=lambda each: _rank(each, order), reverse=order is Order.DESC)
        seen = [each for each in ranked if _is_beyond(each, after, order) and lens.sees(each)]
        return Scanned(seen[:limit], len(seen) > limit)
    records: list[StoredRecord] = []
    size = 0
    while True:
        # One beyond the page tells whether there is more.
        wanted = limit + 1 - len(records)
        page = await engine.page(partitions, order, after, wanted, max_bytes=max(MAX_BYTES - size, 0), keep=lens.keep)
        records += page.records
        size += sum(len(each.data) for each in page.records)
        if len(records) > limit or (is_full(size, MAX_BYTES) and len(records) > 1):
            return Scanned(records[:-1], True)
        if page.reached is None:
            return Scanned(records, False)
        after = page.reached


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


def _rank(record: StoredRecord, order: Order) -> tuple[bool, bytes, Partition, str]:
    return _ranked(position(record), order)


def _ranked(place: Position, order: Order) -> tuple[bool, bytes, Partition, str]:
    # Records without the cursor field come last in both directions.
    absent = place.sort.absent if order is Order.ASC else not place.sort.absent
    return absent, place.sort.encoded, place.partition, place.key


def _is_beyond(record: StoredRecord, after: Position | None, order: Order) -> bool:
    if after is None:
        return True
    here, there = _rank(record, order), _ranked(after, order)
    return here > there if order is Order.ASC else here < there
