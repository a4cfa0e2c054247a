"""What an erasure of each scope covers, from the names that it was asked for by."""

from records.central import Central, Owner
from records.consent.scope import Scope, Selector
from records.engine import Engines
from records.erasure.report import Covered, Kind
from records.errors import Conflict, Unknown
from records.registry import Registration, Registry


class Coverage:
    """Finds what is named; nothing is erased by it."""

    def __init__(self, central: Central, engines: Engines, registry: Registry) -> None:
        self._central = central
        self._engines = engines
        self._registry = registry

    async def of_owner(self, owner: Owner) -> Covered:
        """All that is the owner's. Raises `Conflict` when it is erased already."""
        if owner.erased_at is not None:
            raise Conflict("the owner was erased")
        return Covered("owner")

    async def of_connector(self, owner: Owner, name: str) -> Covered:
        """All that a connector brought. Raises `Unknown`."""
        key = (await self._registry.connector(Scope.of_owner(owner), name)).key
        return Covered("connector", key, await self._instances(owner, key))

    async def of_instance(self, owner: Owner, instance: str) -> Covered:
        """One account of a connector. Raises `Unknown`."""
        found = await self._central.instance(owner.id, instance)
        if found is None or found.erased_at is not None:
            raise Unknown("no such connection")
        return Covered("instance", found.connector, [found.id])

    async def of_records(self, owner: Owner, selector: Selector, stream: str, key: str | None = None) -> Covered:
        """A stream's records, or the one record with this key; none there is no error. Raises `Invalid`, `Unknown`.

        Also of a stream that is not declared any more, as long as it was ever written to.
        """
        registration, field = await self._stream(owner, stream, selector)
        if selector.instance is None:
            instances = await self._instances(owner, registration.key)
        else:
            named = await self._registry.existing(owner, registration.key, selector.instance)
            instances = [] if named is None else [named.id]
        kind: Kind = "stream" if key is None else "record"
        return Covered(kind, registration.key, instances, stream, key, field, everywhere=selector.instance is None)

    async def _stream(self, owner: Owner, stream: str, selector: Selector) -> tuple[Registration, str | None]:
        """The connector, and the stream's consent-time field."""
        try:
            registration, declaration = await self._registry.declared(owner, stream, selector)
        except Unknown:
            registration = await self._registry.connector(Scope.of_owner(owner), selector.connector or "")
            places = await (await self._engines.of(owner.id)).stats(registration.key)
            if all(place.stream != stream for place in places):
                raise
            return registration, None
        return registration, declaration.consent_time_field

    async def _instances(self, owner: Owner, connector: str) -> list[str]:
        return [each.id for each in await self._central.instances(owner.id, connector)]
