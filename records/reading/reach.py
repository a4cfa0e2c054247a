"""Which partitions a read reaches: what the scope allows, cut to what the request names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from records.central import Central, Instance
from records.consent.scope import Scope, Selector
from records.engine import Engine, Engines
from records.errors import SourceDown, Unknown
from records.manifest import StreamDeclaration, connector_key
from records.model import Partition, PartitionStats
from records.registry import Registration, Registry


@dataclass(frozen=True, slots=True)
class Reach:
    """One stream as far as a read goes: the connectors that declare it, by key, and the partitions written to so far.

    A client's partitions are those of its grant, whatever the manifest declares by now.
    """

    stream: str
    registrations: Mapping[str, Registration]
    stats: Mapping[Partition, PartitionStats]

    @property
    def declarations(self) -> dict[str, StreamDeclaration]:
        """The stream as each connector declares it."""
        return {key: each.manifest.streams[self.stream] for key, each in self.registrations.items()}

    @property
    def filled(self) -> list[Partition]:
        """The partitions that have records."""
        return [place for place, of in self.stats.items() if of.records]


class Reaches:
    """Finds them."""

    def __init__(self, registry: Registry, central: Central, engines: Engines) -> None:
        self._registry = registry
        self._central = central
        self._engines = engines

    async def stream(self, scope: Scope, stream: str, selector: Selector) -> Reach:
        """Raises `Forbidden` for a stream that is not granted, `Unknown` for what is not there, or not to be known."""
        scope.stream(stream)
        selected = await self.connectors(scope, selector)
        declaring = {key: each for key, each in selected.items() if stream in each.manifest.streams}
        if not declaring and scope.grant is None:
            raise Unknown("no such stream")
        connectors = declaring if scope.grant is None else selected
        found = await self.partitions(scope, selector, connectors)
        return Reach(stream, declaring, {place: of for place, of in found.items() if place.stream == stream})

    async def connectors(self, scope: Scope, selector: Selector) -> Mapping[str, Registration]:
        """The living connectors that a read means, by key. Raises `Unknown` when it names one that is not there."""
        if scope.grant is None:
            return await self._registry.select(scope, selector)
        granted = scope.grant.connector
        if selector.connector is not None and connector_key(selector.connector) != granted:
            raise Unknown("no such connector")
        return {each.key: each for each in await self._registry.connectors(scope) if each.key == granted}

    async def instances(
        self, scope: Scope, selector: Selector, connectors: Mapping[str, Registration]
    ) -> list[Instance]:
        """The living instances of these connectors that the caller may know, or the one that is named.

        Raises `Unknown` when one is named that is not among them.
        """
        only = next(iter(connectors)) if len(connectors) == 1 else None
        found = [
            each
            for each in await self._central.instances(scope.owner.id, only)
            if each.connector in connectors and selector.instance in (None, each.id) and scope.knows(each.id)
        ]
        if selector.instance is not None and not found:
            raise Unknown("no such instance of this connector")
        return found

    async def partitions(
        self, scope: Scope, selector: Selector, connectors: Mapping[str, Registration]
    ) -> dict[Partition, PartitionStats]:
        """Every partition of these connectors' living instances that the scope allows, in order. Raises `Unknown`."""
        instances = await self.instances(scope, selector, connectors)
        living = {each.id for each in instances}
        stats = await stats_of(await self._engines.of(scope.owner.id), {each.connector for each in instances})
        return {
            place: of
            for place, of in sorted(stats.items())
            if place.instance in living and scope.allows(place.connector, place.stream, place.instance)
        }


async def stats_of(engine: Engine, connectors: Collection[str]) -> dict[Partition, PartitionStats]:
    """What these connectors hold. Raises `SourceDown` where one of them does not answer; others need not."""
    if len(connectors) > 1:
        try:
            every = await engine.stats()
            return {place: of for place, of in every.items() if place.connector in connectors}
        except SourceDown:
            pass  # of one who may not be asked for here
    found: dict[Partition, PartitionStats] = {}
    for connector in sorted(connectors):
        found |= await engine.stats(connector)
    return found
