"""Reading over shards: what is asked of one connector is asked of its shard, what of several is put together."""

import asyncio
import heapq
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from blobstore.errors import Moved
from records.engine import NOTHING_OWED, Engine
from records.engines.rank import Rank
from records.engines.sharded.merging import AHEAD, AHEAD_BYTES, Run
from records.engines.sharded.routing import Routing
from records.engines.sharded.telling import AllSums, Stats, heard
from records.errors import SourceDown
from records.model import (
    Changes,
    Keep,
    Link,
    Order,
    Page,
    Partition,
    Position,
    StoredRecord,
)
from records.reading.paging import Taking, is_full
from records.shards import Home

T = TypeVar("T")
Linked = tuple[StoredRecord, Sequence[Link]]


@dataclass(frozen=True, slots=True)
class _Part:
    """What a list has in one connector."""

    connector: str
    partitions: Sequence[Partition]


@dataclass(slots=True)
class _List:
    """One list while a page of it is put together; `last` is the place up to which all is in the page."""

    order: Order
    last: Position | None
    homes: Mapping[str, Home]
    parts: Sequence[_Part]
    runs: list[Run] = field(default_factory=list)
    heads: list[tuple[Rank, int, int]] = field(default_factory=list)
    """The next record of each part: its rank, the number of the part, its index in the part's run."""


class Reads(Routing):
    """The part of the port that reads records and counts."""

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        found: list[StoredRecord] = []
        size = 0
        for part in _parted(partitions):
            left = None if max_bytes is None else max_bytes - size

            async def get(engine: Engine, part: _Part = part, left: int | None = left) -> list[StoredRecord]:
                return await engine.get(part.partitions, keys, max_bytes=left)

            some = await self._ask(part.connector, get)
            found += some
            size += sum(len(record.data) for record in some)
            if is_full(size, max_bytes):
                break
        return found

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
        return await self._ask(
            partition.connector,
            lambda engine: engine.changes(partition, since, after, horizon, limit, max_bytes=max_bytes, owed=owed),
        )

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        return await self._ask(
            partition.connector, lambda engine: engine.sample(partition, versions, max_bytes=max_bytes)
        )

    async def stats(self, connector: str | None = None) -> Stats:
        if connector is not None:
            return await self._ask(connector, lambda engine: engine.stats(connector))
        stats, silent = await self._stats()
        for each in sorted(silent):
            silent[each].others = stats
            raise silent[each]
        return stats

    async def _stats(self) -> tuple[Stats, Mapping[str, SourceDown]]:
        """Of all who answer, and who do not; those at rest have told the central store, and are not asked."""
        homes = await self._homes.now()
        known: dict[str, Stats] = {}
        for each, home in homes.items():
            stats = self._around.remembered.get((self._owner, each), home)
            if stats is None and home.left is not None and home.left.holds is not None:
                stats = _of(each, heard(home.left.holds)[0])
                self._around.remembered.put((self._owner, each), home, stats)
            if isinstance(stats, dict):
                known[each] = stats
        found, silent = await self._ask_some(homes.keys() - known.keys(), lambda each, engine: engine.stats(each))
        for each, stats in found.items():
            self._around.remembered.put((self._owner, each), homes[each], stats)
        known |= found
        elsewhere = {place: of for place, of in (await self._main.stats()).items() if place.connector not in homes}
        return _in_order(known, elsewhere), silent

    async def sums(self, connector: str | None = None) -> AllSums:
        if connector is not None:
            return await self._ask(connector, lambda engine: engine.sums(connector))
        homes = await self._homes.now()
        known: dict[str, AllSums] = {}
        for each, home in homes.items():
            if home.left is not None and home.left.holds is not None:
                known[each] = {name: of for name, of in heard(home.left.holds)[1].items() if name == each}
        found, silent = await self._ask_some(homes.keys() - known.keys(), lambda each, engine: engine.sums(each))
        for each in sorted(silent):
            raise silent[each]
        known |= found
        elsewhere = {name: of for name, of in (await self._main.sums()).items() if name not in homes}
        every = elsewhere | {name: of for sums in known.values() for name, of in sums.items()}
        return dict(sorted(every.items()))

    # -- visits ----------------------------------------------------------------------------------------------------

    async def visit(self, partitions: Collection[Partition], see: Callable[[Iterable[Linked]], T]) -> T:
        """As the port says; what is seen of each connector is of one moment."""
        parts = _parted(partitions)
        if len(parts) == 1:
            return await self._ask(parts[0].connector, lambda engine: engine.visit(partitions, see))
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(lambda: see(self._visited(parts, loop)))

    def _visited(self, parts: Sequence[_Part], loop: asyncio.AbstractEventLoop) -> Iterator[Linked]:
        """One shard after the other; the loop opens them for the thread that this runs in."""
        for part in parts:
            yield from _Visit(self, part, loop)

    # -- pages -----------------------------------------------------------------------------------------------------

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
        parts = _parted(partitions)
        if len(parts) == 1:
            return await self._ask(
                parts[0].connector,
                lambda engine: engine.page(partitions, order, after, limit, max_bytes=max_bytes, keep=keep),
            )
        merged = _List(order, after, await self._homes.now(), parts)
        merged.runs = await asyncio.gather(*(self._run(merged, part) for part in parts))
        for number, run in enumerate(merged.runs):
            if (at := run.beyond(after)) < len(run.ranks):
                merged.heads.append((run.ranks[at], number, at))
        heapq.heapify(merged.heads)
        taking = Taking(_same, _seen, keep, limit, max_bytes)
        while merged.heads:
            ready = _ready(merged, limit)
            page = await asyncio.to_thread(taking.add, ready) if keep is not None else taking.add(ready)
            if page is not None:
                return page
            await self._go_on(merged)
        return taking.end()

    async def _run(self, merged: _List, part: _Part, *, whole: bool = False) -> Run:
        """The part's next records; what is remembered of them, if it is enough."""
        home = merged.homes.get(part.connector)
        name = (self._owner, part.connector, tuple(part.partitions), merged.order)
        known = None if home is None else self._around.remembered.get(name, home)
        if not whole and isinstance(known, Run) and known.covers(merged.last):
            return known

        async def ahead(engine: Engine) -> Page:
            return await engine.page(part.partitions, merged.order, merged.last, AHEAD, max_bytes=AHEAD_BYTES)

        async with self._asking:
            run = Run.of(merged.order, merged.last, await self._ask(part.connector, ahead), whole=whole)
        if home is not None and not whole:
            self._around.remembered.put(name, home, run)
        return run

    async def _go_on(self, merged: _List) -> None:
        """The head of the list cannot be taken before more is read of its part: its next run, or its data."""
        if not merged.heads:
            return
        _, number, at = merged.heads[0]
        known = merged.runs[number]
        if at < len(known.records) and known.records[at] is not None:
            return
        run = await self._run(merged, merged.parts[number], whole=at < len(known.records))
        merged.runs[number] = run
        if (at := run.beyond(merged.last)) < len(run.ranks):
            heapq.heapreplace(merged.heads, (run.ranks[at], number, at))
        else:
            heapq.heappop(merged.heads)


def _ready(merged: _List, limit: int) -> list[StoredRecord]:
    """The next records of the list, at most one more than a page takes, as far as they were read."""
    ready: list[StoredRecord] = []
    while merged.heads and len(ready) <= limit:
        _, number, at = merged.heads[0]
        run = merged.runs[number]
        if at == len(run.records) or (record := run.records[at]) is None:
            break
        ready.append(record)
        merged.last = run.places[at]
        if at + 1 < len(run.records):
            heapq.heapreplace(merged.heads, (run.ranks[at + 1], number, at + 1))
        elif run.ended:
            heapq.heappop(merged.heads)
        else:
            # What comes next of this part is not known: it stays in front until it is.
            heapq.heapreplace(merged.heads, (run.ranks[at], number, at + 1))
    return ready


class _Visit:
    """One shard's records with their links, for a thread that is not the loop's: it may be opened again."""

    def __init__(self, engine: Reads, part: _Part, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._part = part
        self._loop = loop

    def __iter__(self) -> Iterator[Linked]:
        while True:
            shard, holding = self._wait(self._engine.hold(self._part.connector))
            begun = False
            try:
                with shard.visiting(self._part.partitions) as records:
                    begun = True
                    yield from records
                return
            except Moved:
                if begun:
                    raise
            finally:
                self._wait(holding.aclose())
            self._wait(self._engine.look_again(self._part.connector))

    def _wait(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _parted(partitions: Collection[Partition]) -> list[_Part]:
    """The partitions of each connector, all in order."""
    parts: dict[str, list[Partition]] = {}
    for each in sorted(set(partitions)):
        parts.setdefault(each.connector, []).append(each)
    return [_Part(connector, mine) for connector, mine in parts.items()]


def _of(connector: str, stats: Stats) -> Stats:
    return {place: of for place, of in stats.items() if place.connector == connector}


def _in_order(known: Mapping[str, Stats], elsewhere: Stats) -> Stats:
    found = {place: of for connector in sorted(known) for place, of in known[connector].items()}
    return dict(sorted((found | elsewhere).items())) if elsewhere else found


def _same(record: StoredRecord) -> StoredRecord:
    return record


def _seen(record: StoredRecord) -> tuple[Partition, str, bytes]:
    return record.partition, record.key, record.data
