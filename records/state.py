"""Sync state: what a connector remembers between runs, opaque and kept to the letter."""

from collections.abc import Mapping
from dataclasses import dataclass

from records import spine, times
from records.central import Central, Owner
from records.errors import Invalid
from records.registry import Registration, Registry
from records.scope import Scope, Selector


@dataclass(frozen=True, slots=True)
class SyncState:
    """JSON text by stream, and when it last changed (None: never)."""

    registration: Registration
    state: Mapping[str, bytes]
    updated_at: str | None


class States:
    """Reads and merges the sync state of an instance."""

    def __init__(self, central: Central, registry: Registry) -> None:
        self._central = central
        self._registry = registry

    async def get(self, owner: Owner, selector: Selector) -> SyncState:
        """The state; empty before the first merge. Raises `Unknown`, `Ambiguous`."""
        registration = await self._connector(owner, selector)
        instance = await self._registry.existing(owner, registration.key, selector.instance)
        if instance is None:
            return SyncState(registration, {}, None)
        state, updated_at = await self._central.state(owner.id, registration.key, instance.id)
        return SyncState(registration, state, updated_at)

    async def merge(self, owner: Owner, selector: Selector, state: Mapping[str, bytes]) -> SyncState:
        """Set the named streams, leave the others. Raises `Invalid` for an undeclared stream; nothing is set then."""
        registration = await self._connector(owner, selector)
        undeclared = sorted(set(state) - set(registration.manifest.streams))
        if undeclared:
            raise Invalid(
                "the connector's manifest does not declare all of these streams; nothing was stored", param="state"
            )
        if state:
            stream = next(iter(state))
            destination = await self._registry.destination(owner, stream, selector)
            instance = destination.instance.id
            facts = {"connector": registration.key, "instance": instance, "streams": sorted(state)}
            event = spine.body("state.put", facts)
            await self._central.merge_state(owner.id, registration.key, instance, state, times.now(), event)
        return await self.get(owner, selector)

    async def _connector(self, owner: Owner, selector: Selector) -> Registration:
        if selector.connector is None:
            raise Invalid("connector_id is missing", param="connector_id")
        return await self._registry.connector(Scope.of_owner(owner), selector.connector)
