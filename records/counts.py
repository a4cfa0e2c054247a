"""How many records a scope sees in a partition, and when the newest of them changed for it."""

from collections import OrderedDict
from dataclasses import dataclass

from records.engine import Engine
from records.lens import Lens
from records.model import Partition, PartitionStats
from records.scan import every
from records.scope import Scope

KEPT = 1024
"""Counts that are remembered: each is good until its partition changes."""


@dataclass(frozen=True, slots=True)
class Count:
    """Records, and the newest `emitted_at` among them (None: there are none)."""

    records: int = 0
    newest: str | None = None

    def with_(self, other: "Count") -> "Count":
        """Both together."""
        newest = max((each.newest for each in (self, other) if each.newest), default=None)
        return Count(self.records + other.records, newest)


class Counts:
    """Counts; for a client by looking at every record, once for each version of a partition."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, Partition, int], Count] = OrderedDict()

    async def of(self, engine: Engine, scope: Scope, partition: Partition, stats: PartitionStats) -> Count:
        """What the scope sees of a partition."""
        bounds = scope.stream(partition.stream)
        if bounds is None or not stats.records:
            return Count(stats.records, stats.updated_at)
        known = (scope.owner.id, scope.binding, partition, stats.version)
        if known not in self._known:
            lens, count = Lens(bounds), Count()
            async for record in every(engine, partition, lens):
                count = count.with_(Count(1, lens.emitted_at(record)))
            self._known[known] = count
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[known]
