"""An owner's records in files, wherever each connector lives at this moment: the port, without `Moved`.

A move leaves marks where a connector has left, or is not yet; the central store says where it lives. Whoever meets a
mark asks there, and goes on where the connector is. While it is being switched, and the central store still names the
place that has been marked, readers read there all the same: nobody has written elsewhere. They look at the end
whether it is still so. Writers wait, which takes no longer than the switch: a mark whose mover has died is taken back
by whoever finds it (`marks`).

As long as all connectors live in one file, that file is asked directly, and nothing else.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from blobstore.catalogue import Numbering
from blobstore.digest import Digest
from blobstore.errors import Moved
from records.engine import NOTHING_OWED, Engine
from records.engines.sharded import ShardedEngine
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
from records.moving.marks import drop_copies, is_divided, mend
from records.transfer import Item, Mark, Piece, State

T = TypeVar("T")
Call = Callable[[Engine], Awaitable[T]]


class MovableEngine:
    """Adapter of `records.engine.Engine` over one file and, once it is divided, its shards."""

    def __init__(self, whole: Engine | None, divided: Callable[[], Awaitable[ShardedEngine]]) -> None:
        self._whole = whole
        self._divide = divided

    # -- where to ask ----------------------------------------------------------------------------------------------

    async def _read(self, connectors: Iterable[str], call: Call[T]) -> T:
        """What is asked of these connectors, as they are somewhen after this begins."""
        if self._whole is not None:
            try:
                return await call(self._whole)
            except Moved:
                self._whole = None
        engine = await self._divide()
        while True:
            try:
                return await call(engine)
            except Moved:
                before = await engine.homes()
            answer = await call(engine.regardless())
            after = await engine.homes()
            if all(before.get(connector) == after.get(connector) for connector in connectors):
                return answer

    async def _write(self, connector: str, call: Call[T]) -> T:
        """What changes this connector, where it lives."""
        if self._whole is not None:
            try:
                return await call(self._whole)
            except Moved:
                self._whole = None
        engine = await self._divide()
        while True:
            try:
                return await call(engine)
            except Moved:
                await mend(engine, connector)

    async def _all(self, call: Call[T]) -> T:
        """What is asked of all connectors, and may be asked again."""
        if (whole := self._whole) is not None:
            answer = await call(whole)
            if not await is_divided(whole):
                return answer
            self._whole = None
        engine = await self._divide()
        while True:
            before = await engine.homes()
            answer = await call(engine)
            # What left one place for another in between may have been seen in neither.
            if await engine.homes() == before:
                return answer

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

    async def linked(self, connector: str, after: Digest | None, limit: int) -> list[tuple[Digest, int]]:
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
        """As the port says; a copy that is being made goes before this returns."""
        done = await self._write(target.connector, lambda engine: engine.erase(target, deleted_at, limit, erasure))
        if (whole := self._whole) is None or await is_divided(whole):
            await drop_copies(await self._divide(), target.connector)
        return done

    async def erased(self, erasure: str) -> dict[Partition, int]:
        return await self._all(lambda engine: engine.erased(erasure))

    async def forget(self, before: float, limit: int) -> int:
        return await self._all(lambda engine: engine.forget(before, limit))

    async def sanitize(self, timeout: float) -> bool:
        return await self._all(lambda engine: engine.sanitize(timeout))

    async def leap(self) -> None:
        if (whole := self._whole) is not None and await is_divided(whole):
            self._whole = None
        await (self._whole or await self._divide()).leap()

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
        return await (self._whole or await self._divide()).bind(name)

    async def drained(self, source: str, seq: int) -> None:
        await self._all(lambda engine: engine.drained(source, seq))

    async def note(self, event: bytes) -> None:
        await (self._whole or await self._divide()).note(event)

    async def check(self) -> list[str]:
        return await self._all(lambda engine: engine.check())

    async def close(self) -> None:
        """As the port says; the engines behind it belong to whoever opened them."""


def _of(partitions: Collection[Partition]) -> set[str]:
    return {partition.connector for partition in partitions}
