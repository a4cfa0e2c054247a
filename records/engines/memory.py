"""The engine in memory: the contract in its shortest form, and the fake in everyone's tests."""

import heapq
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from blobstore.digest import Digest
from records.engines.plan import Alive, Buried, Past, Written, bury, plan
from records.errors import Fenced, Released
from records.model import (
    Batch,
    Change,
    Changes,
    Delete,
    Erased,
    Keep,
    Order,
    OutboxEvent,
    Outcome,
    Page,
    Partition,
    PartitionStats,
    PlacedLink,
    Position,
    StoredRecord,
    Target,
    Tombstone,
)
from records.paging import cut, take

EMPTY = PartitionStats(0, 0, 0, 0, None)


@dataclass(slots=True)
class _Partition:
    """Records and tombstones by key, and what is remembered, each with the time (UTC seconds) when it was made."""

    stats: PartitionStats = EMPTY
    records: dict[str, Written] = field(default_factory=dict)
    tombstones: dict[str, tuple[Tombstone, float]] = field(default_factory=dict)
    past: list[tuple[Past, float]] = field(default_factory=list)

    def present(self) -> dict[str, Alive | Buried]:
        """What a batch finds."""
        graves: dict[str, Alive | Buried] = {key: Buried(grave.version) for key, (grave, _) in self.tombstones.items()}
        return graves | {key: _alive(each) for key, each in self.records.items()}


class MemoryEngine:
    """Adapter of `records.engine.Engine`: nothing is awaited inside a method, so each is one step."""

    def __init__(self) -> None:
        self._partitions: dict[Partition, _Partition] = {}
        self._epochs: Counter[tuple[str, str | None]] = Counter()
        self._release_epochs: Counter[str] = Counter()
        self._unlinked: set[tuple[str, Digest]] = set()
        self._outbox: list[OutboxEvent] = []
        self._seq = 0

    # -- writing ---------------------------------------------------------------------------------------------------

    async def epoch(self, connector: str, instance: str) -> int:
        return self._epochs[connector, None] + self._epochs[connector, instance]

    async def release_epoch(self, connector: str) -> int:
        return self._release_epochs[connector]

    async def apply(self, batch: Batch) -> list[Outcome]:
        connector = batch.partition.connector
        if batch.epoch != await self.epoch(connector, batch.partition.instance):
            raise Fenced("the connection was erased while the request ran")
        if batch.release_epoch not in (None, self._release_epochs[connector]):
            raise Released("blobs were released while the request ran")
        partition = self._partitions.get(batch.partition, _Partition())
        done, partition.stats = plan(batch, partition.present(), partition.stats)
        now = time.time()
        for key, stands in done.last.items():
            partition.records.pop(key, None)
            partition.tombstones.pop(key, None)
            if isinstance(stands, Written):
                partition.records[key] = stands
            else:
                partition.tombstones[key] = (stands, now)
        partition.past += [(each, now) for each in done.past]
        if done.changed:
            self._partitions[batch.partition] = partition
        self._note_unlinked(connector, done.dropped)
        if batch.event is not None and done.changed:
            await self.note(batch.event)
        return done.outcomes

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get(self, partitions: Collection[Partition], keys: Collection[str]) -> list[StoredRecord]:
        found = [record for record in self._stored(partitions) if record.key in keys]
        return sorted(found, key=lambda record: (record.partition, record.key))

    async def page(
        self,
        partitions: Collection[Partition],
        order: Order,
        after: Position | None,
        limit: int,
        *,
        max_bytes: int | None = None,
        keep: Keep | None = None,
    ) -> Page:
        ranked = {(record.sort, record.partition, record.key): record for record in self._stored(partitions)}
        start = None if after is None else (after.sort, after.partition, after.key)
        if order is Order.ASC:
            later = (ranked[rank] for rank in sorted(ranked) if start is None or rank > start)
            return take(later, limit, max_bytes, keep)
        present = sorted((rank for rank in ranked if not rank[0].absent), reverse=True)
        absent = sorted((rank for rank in ranked if rank[0].absent), reverse=True)
        if start is not None:
            present = [rank for rank in present if not start[0].absent and rank < start]
            absent = [rank for rank in absent if not start[0].absent or rank < start]
        return take((ranked[rank] for rank in present + absent), limit, max_bytes, keep)

    async def changes(
        self, partition: Partition, since: int, after: int, horizon: int, limit: int, max_bytes: int | None = None
    ) -> Changes:
        there = self._partitions.get(partition, _Partition())
        graves = [grave for grave, _ in there.tombstones.values() if since]
        now: list[StoredRecord | Tombstone] = [*self._stored([partition]), *graves]
        ordered = sorted((each for each in now if after < each.version <= horizon), key=lambda each: each.version)
        found, reached = cut(ordered, limit, max_bytes, horizon)
        before = {past.key: past.remembered for past, _ in there.past if past.version <= since < past.until}
        late = [
            past.version
            for past, _ in there.past
            if past.until > horizon and max(since, after) < past.version <= reached
        ]
        return Changes([Change(each, before.get(each.key)) for each in found], reached, min(late, default=None))

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        return {
            partition: self._partitions[partition].stats
            for partition in sorted(self._partitions)
            if connector in (None, partition.connector)
        }

    # -- links -----------------------------------------------------------------------------------------------------

    async def links_of(
        self, digest: Digest, after: tuple[Partition, str, str] | None = None, limit: int = 100
    ) -> list[PlacedLink]:
        placed = [link for link in self._links() if link.link.digest == digest]
        return heapq.nsmallest(limit, (link for link in placed if after is None or _place(link) > after), key=_place)

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        mine = [link for link in self._links() if (link.partition, link.key) == (partition, key)]
        return sorted(mine, key=_place)

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, int]]:
        counts = self._counts(connector)
        return [(digest, counts[digest]) for digest in sorted(counts) if after is None or digest > after][:limit]

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        self._release_epochs[connector] += 1
        return set(digests) - set(self._counts(connector))

    async def unlinked(self, limit: int) -> list[tuple[str, Digest]]:
        return sorted(self._unlinked)[:limit]

    async def forget_unlinked(self, connector: str, digests: Collection[Digest]) -> None:
        self._unlinked -= {(connector, digest) for digest in digests}

    # -- erasure ---------------------------------------------------------------------------------------------------

    async def fence(self, connector: str, instance: str | None) -> None:
        self._epochs[connector, instance] += 1

    async def erase(self, target: Target, deleted_at: str, limit: int) -> Erased:
        places = sorted(partition for partition in self._partitions if _covers(target, partition))
        keys = [(place, key) for place in places for key in sorted(self._partitions[place].records)]
        keys = [(place, key) for place, key in keys if target.key in (None, key)]
        size, unlinked = 0, set[Digest]()
        for place, key in keys[:limit]:
            size += _remove(self._partitions[place], key, target, deleted_at, unlinked)
        left = len(keys) - limit
        for place in places:
            left = _forget(self._partitions[place], target, left)
        noted = self._note_unlinked(target.connector, unlinked)
        return Erased(min(len(keys), limit), size, frozenset(noted), left <= 0)

    async def forget(self, before: float, limit: int) -> int:
        gone = 0
        for there in self._partitions.values():
            made = [(past.until, at) for past, at in there.past]
            made += [(grave.version, at) for grave, at in there.tombstones.values()]
            old = [version for version, at in sorted(made)[: max(limit - gone, 0)] if at < before]
            if old:
                floor = max(old)
                there.stats = replace(there.stats, floor=max(there.stats.floor, floor))
                there.past = [each for each in there.past if each[0].until > floor]
                there.tombstones = {key: each for key, each in there.tombstones.items() if each[0].version > floor}
                gone += len(old)
        return gone

    async def sanitize(self, timeout: float) -> bool:
        return True

    # -- events ----------------------------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        return self._outbox[:limit]

    async def drained(self, seq: int) -> None:
        self._outbox = [event for event in self._outbox if event.seq > seq]

    async def note(self, event: bytes) -> None:
        self._seq += 1
        self._outbox.append(OutboxEvent(self._seq, event))

    async def check(self) -> list[str]:
        return []

    async def close(self) -> None:
        pass

    # -- inside ----------------------------------------------------------------------------------------------------

    def _stored(self, partitions: Collection[Partition]) -> Iterator[StoredRecord]:
        for place in set(partitions) & set(self._partitions):
            for each in self._partitions[place].records.values():
                put = each.put
                yield StoredRecord(
                    place, put.key, put.sort, put.data, put.emitted_at, each.version, bool(put.links), each.revisions
                )

    def _links(self) -> Iterator[PlacedLink]:
        for place, partition in self._partitions.items():
            for each in partition.records.values():
                yield from (PlacedLink(place, each.put.key, link) for link in each.put.links)

    def _counts(self, connector: str) -> Counter[Digest]:
        return Counter(link.link.digest for link in self._links() if link.partition.connector == connector)

    def _note_unlinked(self, connector: str, digests: set[Digest]) -> set[Digest]:
        lost = digests - set(self._counts(connector)) if digests else set()
        self._unlinked |= {(connector, digest) for digest in lost}
        return lost


class MemoryEngines:
    """Adapter of `records.engine.Engines`: engines that last as long as this object."""

    def __init__(self) -> None:
        self._engines: dict[str, MemoryEngine] = {}

    async def of(self, owner: str) -> MemoryEngine:
        return self._engines.setdefault(owner, MemoryEngine())

    async def close(self) -> None:
        pass


def _alive(of: Written) -> Alive:
    put = of.put
    digests = tuple(link.digest for link in put.links)
    return Alive(put.data, len(put.data), digests, of.version, put.emitted_at, of.revisions)


def _remove(there: _Partition, key: str, target: Target, deleted_at: str, unlinked: set[Digest]) -> int:
    """Take one record away for good; the bytes that it had."""
    alive, was = _alive(there.records.pop(key)), there.stats
    unlinked |= set(alive.digests)
    there.stats = replace(
        was,
        records=was.records - 1,
        bytes=was.bytes - alive.size,
        links=was.links - len(alive.digests),
        version=was.version + (target.stream is not None),
        updated_at=was.updated_at if there.records else None,
    )
    if target.stream is not None:
        delete = Delete(key, deleted_at, deleted_at)
        there.tombstones[key] = (bury(alive, delete, there.stats.version, target.consent_field), time.time())
        there.past = [each for each in there.past if each[0].key != key]
    return alive.size


def _forget(there: _Partition, target: Target, left: int) -> int:
    """Take away what is remembered of what the target covers, and old tombstones; what is left to do."""
    room = max(0, -left)
    mine = [each for each in there.past if target.key in (None, each[0].key)]
    gone = mine[:room]
    there.past = [each for each in there.past if each not in gone]
    left += len(mine)
    if target.stream is None:
        graves = sorted(there.tombstones)
        for key in graves[: max(0, room - len(gone))]:
            del there.tombstones[key]
        left += len(graves)
        there.stats = replace(there.stats, floor=there.stats.version)
    return left


def _covers(target: Target, partition: Partition) -> bool:
    return (
        partition.connector == target.connector
        and target.instance in (None, partition.instance)
        and target.stream in (None, partition.stream)
    )


def _place(link: PlacedLink) -> tuple[Partition, str, str]:
    return link.partition, link.key, link.link.pointer
