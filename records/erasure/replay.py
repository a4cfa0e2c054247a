"""Erasing again, after a restore, what was erased since the snapshot was made.

An erasure that the restored central store knows is done, or is gone on with as any other: what its target has now was
written later. One that it does not know was begun after the moment of the snapshot: all that the target has is older.
So it is begun again under its own id, by the ordinary machinery, and a later snapshot knows it.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping

from blobstore.errors import StorageUnavailable
from blobstore.gc import BATCH
from records.engine import Engine
from records.erasure.ledger import Entry
from records.model import Order, Partition, Position
from records.slots import parse
from records.store import RecordStore

PAGE = 500
PAGE_BYTES = 8 << 20

WAIT = 60.0
"""Seconds: nobody reads a directory that is being restored, but for who looks at its files by hand."""

Place = tuple[str, str, str]
"""Connector, instance, stream."""


async def replay(store: RecordStore, entries: Iterable[Entry]) -> int:
    """Begin again, and carry out, what the central store does not know; how many. The ledger's order is kept.

    Raises `StorageUnavailable` where one cannot be completed: the restored directory must not be served then.
    """
    owners = {owner.id: owner for owner in await store.central.owners()}
    unknown = [
        entry
        for entry in entries
        if entry.owner in owners and await store.central.erasure(entry.owner, entry.erasure) is None
    ]
    keys = await _keys(store, unknown)
    for entry in unknown:
        await store.erasures.again(owners[entry.owner], entry, keys.get((entry.owner, entry.record)))
    if remaining := await store.erasures.resume(WAIT):
        raise StorageUnavailable(f"{remaining} erasures cannot be completed: somebody reads the restored files")
    return len(unknown)


async def _keys(store: RecordStore, entries: Iterable[Entry]) -> Mapping[tuple[str, str | None], str]:
    """By owner and digest, the keys of records or claims that an erasure of one record means."""
    places: defaultdict[str, set[Place]] = defaultdict(set)
    wanted: set[tuple[str, str | None]] = set()
    for each in entries:
        if each.record is not None:
            wanted.add((each.owner, each.record))
            places[each.owner] |= {(each.connector or "", name, each.stream or "") for name in each.instances}
    found: dict[tuple[str, str | None], str] = {}
    for owner, where in places.items():
        async for key in _keys_in(store, owner, where):
            named = (owner, store.keyring.key_digest(owner, key))
            if named in wanted:
                found[named] = key
    return found


async def _keys_in(store: RecordStore, owner: str, places: set[Place]) -> AsyncIterator[str]:
    """Every key of a record or a claim in these places; once or more often."""
    engine = await store.engines.of(owner)
    for place in sorted(places):
        async for key in _keys_of_records(engine, Partition(*place)):
            yield key
    for connector in sorted({connector for connector, *_ in places}):
        after = None
        while claims := await store.blobs.catalogue.claims_by(owner, connector, BATCH, after):
            for claimed in claims:
                yield parse(claimed.claim.slot)[2]
            after = claims[-1].claim.slot, claims[-1].digest


async def _keys_of_records(engine: Engine, place: Partition) -> AsyncIterator[str]:
    after: Position | None = None
    while True:
        page = await engine.page([place], Order.ASC, after, PAGE, max_bytes=PAGE_BYTES)
        for record in page.records:
            yield record.key
        if page.reached is None:
            return
        after = page.reached
