"""Connectors and their instances: what is registered, and which one a request means."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from records import times
from records.audit import spine
from records.central import Central, Connector, Instance, Owner
from records.consent.scope import Scope, Selector
from records.errors import Ambiguous, Conflict, Invalid, Unknown
from records.manifest import Manifest, StreamDeclaration, connector_key, require_id
from records.manifests import Manifests

_MANIFESTS = Manifests()


@dataclass(frozen=True, slots=True)
class Registration:
    """A connector that takes writes: its key (what names it inside) and its manifest."""

    key: str
    raw: bytes
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a write goes: one stream of one instance of one connector."""

    registration: Registration
    instance: Instance
    declaration: StreamDeclaration


class Registry:
    """Registers connectors and resolves what requests name."""

    def __init__(self, central: Central) -> None:
        self._central = central

    async def register(self, owner: Owner, raw: bytes) -> tuple[Registration, bool]:
        """Take a manifest, as it came; True when the connector is new, or was erased before. Raises `Invalid`."""
        decoded = await asyncio.to_thread(_MANIFESTS.decoded, raw)  # 1 MiB of schemas takes half a second
        facts = {"connector": decoded.key, "version": decoded.version, "streams": len(decoded.streams)}
        event = spine.body("connector.register", facts)
        created = await self._central.register(owner.id, decoded.key, raw, times.now(), event)
        return Registration(decoded.key, raw, decoded), created

    async def connector(self, scope: Scope, name: str) -> Registration:
        """A living connector by any of its names. Raises `Unknown`."""
        found = await self._central.connector(scope.owner.id, connector_key(name))
        if found is None or found.erased_at is not None:
            raise Unknown("no such connector; register its manifest first (POST /v1/connectors)")
        return _registration(found)

    async def connectors(self, scope: Scope) -> list[Registration]:
        """The living connectors in the order of their keys."""
        return [_registration(each) for each in await self._central.connectors(scope.owner.id) if not each.erased_at]

    async def instances(self, scope: Scope) -> list[Instance]:
        """The living instances in the order (connector, id)."""
        return await self._central.instances(scope.owner.id)

    async def select(self, scope: Scope, selector: Selector) -> Mapping[str, Registration]:
        """The living connectors that a read means, by key. Raises `Unknown` when it names one that is not there."""
        if selector.connector is None:
            return {each.key: each for each in await self.connectors(scope)}
        found = await self.connector(scope, selector.connector)
        return {found.key: found}

    async def destination(self, owner: Owner, stream: str, selector: Selector) -> Destination:
        """Where a write goes; the default instance, or a named one, is made by its first write.

        Raises `Invalid` without a connector, `Unknown` for a connector, stream or instance that takes no writes,
        `Ambiguous` where several instances could be meant.
        """
        registration, declaration = await self.declared(owner, stream, selector)
        return Destination(registration, await self._writable(owner, registration.key, selector.instance), declaration)

    async def declared(self, owner: Owner, stream: str, selector: Selector) -> tuple[Registration, StreamDeclaration]:
        """The named connector and the declaration of one of its streams. Raises `Invalid`, `Unknown`."""
        if selector.connector is None:
            raise Invalid("connector_id is missing: name the connector that this belongs to", param="connector_id")
        registration = await self.connector(Scope.of_owner(owner), selector.connector)
        declaration = registration.manifest.streams.get(stream)
        if declaration is None:
            raise Unknown("the connector's manifest declares no such stream")
        return registration, declaration

    async def existing(self, owner: Owner, connector: str, instance: str | None) -> Instance | None:
        """The living instance that a request means, None when nothing was ever written. Raises as `destination`."""
        if instance is not None:
            found = await self._central.instance(owner.id, require_id(instance, "connector_instance_id"))
            if found is None or found.connector != connector or found.erased_at is not None:
                raise Unknown("no such instance of this connector")
            return found
        living = await self._central.instances(owner.id, connector)
        if len(living) > 1:
            raise Ambiguous(
                "the connector has several instances; name one with connector_instance_id",
                [each.id for each in living],
            )
        return living[0] if living else None

    async def require_living(self, owner: Owner, instance: Instance) -> None:
        """Raise `Conflict` when the instance was erased since it was found."""
        found = await self._central.instance(owner.id, instance.id)
        if found is None or found.erased_at is not None:
            raise Conflict("the connection was erased while the request ran")

    async def default(self, owner: Owner, connector: str) -> Instance:
        """The connector's default instance, made if need be. Raises as `Central.ensure_default_instance`."""
        fresh = "cin_" + secrets.token_hex(12)
        return await self._central.ensure_default_instance(owner.id, connector, fresh, times.now())

    async def _writable(self, owner: Owner, connector: str, instance: str | None) -> Instance:
        if instance is None:
            return await self.existing(owner, connector, None) or await self.default(owner, connector)
        new = Instance(require_id(instance, "connector_instance_id"), connector, False, times.now(), None)
        added = await self._central.add_instance(owner.id, new)
        if added.connector != connector or added.erased_at is not None:
            raise Unknown("this instance was erased, or belongs to another connector; it takes no writes")
        return added


def _registration(found: Connector) -> Registration:
    return Registration(found.id, found.manifest, _MANIFESTS.decoded(found.manifest))
