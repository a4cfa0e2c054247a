"""Reads: streams, pages and single records, each under a scope."""

from collections.abc import Collection
from dataclasses import dataclass

from records.central import Central
from records.cursor import Binding, seal, unseal
from records.engine import Engine, Engines
from records.errors import Ambiguous, Unknown
from records.keyring import Keyring
from records.manifest import StreamDeclaration
from records.model import Order, Partition, PartitionStats, Position, StoredRecord
from records.paging import MAX_BYTES, is_full
from records.registry import Registration, Registry
from records.scope import Scope, Selector


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """A stream of one connector: how many records, and the newest `emitted_at` (None when empty)."""

    registration: Registration
    name: str
    record_count: int
    last_updated: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; `next_cursor` is None on the last."""

    records: list[StoredRecord]
    next_cursor: str | None


class Reads:
    """Answers what a scope may see."""

    def __init__(self, registry: Registry, central: Central, engines: Engines, keyring: Keyring) -> None:
        self._registry = registry
        self._central = central
        self._engines = engines
        self._keyring = keyring

    async def streams(self, scope: Scope, selector: Selector) -> list[StreamSummary]:
        """Every declared stream of the selected connectors, in the order of keys and manifests."""
        registrations = await self._registry.select(scope, selector)
        instances = await self._instances(scope, registrations, selector)
        stats = await self._stats(scope, selector)
        summaries = []
        for registration in registrations.values():
            for name in registration.manifest.streams:
                mine = [
                    of
                    for part, of in stats.items()
                    if (part.connector, part.stream) == (registration.key, name) and part.instance in instances
                ]
                newest = max((of.updated_at for of in mine if of.updated_at), default=None)
                summaries.append(StreamSummary(registration, name, sum(of.records for of in mine), newest))
        return summaries

    async def stream(self, scope: Scope, name: str, selector: Selector) -> tuple[Registration, StreamDeclaration]:
        """The stream's declaration; where several connectors have it, the first by key. Raises `Unknown`."""
        for registration in (await self._registry.select(scope, selector)).values():
            if name in registration.manifest.streams:
                return registration, registration.manifest.streams[name]
        raise Unknown("no such stream")

    async def page(
        self, scope: Scope, stream: str, selector: Selector, *, order: Order, cursor: str | None, limit: int
    ) -> Page:
        """A page over every partition that the stream has in the selection. Raises `Unknown`, `InvalidCursor`.

        It may have fewer than `limit` records though there are more: its data stays near `paging.MAX_BYTES`.
        """
        owner = scope.owner.id
        binding = Binding("page", owner, stream, order, scope.binding, selector.filters)
        key = self._keyring.cursor_key(owner)
        after = None if cursor is None else unseal(key, binding, cursor, Position)
        partitions = await self._partitions(scope, stream, selector)
        engine = await self._engines.of(owner)
        records, more = await _bounded(engine, partitions, order, after, limit)
        return Page(records, seal(key, binding, _position(records[-1])) if more else None)

    async def record(self, scope: Scope, stream: str, key: str, selector: Selector) -> StoredRecord:
        """One record. Raises `Unknown`, and `Ambiguous` when several instances have a record of this key."""
        partitions = await self._partitions(scope, stream, selector)
        found = await (await self._engines.of(scope.owner.id)).get(partitions, key)
        if not found:
            raise Unknown("no such record")
        if len(found) > 1:
            raise Ambiguous(
                "several connections have a record with this key; name one with connection_id",
                [record.partition.instance for record in found],
            )
        return found[0]

    async def _partitions(self, scope: Scope, stream: str, selector: Selector) -> list[Partition]:
        registrations = await self._registry.select(scope, selector)
        declaring = {key: each for key, each in registrations.items() if stream in each.manifest.streams}
        if not declaring:
            raise Unknown("no such stream")
        instances = await self._instances(scope, declaring, selector)
        stats = await self._stats(scope, selector)
        return sorted(
            part
            for part, of in stats.items()
            if part.stream == stream and part.connector in declaring and part.instance in instances and of.records
        )

    async def _instances(self, scope: Scope, connectors: Collection[str], selector: Selector) -> set[str]:
        living = {
            each.id
            for each in await self._central.instances(scope.owner.id)
            if each.connector in connectors and selector.instance in (None, each.id)
        }
        if selector.instance is not None and not living:
            raise Unknown("no such instance of this connector")
        return living

    async def _stats(self, scope: Scope, selector: Selector) -> dict[Partition, PartitionStats]:
        engine = await self._engines.of(scope.owner.id)
        if selector.connector is None:
            return await engine.stats()
        return await engine.stats((await self._registry.connector(scope, selector.connector)).key)


async def _bounded(
    engine: Engine, partitions: Collection[Partition], order: Order, after: Position | None, limit: int
) -> tuple[list[StoredRecord], bool]:
    """A page of at most `limit` records, and whether there are more."""
    records = await engine.page(partitions, order, after, limit + 1, MAX_BYTES)
    full = is_full(sum(len(record.data) for record in records), MAX_BYTES)
    if full and len(records) == 1:
        # It fills a page by itself, so the engine did not look what comes after it.
        return records, bool(await engine.page(partitions, order, _position(records[0]), 1))
    if full or len(records) > limit:
        return records[:-1], True
    return records, False


def _position(record: StoredRecord) -> Position:
    return Position(record.sort, record.partition, record.key)
