"""What is kept in memory, and connectors on their way to and from other engines."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from blobstore.digest import Digest
from blobstore.errors import Moved
from records.engines.memory import partition
from records.engines.memory.partition import Live, Records
from records.model import Partition, PartitionStats, Put
from records.transfer import NEW, Grave, Held, Item, Mark, Past, Piece, Stage, State

T = TypeVar("T")


class Moving:
    """The part of the port that moves connectors."""

    heeds_marks = True

    def __init__(self) -> None:
        self._partitions: dict[Partition, Records] = {}
        self._epochs: Counter[tuple[str, str | None, str | None]] = Counter()
        self._erased: dict[str, Counter[Partition]] = {}
        self._finished: set[tuple[str, str, str | None]] = set()
        self._release_epochs: Counter[str] = Counter()
        self._unlinked: dict[tuple[str, Digest], int] = {}
        self._notes = 0
        self._base = 0
        self._disturbances: Counter[str] = Counter()
        self._marks: dict[str, Mark] = {}
        self._known: Counter[str] = Counter()
        """Of a connector with a mark, the disturbances from before which no piece is taken."""

    async def connectors(self) -> list[str]:
        return sorted(self._names())

    async def marks(self, connector: str | None = None) -> list[Mark]:
        return sorted(mark for mark in self._marks.values() if connector in (None, mark.connector))

    async def mark(self, mark: Mark) -> None:
        self._marks[mark.connector] = mark

    async def unmark(self, connector: str) -> None:
        self._marks.pop(connector, None)
        self._known.pop(connector, None)

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        return see(self._state(connector), self._items(connector, since))

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        seen = await self.extract(connector, since, see)
        await self.mark(Mark(connector, Stage.LEFT, to))
        self._known[connector] = max(self._known[connector], self._disturbances[connector])
        return seen

    async def load(self, source: str, piece: Piece) -> bool:
        state, connector = piece.state, piece.state.connector
        await self._require_away(connector)
        copied = {place: records.stats for place, records in self._of(connector)}
        known = self._known[connector] if connector in self._marks else state.disturbances
        if state.disturbances < known or (copied and state.disturbances > known) or not piece.goes_on_from(copied):
            return False
        await self.mark(Mark(connector, Stage.COMING, source))
        self._known[connector] = state.disturbances
        for place, version in piece.reached.items():
            records = self._partitions.setdefault(place, Records())
            start, of = records.stats.version, state.partitions[place]
            if place in copied and copied[place].floor < of.floor:
                records.forget_until(of.floor)
            for item in piece.items:
                if item.partition == place and item.version > start:
                    _add(records, item)
            newest = of.updated_at if records.live else None
            records.stats = replace(records.stats, version=max(version, start), floor=of.floor, updated_at=newest)
        if piece.whole:
            self._set_rest(state)
        return True

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        await self._require_away(connector)
        self._marks.setdefault(connector, Mark(connector, Stage.COMING, ""))
        self._known[connector] = max(self._known[connector], disturbances)
        for place, _ in self._of(connector):
            del self._partitions[place]
            for counts in self._erased.values():
                counts.pop(place, None)
        self._epochs = Counter({place: epoch for place, epoch in self._epochs.items() if place[0] != connector})
        self._finished = {each for each in self._finished if each[1] != connector}
        self._unlinked = {noted: number for noted, number in self._unlinked.items() if noted[0] != connector}
        self._release_epochs.pop(connector, None)
        self._disturbances.pop(connector, None)
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _is_away(self, connector: str) -> bool:
        return connector in self._marks and self._marks[connector].away

    def _require_here(self, *connectors: str) -> None:
        for connector in connectors if self.heeds_marks and self._marks else ():
            if self._is_away(connector) or (self._is_away(NEW) and connector not in self._names()):
                raise Moved("these records are kept elsewhere")

    def _names(self) -> set[str]:
        names = {place.connector for place in self._partitions} | {place[0] for place in self._epochs}
        return names | set(self._release_epochs) | {connector for _, connector, _ in self._finished}

    async def _require_away(self, connector: str) -> None:
        served = connector not in self._marks and connector in self._names()
        if served or (connector in self._marks and not self._is_away(connector)):
            raise ValueError(f"{connector} is served here")

    def _of(self, connector: str) -> list[tuple[Partition, Records]]:
        return sorted(
            (each for each in self._partitions.items() if each[0].connector == connector), key=lambda of: of[0]
        )

    def _state(self, connector: str) -> State:
        erased = {
            erasure: {place: count for place, count in counts.items() if place.connector == connector}
            for erasure, counts in self._erased.items()
        }
        return State(
            connector,
            {place: records.stats for place, records in self._of(connector)},
            {place[1:]: epoch for place, epoch in self._epochs.items() if place[0] == connector and epoch},
            self._release_epochs[connector],
            sorted(digest for name, digest in self._unlinked if name == connector),
            {erasure: counts for erasure, counts in erased.items() if counts},
            frozenset((erasure, instance) for erasure, name, instance in self._finished if name == connector),
            self._base,
            self._disturbances[connector],
        )

    def _items(self, connector: str, since: Mapping[Partition, int]) -> Iterator[Item]:
        for place, records in self._of(connector):
            past = [
                Past(place, each.key, each.version, each.until, each.at, each.erased, each.remembered)
                for each in records.past
            ]
            held = [
                Held(record, tuple(sorted(records.live[record.key].put.links, key=lambda link: link.pointer)))
                for record in records.stored(place)
            ]
            graves = [Grave(place, tombstone, at) for tombstone, at in records.graves.values()]
            items: list[Item] = [*past, *held, *graves]  # of two of one version the first comes first
            start = since.get(place, 0)
            yield from sorted((each for each in items if each.version > start), key=lambda item: item.version)

    def _set_rest(self, state: State) -> None:
        name = state.connector
        self._base = max(self._base, state.base)
        self._release_epochs[name] = state.release_epoch
        self._disturbances[name] = state.disturbances
        others = {place: epoch for place, epoch in self._epochs.items() if place[0] != name}
        self._epochs = Counter(others | {(name, *place): epoch for place, epoch in state.epochs.items()})
        self._finished = {each for each in self._finished if each[1] != name}
        self._finished |= {(erasure, name, instance) for erasure, instance in state.finished}
        for counts in self._erased.values():
            for place in [each for each in counts if each.connector == name]:
                del counts[place]
        for erasure, counted in state.erased.items():
            self._erased.setdefault(erasure, Counter()).update(counted)
        wanted = {(name, digest) for digest in state.unlinked}
        self._unlinked = {each: note for each, note in self._unlinked.items() if each[0] != name or each in wanted}
        for each in sorted(wanted - set(self._unlinked)):
            self._notes += 1
            self._unlinked[each] = self._notes


def _add(records: Records, item: Item) -> None:
    """What the copy has of this key is superseded."""
    match item:
        case Past():
            _supersede(records, item.key)
            kept = partition.Past(item.key, item.began, item.version, item.at, item.remembered, item.erased)
            records.past.append(kept)
        case Grave():
            _supersede(records, item.tombstone.key)
            records.graves[item.tombstone.key] = item.tombstone, item.at
        case Held():
            of = item.record
            _supersede(records, of.key)
            put = Put(of.key, of.sort, of.data, of.emitted_at, item.links)
            records.live[of.key] = Live(put, of.version, of.revisions)
            records.stats = _added(records.stats, put)


def _supersede(records: Records, key: str) -> None:
    records.graves.pop(key, None)
    if key in records.live:
        records.remove(key)


def _added(stats: PartitionStats, put: Put) -> PartitionStats:
    return replace(
        stats, records=stats.records + 1, bytes=stats.bytes + len(put.data), links=stats.links + len(put.links)
    )
