"""How many records a scope sees in a partition, and when the newest of them changed for it."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from records.consent.scope import Scope, StreamGrant
from records.engine import Engine
from records.model import Partition, PartitionStats
from records.reading.lens import Lens
from records.reading.scan import every

KEPT = 1024
"""Counts that are remembered: each is good until its partition changes."""

_Name = tuple[str, StreamGrant, Partition, int]
"""Owner, bounds (a grant of one id may be another by now), partition and its version."""


@dataclass(frozen=True, slots=True)
class Count:
    """Records, and the newest `emitted_at` among them (None: there are none)."""

    records: int = 0
    newest: str | None = None

    def with_(self, other: "Count") -> "Count":
        """Both together."""
        newest = max((each.newest for each in (self, other) if each.newest), default=None)
        return Count(self.records + other.records, newest)


NOTHING = Count()


class Counts:
    """Counts; for a client by looking at every record, once for each version of a partition.

    Requests that ask for the same count together share one look.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Name, Count] = OrderedDict()
        self._counting: dict[_Name, asyncio.Task[Count]] = {}

    async def of(self, engine: Engine, scope: Scope, partition: Partition, stats: PartitionStats) -> Count:
        """What the scope sees of a partition."""
        bounds = scope.stream(partition.stream)
        if bounds is None or not stats.records:
            return Count(stats.records, stats.updated_at)
        name = (scope.owner.id, bounds, partition, stats.version)
        if name in self._known:
            return self._known[name]
        counting = self._counting.get(name)
        if counting is None:
            counting = self._counting[name] = asyncio.create_task(_count(engine, partition, Lens(bounds)))
            counting.add_done_callback(lambda done: self._counted(name, done))
        # Whoever hangs up must not end the count that others wait for.
        return await asyncio.shield(counting)

    def _counted(self, name: _Name, counting: asyncio.Task[Count]) -> None:
        del self._counting[name]
        if counting.cancelled() or counting.exception() is not None:
            return  # it was told to those who waited; there may be none left
        self._known[name] = counting.result()
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


async def _count(engine: Engine, partition: Partition, lens: Lens) -> Count:
    records, newest = 0, None
    async for record in every(engine, partition, lens):
        moment = lens.emitted_at(record)
        records, newest = records + 1, moment if newest is None else max(newest, moment)
    return Count(records, newest)
