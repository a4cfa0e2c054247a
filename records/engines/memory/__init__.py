"""The engine in memory: the contract in its shortest form, and the fake in everyone's tests."""

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from blobstore.catalogue import Numbering
from blobstore.digest import Digest
from records.engine import LEAP, NOTHING_OWED, Engine
from records.engines.memory.moving import Moving
from records.engines.memory.partition import Records, whole_second
from records.errors import Fenced, Released
from records.model import (
    Batch,
    Changes,
    Delete,
    Erased,
    Keep,
    Link,
    Linking,
    Order,
    OutboxEvent,
    Outcome,
    Page,
    Partition,
    PartitionStats,
    PlacedLink,
    Position,
    Put,
    SortKey,
    StoredRecord,
    Target,
)
from records.reading.paging import take, up_to
from records.shards import RECORDS
from records.sums import Linked, Monthly, Sums, month_of

__all__ = ["MemoryEngine", "MemoryEngines"]

T = TypeVar("T")


class MemoryEngine(Moving):
    """Adapter of `records.engine.Engine`: nothing is awaited inside a method, so each is one step."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        super().__init__()
        self._outbox: list[OutboxEvent] = []
        self._seq = 0
        self._name: str | None = None

    # -- writing ---------------------------------------------------------------------------------------------------

    async def epoch(self, partition: Partition) -> int:
        self._require_here(partition.connector)
        connector, instance, stream = partition.connector, partition.instance, partition.stream
        places = ((connector, None, None), (connector, instance, None), (connector, instance, stream))
        return sum(self._epochs[place] for place in places)

    async def release_epoch(self, connector: str) -> int:
        self._require_here(connector)
        return self._release_epochs[connector]

    async def apply(self, batch: Batch) -> list[Outcome]:
        connector = batch.partition.connector
        self._require_here(connector)
        if batch.epoch != await self.epoch(batch.partition):
            raise Fenced("the connection was erased while the request ran")
        if batch.release_epoch not in (None, self._release_epochs[connector]):
            raise Released("blobs were released while the request ran")
        fresh = Records(PartitionStats(0, 0, 0, self._base, None, self._base))
        records, now = self._partitions.get(batch.partition, fresh), whole_second(self._clock())
        outcomes, dropped = [], set[Digest]()
        for mutation in batch.mutations:
            linked = records.digests(mutation.key)
            if isinstance(mutation, Delete):
                outcome = records.delete(mutation, batch.recorder, now)
            else:
                outcome = records.put(mutation, batch.recorder, now, append_only=batch.append_only)
            if outcome in (Outcome.UPDATED, Outcome.DELETED):
                dropped |= linked
            outcomes.append(outcome)
        if records.stats.version > self._base:
            self._partitions[batch.partition] = records
        self._note_unlinked(connector, dropped)
        if batch.event is not None and not {Outcome.UNCHANGED, Outcome.ABSENT}.issuperset(outcomes):
            await self.note(batch.event)
        return outcomes

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        self._require_here(*(partition.connector for partition in partitions))
        wanted = set(keys)
        found = [record for record in self._stored(partitions) if record.key in wanted]
        return up_to(sorted(found, key=lambda record: (record.partition, record.key)), max_bytes)

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
        self._require_here(*(partition.connector for partition in partitions))

        def rank(sort: SortKey, key: str, place: Partition) -> tuple[bool, bytes, str, Partition]:
            # Absent cursor fields come last in both directions: descending, the ranks are read backwards.
            return sort.absent is (order is Order.ASC), sort.cursor, key, place

        ranked = {rank(each.sort, each.key, each.partition): each for each in self._stored(partitions)}
        ranks = sorted(ranked, reverse=order is Order.DESC)
        if after is not None:
            start = rank(after.sort, after.key, after.partition)
            ranks = [each for each in ranks if (each > start if order is Order.ASC else each < start)]

        def seen(record: StoredRecord) -> tuple[Partition, str, bytes]:
            return record.partition, record.key, record.data

        return take((ranked[each] for each in ranks), lambda record: record, seen, keep, limit, max_bytes)

    async def changes(
        self,
        partition: Partition,
        since: int,
        after: int,
        horizon: int,
        limit: int,
        *,
        max_bytes: int | None = None,
        owed: Mapping[str, int] = NOTHING_OWED,
    ) -> Changes:
        self._require_here(partition.connector)
        records = self._partitions.get(partition, Records())
        return records.changes(partition, since, after, horizon, limit, max_bytes, owed)

    async def visit(
        self, partitions: Collection[Partition], see: Callable[[Iterable[tuple[StoredRecord, Sequence[Link]]]], T]
    ) -> T:
        self._require_here(*(partition.connector for partition in partitions))
        found = sorted(self._stored(partitions), key=lambda record: (record.partition, record.key))
        links = [await self.links_in(record.partition, record.key) for record in found]
        return see((record, [each.link for each in placed]) for record, placed in zip(found, links, strict=True))

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        self._require_here(partition.connector)
        there = sorted(self._stored([partition]), key=lambda record: record.version)
        first = [next((each for each in there if each.version >= version), None) for version in sorted(versions)]
        found = {each.version: each for each in first if each is not None}
        return up_to(found.values(), max_bytes)

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        self._require_here(*([] if connector is None else [connector]))
        return {
            partition: self._partitions[partition].stats
            for partition in sorted(self._partitions)
            if connector in (None, partition.connector)
        }

    async def sums(self, connector: str | None = None) -> dict[str, Sums]:
        self._require_here(*([] if connector is None else [connector]))
        names = {place.connector for place, records in self._partitions.items() if records.live}
        return {each: self._sums(each) for each in sorted(names) if connector in (None, each)}

    # -- links -----------------------------------------------------------------------------------------------------

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        if connector is not None:
            self._require_here(connector)
        placed = [link for link in self._links() if link.link.digest == digest]
        placed = [link for link in placed if connector in (None, link.partition.connector)]
        return heapq.nsmallest(limit, (link for link in placed if after is None or _place(link) > after), key=_place)

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        first = {digest: await self.links_of(digest, limit=1) for digest in digests}
        return {digest: links[0].partition.connector for digest, links in first.items() if links}

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        self._require_here(partition.connector)
        mine = [link for link in self._links() if (link.partition, link.key) == (partition, key)]
        return sorted(mine, key=_place)

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        self._require_here(connector)
        counts: dict[Digest, Counter[str]] = defaultdict(Counter)
        for each in self._links():
            if each.partition.connector == connector:
                counts[each.link.digest][each.partition.stream] += 1
        return [(digest, dict(counts[digest])) for digest in sorted(counts) if after is None or digest > after][:limit]

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        self._require_here(target.connector)
        first: dict[Digest, PlacedLink] = {}
        for link in sorted((each for each in self._links() if _within(target, each)), key=_place):
            first.setdefault(link.link.digest, link)
        return [link for link in first.values() if after is None or _place(link) > after][:limit]

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        self._require_here(target.connector)
        found: dict[tuple[Digest, Partition], set[bool]] = {}
        for link in self._links():
            if link.link.digest in digests and link.partition.connector == target.connector:
                found.setdefault((link.link.digest, link.partition), set()).add(_within(target, link))
        return [Linking(*place, True in where, False in where) for place, where in sorted(found.items())]

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        self._require_here(partition.connector)
        records = self._partitions.get(partition, Records())
        there = records.live.get(key)
        if there is None or there.version != version:
            return False
        if release_epoch != self._release_epochs[partition.connector]:
            raise Released("blobs were released while the request ran")
        dropped = records.digests(key)
        records.relink(key, links)
        self._disturbances[partition.connector] += 1
        self._note_unlinked(partition.connector, dropped)
        return True

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        self._require_here(connector)
        self._release_epochs[connector] += 1
        return set(digests) - set(self._counts(connector))

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        self._require_here(*([] if connector is None else [connector]))
        return sorted(noted for noted in self._unlinked if connector in (None, noted[0]))[:limit]

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        self._require_here(connector)
        return sorted(self._unlinked[connector, each] for each in set(digests) if (connector, each) in self._unlinked)

    async def forget_notes(self, notes: Collection[int]) -> None:
        self._unlinked = {noted: number for noted, number in self._unlinked.items() if number not in notes}

    # -- erasure ---------------------------------------------------------------------------------------------------

    async def fence(self, connector: str, instance: str | None) -> None:
        self._require_here(connector)
        self._epochs[connector, instance, None] += 1

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        self._require_here(target.connector)
        if erasure is None:
            return self._erase(target, deleted_at, limit)
        mark = (erasure, target.connector, target.instance)
        if mark in self._finished:
            return Erased(0, 0, frozenset(), finished=True)
        before = {place: len(records.live) for place, records in self._partitions.items()}
        step = self._erase(target, deleted_at, limit)
        lost = {place: count - len(self._partitions[place].live) for place, count in before.items()}
        self._erased.setdefault(erasure, Counter()).update({place: count for place, count in lost.items() if count})
        if step.finished:
            self._finished.add(mark)
            if target.key is None:
                self._epochs[target.connector, target.instance, target.stream] += 1
        return step

    async def erased(self, erasure: str) -> dict[Partition, int]:
        return dict(self._erased.get(erasure, {}))

    def _erase(self, target: Target, deleted_at: str, limit: int) -> Erased:
        places = [place for place in sorted(self._partitions) if _covers(target, place)]
        keys = [(place, key) for place in places for key in sorted(self._partitions[place].live)]
        keys = [(place, key) for place, key in keys if target.key in (None, key)]
        size, dropped = 0, set[Digest]()
        for place, key in keys[:limit]:
            records = self._partitions[place]
            size += len(records.live[key].put.data)
            dropped |= records.digests(key)
            if target.stream is None:
                records.remove(key)
            else:
                gone = Delete(key, deleted_at, deleted_at)
                records.erase(gone, target.consent_field, whole_second(self._clock()))
        left = limit - min(len(keys), limit)
        touched = [self._partitions[place] for place in places]
        for records in touched:
            if target.stream is not None:
                left -= records.redact(target, left)
            else:
                left -= records.erase_graves(left)
                left -= records.erase_past(left)
                records.stats = replace(records.stats, floor=records.stats.version)
        if target.stream is not None:
            over = any(records.remembered(target) for records in touched)
        else:
            over = any(records.graves or records.past for records in touched)
        finished = len(keys) <= limit and not over
        self._disturbances[target.connector] += bool(places)
        noted = self._note_unlinked(target.connector, dropped)
        return Erased(min(len(keys), limit), size, frozenset(noted), finished)

    async def forget(self, before: float, limit: int) -> int:
        count = 0
        for place in sorted(self._partitions):
            if count < limit and not self._is_away(place.connector):
                count += self._partitions[place].forget(before, limit - count)
        return count

    async def sanitize(self, timeout: float) -> bool:
        return True

    async def leap(self) -> None:
        self._base = LEAP + max([self._base, *(records.stats.version for records in self._partitions.values())])
        for records in self._partitions.values():
            records.stats = replace(records.stats, version=self._base, floor=self._base)
        self._disturbances.update(set(await self.connectors()))

    # -- events ----------------------------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        return self._outbox[:limit]

    async def numbering(self) -> Mapping[str, Numbering]:
        return {RECORDS: Numbering(self._outbox[0].seq - 1 if self._outbox else self._seq, self._seq)}

    async def bind(self, name: str) -> str:
        self._name = self._name or name
        return self._name

    async def drained(self, source: str, seq: int) -> None:
        self._outbox = [event for event in self._outbox if event.source != source or event.seq > seq]

    async def note(self, event: bytes) -> None:
        self._seq += 1
        self._outbox.append(OutboxEvent(self._seq, event, RECORDS))

    def regardless(self) -> Engine:
        view = object.__new__(_Regardless)
        view.__dict__ = self.__dict__  # one engine, seen in two ways
        return view

    async def check(self) -> list[str]:
        return []

    async def resum(self, *, repair: bool) -> list[str]:
        return []

    async def close(self) -> None:
        pass

    # -- inside ----------------------------------------------------------------------------------------------------

    def _stored(self, partitions: Collection[Partition]) -> Iterator[StoredRecord]:
        for place in set(partitions) & set(self._partitions):
            yield from self._partitions[place].stored(place)

    def _links(self) -> Iterator[PlacedLink]:
        for place, records in self._partitions.items():
            for each in records.live.values():
                yield from (PlacedLink(place, each.put.key, link) for link in each.put.links)

    def _sums(self, connector: str) -> Sums:
        links: dict[str, list[Link]] = defaultdict(list)
        months: dict[str, list[Put]] = defaultdict(list)
        for place, records in self._partitions.items():
            for live in records.live.values() if place.connector == connector else ():
                links[place.stream] += live.put.links
                months[month_of(live.put.emitted_at)].append(live.put)
        streams = {stream: _linked(links[stream]) for stream in sorted(links) if links[stream]}
        whole = _linked(link for some in links.values() for link in some)
        return Sums(
            whole.blobs, whole.blob_bytes, streams, {month: _monthly(months[month]) for month in sorted(months)}
        )

    def _counts(self, connector: str) -> Counter[Digest]:
        return Counter(link.link.digest for link in self._links() if link.partition.connector == connector)

    def _note_unlinked(self, connector: str, digests: set[Digest]) -> set[Digest]:
        lost = digests - set(self._counts(connector)) if digests else set()
        for digest in sorted(lost):
            self._notes += 1
            self._unlinked[connector, digest] = self._notes
        return lost


class _Regardless(MemoryEngine):
    heeds_marks = False


class MemoryEngines:
    """Adapter of `records.engine.Engines`: engines that last as long as this object."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._engines: dict[str, Engine] = {}

    async def of(self, owner: str) -> Engine:
        return self._engines.setdefault(owner, MemoryEngine(self._clock))

    async def find(self, owner: str) -> Engine | None:
        return self._engines.get(owner)

    async def close(self) -> None:
        pass


def _covers(target: Target, partition: Partition) -> bool:
    return (
        partition.connector == target.connector
        and target.instance in (None, partition.instance)
        and target.stream in (None, partition.stream)
    )


def _within(target: Target, link: PlacedLink) -> bool:
    return _covers(target, link.partition) and target.key in (None, link.key)


def _linked(links: Iterable[Link]) -> Linked:
    every = list(links)
    sizes = {link.digest: link.size for link in every}
    return Linked(len(every), sum(link.size for link in every), len(sizes), sum(sizes.values()))


def _monthly(puts: Sequence[Put]) -> Monthly:
    linked = sum(link.size for put in puts for link in put.links)
    return Monthly(len(puts), sum(len(put.data) for put in puts), linked)


def _place(link: PlacedLink) -> tuple[Partition, str, str]:
    return link.partition, link.key, link.link.pointer
