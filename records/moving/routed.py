"""The port of an owner's records whose place may change: each call says whom it is about, and is made where that is."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from blobstore.catalogue import Numbering
from blobstore.digest import Digest
from records.engine import NOTHING_OWED, Engine
from records.model import (
    Batch,
    Changes,
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
    StoredRecord,
    Target,
)
from records.sums import Sums
from records.transfer import Item, Mark, Piece, State

T = TypeVar("T")
Call = Callable[[Engine], Awaitable[T]]


class RoutedEngine(ABC):
    """Adapter of `records.engine.Engine` over engines that come and go: four ways to make a call.

    Each makes it again where `Moved` says that it was made at a place that has been left.
    """

    # -- where to ask ----------------------------------------------------------------------------------------------

    @abstractmethod
    async def _read(self, connectors: Iterable[str], call: Call[T]) -> T:
        """What is asked of these connectors, as they are somewhen after this begins."""

    @abstractmethod
    async def _write(self, connector: str, call: Call[T]) -> T:
        """What changes this connector, where it lives."""

    @abstractmethod
    async def _all(self, call: Call[T]) -> T:
        """What is asked of all connectors, and may be asked again."""

    @abstractmethod
    async def _one(self, call: Call[T]) -> T:
        """What is asked of the owner's engine as such, once."""

    # -- writing ---------------------------------------------------------------------------------------------------

    async def epoch(self, partition: Partition) -> int:
        return await self._read([partition.connector], lambda engine: engine.epoch(partition))

    async def release_epoch(self, connector: str) -> int:
        return await self._read([connector], lambda engine: engine.release_epoch(connector))

    async def apply(self, batch: Batch) -> list[Outcome]:
        return await self._write(batch.partition.connector, lambda engine: engine.apply(batch))

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get(
        self, partitions: Collection[Partition], keys: Collection[str], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        return await self._read(_of(partitions), lambda engine: engine.get(partitions, keys, max_bytes=max_bytes))

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
        return await self._read(
            _of(partitions),
            lambda engine: engine.page(partitions, order, after, limit, max_bytes=max_bytes, keep=keep),
        )

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
        return await self._read(
            [partition.connector],
            lambda engine: engine.changes(partition, since, after, horizon, limit, max_bytes=max_bytes, owed=owed),
        )

    async def visit(
        self, partitions: Collection[Partition], see: Callable[[Iterable[tuple[StoredRecord, Sequence[Link]]]], T]
    ) -> T:
        return await self._read(_of(partitions), lambda engine: engine.visit(partitions, see))

    async def sample(
        self, partition: Partition, versions: Collection[int], *, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        return await self._read(
            [partition.connector], lambda engine: engine.sample(partition, versions, max_bytes=max_bytes)
        )

    async def stats(self, connector: str | None = None) -> dict[Partition, PartitionStats]:
        if connector is None:
            return await self._all(lambda engine: engine.stats())
        return await self._read([connector], lambda engine: engine.stats(connector))

    async def sums(self, connector: str | None = None) -> dict[str, Sums]:
        if connector is None:
            return await self._all(lambda engine: engine.sums())
        return await self._read([connector], lambda engine: engine.sums(connector))

    # -- links -----------------------------------------------------------------------------------------------------

    async def links_of(
        self,
        digest: Digest,
        after: tuple[Partition, str, str] | None = None,
        limit: int = 100,
        *,
        connector: str | None = None,
    ) -> list[PlacedLink]:
        if connector is None:
            return await self._all(lambda engine: engine.links_of(digest, after, limit))
        return await self._read([connector], lambda engine: engine.links_of(digest, after, limit, connector=connector))

    async def linkers(self, digests: Collection[Digest]) -> dict[Digest, str]:
        return await self._all(lambda engine: engine.linkers(digests))

    async def links_in(self, partition: Partition, key: str) -> list[PlacedLink]:
        return await self._read([partition.connector], lambda engine: engine.links_in(partition, key))

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, dict[str, int]]]:
        return await self._read([connector], lambda engine: engine.linked(connector, after, limit))

    async def first_links(
        self, target: Target, after: tuple[Partition, str, str] | None, limit: int
    ) -> list[PlacedLink]:
        return await self._read([target.connector], lambda engine: engine.first_links(target, after, limit))

    async def linking(self, target: Target, digests: Collection[Digest]) -> list[Linking]:
        return await self._read([target.connector], lambda engine: engine.linking(target, digests))

    async def relink(
        self, partition: Partition, key: str, version: int, links: Sequence[Link], release_epoch: int
    ) -> bool:
        return await self._write(
            partition.connector, lambda engine: engine.relink(partition, key, version, links, release_epoch)
        )

    async def recount(self, connector: str, digests: Collection[Digest]) -> set[Digest]:
        return await self._write(connector, lambda engine: engine.recount(connector, digests))

    async def unlinked(self, limit: int, connector: str | None = None) -> list[tuple[str, Digest]]:
        if connector is None:
            return await self._all(lambda engine: engine.unlinked(limit))
        return await self._read([connector], lambda engine: engine.unlinked(limit, connector))

    async def notes(self, connector: str, digests: Collection[Digest]) -> list[int]:
        return await self._read([connector], lambda engine: engine.notes(connector, digests))

    async def forget_notes(self, notes: Collection[int]) -> None:
        await self._all(lambda engine: engine.forget_notes(notes))

    # -- erasure ---------------------------------------------------------------------------------------------------

    async def fence(self, connector: str, instance: str | None) -> None:
        await self._write(connector, lambda engine: engine.fence(connector, instance))

    async def erase(self, target: Target, deleted_at: str, limit: int, erasure: str | None = None) -> Erased:
        return await self._write(target.connector, lambda engine: engine.erase(target, deleted_at, limit, erasure))

    async def erased(self, erasure: str) -> dict[Partition, int]:
        return await self._all(lambda engine: engine.erased(erasure))

    async def forget(self, before: float, limit: int) -> int:
        return await self._all(lambda engine: engine.forget(before, limit))

    async def sanitize(self, timeout: float) -> bool:
        return await self._all(lambda engine: engine.sanitize(timeout))

    async def leap(self) -> None:
        await self._one(lambda engine: engine.leap())

    # -- moving ----------------------------------------------------------------------------------------------------

    async def connectors(self) -> list[str]:
        return await self._all(lambda engine: engine.connectors())

    async def marks(self, connector: str | None = None) -> list[Mark]:
        if connector is not None:
            return await self._read([connector], lambda engine: engine.marks(connector))
        return await self._all(lambda engine: engine.marks())

    async def mark(self, mark: Mark) -> None:
        await self._write(mark.connector, lambda engine: engine.mark(mark))

    async def unmark(self, connector: str) -> None:
        await self._write(connector, lambda engine: engine.unmark(connector))

    def regardless(self) -> Engine:
        """This one: it gets over marks by itself."""
        return self

    async def extract(
        self, connector: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        return await self._read([connector], lambda engine: engine.extract(connector, since, see))

    async def leave(
        self, connector: str, to: str, since: Mapping[Partition, int], see: Callable[[State, Iterable[Item]], T]
    ) -> T:
        return await self._write(connector, lambda engine: engine.leave(connector, to, since, see))

    async def load(self, source: str, piece: Piece) -> bool:
        return await self._write(piece.state.connector, lambda engine: engine.load(source, piece))

    async def discard(self, connector: str, disturbances: int, limit: int) -> bool:
        return await self._write(connector, lambda engine: engine.discard(connector, disturbances, limit))

    # -- events ----------------------------------------------------------------------------------------------------

    async def outbox(self, limit: int) -> list[OutboxEvent]:
        return await self._all(lambda engine: engine.outbox(limit))

    async def numbering(self) -> Mapping[str, Numbering]:
        return await self._all(lambda engine: engine.numbering())

    async def bind(self, name: str) -> str:
        return await self._one(lambda engine: engine.bind(name))

    async def drained(self, source: str, seq: int) -> None:
        await self._all(lambda engine: engine.drained(source, seq))

    async def note(self, event: bytes) -> None:
        await self._one(lambda engine: engine.note(event))

    async def check(self) -> list[str]:
        return await self._all(lambda engine: engine.check())

    async def resum(self, *, repair: bool) -> list[str]:
        return await self._all(lambda engine: engine.resum(repair=repair))

    async def close(self) -> None:  # noqa: B027 -- there is nothing that a kind of these engines would add
        """As the port says; the engines behind it belong to whoever opened them."""


def _of(partitions: Collection[Partition]) -> set[str]:
    return {partition.connector for partition in partitions}
