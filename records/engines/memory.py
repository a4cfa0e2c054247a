"""The engine in memory: the contract in its shortest form, and the fake in everyone's tests."""

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from blobstore.digest import Digest
from records.errors import Fenced, Released
from records.model import (
    Batch,
    Delete,
    Erased,
    Link,
    Order,
    OutboxEvent,
    Outcome,
    Partition,
    PartitionStats,
    PlacedLink,
    Position,
    Put,
    StoredRecord,
    Target,
)
from records.paging import take

EMPTY = PartitionStats(0, 0, 0, 0, None)


@dataclass(slots=True)
class _Partition:
    """Records and tombstones by key, each with the version that made it."""

    stats: PartitionStats = EMPTY
    records: dict[str, tuple[Put, int]] = field(default_factory=dict)
    tombstones: dict[str, tuple[Delete, int]] = field(default_factory=dict)


class MemoryEngine:
    """Adapter of `records.engine.Engine`: nothing is awaited inside a method, so each is one step."""

    def __init__(self) -> None:
        self._partitions: dict[Partition, _Partition] = {}
        self._epochs: Counter[tuple[str, str | None]] = Counter()
        self._release_epochs: Counter[str] = Counter()
        self._unlinked: dict[tuple[str, Digest], int] = {}
        self._notes = 0
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
        unlinked: set[Digest] = set()
        outcomes = [_mutate(partition, each, batch.append_only, unlinked) for each in batch.mutations]
        if partition.stats.version:
            self._partitions[batch.partition] = partition
        self._note_unlinked(connector, unlinked)
        if batch.event is not None and not {Outcome.UNCHANGED, Outcome.ABSENT}.issuperset(outcomes):
            await self.note(batch.event)
        return outcomes

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get(self, partitions: Collection[Partition], key: str) -> list[StoredRecord]:
        found = [record for record in self._stored(partitions) if record.key == key]
        return sorted(found, key=lambda record: record.partition)

    async def page(
        self,
        partitions: Collection[Partition],
        order: Order,
        after: Position | None,
        limit: int,
        max_bytes: int | None = None,
    ) -> list[StoredRecord]:
        ranked = {(record.sort, record.partition, record.key): record for record in self._stored(partitions)}
        start = None if after is None else (after.sort, after.partition, after.key)
        if order is Order.ASC:
            later = (ranked[rank] for rank in sorted(ranked) if start is None or rank > start)
            return take(later, limit, max_bytes)
        present = sorted((rank for rank in ranked if not rank[0].absent), reverse=True)
        absent = sorted((rank for rank in ranked if rank[0].absent), reverse=True)
        if start is not None:
            present = [rank for rank in present if not start[0].absent and rank < start]
            absent = [rank for rank in absent if not start[0].absent or rank < start]
        return take((ranked[rank] for rank in present + absent), limit, max_bytes)

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

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        place = self._partitions.get(partition, _Partition())
        put, found = place.records.get(key, (None, None))
        if put is None or found != version:
            return False
        if release_epoch != self._release_epochs[partition.connector]:
            raise Released("blobs were released while the request ran")
        place.records[key] = (replace(put, links=tuple(links)), version)
        place.stats = replace(place.stats, links=place.stats.links + len(links) - len(put.links))
        self._note_unlinked(partition.connector, {link.digest for link in put.links})
        return True

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        self._release_epochs[connector] += 1
        return set(digests) - set(self._counts(connector))

    async def unlinked(self, limit: int) -> list[tuple[str, Digest]]:
        return sorted(self._unlinked)[:limit]

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        return sorted(self._unlinked[connector, each] for each in set(digests) if (connector, each) in self._unlinked)

    async def forget_notes(self, notes: Collection[int]) -> None:
        self._unlinked = {noted: number for noted, number in self._unlinked.items() if number not in notes}

    # -- erasure ---------------------------------------------------------------------------------------------------

    async def fence(self, connector: str, instance: str | None) -> None:
        self._epochs[connector, instance] += 1

    async def erase(self, target: Target, deleted_at: str, limit: int) -> Erased:
        places = sorted(partition for partition in self._partitions if _covers(target, partition))
        keys = [(place, key) for place in places for key in sorted(self._partitions[place].records)]
        keys = [(place, key) for place, key in keys if target.key in (None, key)]
        size, unlinked = 0, set[Digest]()
        for place, key in keys[:limit]:
            partition = self._partitions[place]
            size += len(partition.records[key][0].data)
            _delete(partition, key, unlinked)
            if target.stream is not None:
                partition.stats = replace(partition.stats, version=partition.stats.version + 1)
                partition.tombstones[key] = (Delete(key, deleted_at, deleted_at), partition.stats.version)
        left = len(keys) - limit
        if target.stream is None:
            graves = [(place, key) for place in places for key in sorted(self._partitions[place].tombstones)]
            for place, key in graves[: max(0, -left)]:
                del self._partitions[place].tombstones[key]
            left += len(graves)
        noted = self._note_unlinked(target.connector, unlinked)
        return Erased(min(len(keys), limit), size, frozenset(noted), left <= 0)

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
            for put, version in self._partitions[place].records.values():
                yield StoredRecord(place, put.key, put.sort, put.data, put.emitted_at, version, bool(put.links))

    def _links(self) -> Iterator[PlacedLink]:
        for place, partition in self._partitions.items():
            for put, _ in partition.records.values():
                yield from (PlacedLink(place, put.key, link) for link in put.links)

    def _counts(self, connector: str) -> Counter[Digest]:
        return Counter(link.link.digest for link in self._links() if link.partition.connector == connector)

    def _note_unlinked(self, connector: str, digests: set[Digest]) -> set[Digest]:
        lost = digests - set(self._counts(connector)) if digests else set()
        for digest in sorted(lost):
            self._notes += 1
            self._unlinked[connector, digest] = self._notes
        return lost


class MemoryEngines:
    """Adapter of `records.engine.Engines`: engines that last as long as this object."""

    def __init__(self) -> None:
        self._engines: dict[str, MemoryEngine] = {}

    async def of(self, owner: str) -> MemoryEngine:
        return self._engines.setdefault(owner, MemoryEngine())

    async def find(self, owner: str) -> MemoryEngine | None:
        return self._engines.get(owner)

    async def close(self) -> None:
        pass


def _mutate(partition: _Partition, mutation: Put | Delete, append_only: bool, unlinked: set[Digest]) -> Outcome:
    key = mutation.key
    there = partition.records.get(key)
    if isinstance(mutation, Delete) and there is None:
        return Outcome.ABSENT
    if isinstance(mutation, Put) and there and (append_only or there[0].fingerprint == mutation.fingerprint):
        return Outcome.UNCHANGED
    newest, version = partition.stats.updated_at or "", partition.stats.version + 1
    if there is not None:
        _delete(partition, key, unlinked)
    was = partition.stats
    if isinstance(mutation, Delete):
        partition.stats = replace(was, version=version)
        partition.tombstones[key] = (mutation, version)
        return Outcome.DELETED
    partition.stats = PartitionStats(
        was.records + 1,
        was.bytes + len(mutation.data),
        was.links + len(mutation.links),
        version,
        max(newest, mutation.emitted_at),
    )
    partition.tombstones.pop(key, None)
    partition.records[key] = (mutation, version)
    return Outcome.CREATED if there is None else Outcome.UPDATED


def _delete(partition: _Partition, key: str, unlinked: set[Digest]) -> None:
    put, _ = partition.records.pop(key)
    was = partition.stats
    partition.stats = PartitionStats(
        was.records - 1,
        was.bytes - len(put.data),
        was.links - len(put.links),
        was.version,
        was.updated_at if partition.records else None,
    )
    unlinked |= {link.digest for link in put.links}


def _covers(target: Target, partition: Partition) -> bool:
    return (
        partition.connector == target.connector
        and target.instance in (None, partition.instance)
        and target.stream in (None, partition.stream)
    )


def _place(link: PlacedLink) -> tuple[Partition, str, str]:
    return link.partition, link.key, link.link.pointer
