"""Sync state: what a connector remembers between runs, opaque and kept to the letter.

Each continuous grant has a namespace of its own beside the global one: what was collected for one client says nothing
of what another has.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from records import times
from records.audit import spine
from records.central import Central, Instance, Owner, StoredGrant
from records.consent import grants
from records.consent.scope import Grant, Scope, Selector
from records.erasure.underway import Settled
from records.errors import Conflict, Invalid, Unknown
from records.model import Partition
from records.pauses import Unpaused
from records.registry import Registration, Registry


@dataclass(frozen=True, slots=True)
class SyncState:
    """JSON text by stream, and when it last changed (None: never); `grant` names the namespace."""

    registration: Registration
    grant: str | None
    state: Mapping[str, bytes]
    updated_at: str | None


class States:
    """Reads and merges the sync state of an instance."""

    def __init__(self, central: Central, registry: Registry, settled: Settled, unpaused: Unpaused) -> None:
        self._central = central
        self._registry = registry
        self._settled = settled
        self._unpaused = unpaused

    async def get(self, owner: Owner, selector: Selector, grant: str | None = None) -> SyncState:
        """The state; empty before the first merge. Raises `Unknown`, `Ambiguous`, `Invalid`."""
        registration = await self._connector(owner, selector)
        if grant is None:
            instance = await self._registry.existing(owner, registration.key, selector.instance)
        else:
            _, bounds = await self._granted(owner, registration, grant)
            instance = await self._granted_instance(owner, registration, selector, bounds)
        if instance is None:
            return SyncState(registration, grant, {}, None)
        state, updated_at = await self._central.state(owner.id, registration.key, instance.id, grant)
        return SyncState(registration, grant, state, updated_at)

    async def merge(
        self, owner: Owner, selector: Selector, state: Mapping[str, bytes], grant: str | None = None
    ) -> SyncState:
        """Set the named streams, leave the others.

        Raises `Invalid` for a stream that is not declared, or outside the grant, `Conflict` for a grant that has ended;
        nothing is set then.
        """
        registration = await self._connector(owner, selector)
        if not set(state) <= set(registration.manifest.streams):
            raise Invalid(
                "the connector's manifest does not declare all of these streams; nothing was stored", param="state"
            )
        if grant is not None:
            instance = await self._open(owner, registration, selector, grant, state)
        elif state:
            instance = (await self._registry.destination(owner, next(iter(state)), selector)).instance
        if state:
            for stream in state:
                await self._settled(owner, Partition(registration.key, instance.id, stream))
            # One that has come by here before a pause is seen by whoever erases, or sees the erasure (`Central`).
            await self._unpaused(owner, registration.key)
            facts = {"connector": registration.key, "instance": instance.id, "streams": sorted(state)}
            event = spine.body("state.put", facts if grant is None else facts | {"grant": grant})
            await self._central.merge_state(
                owner.id, registration.key, instance.id, state, times.now(), event, grant=grant
            )
        return await self.get(owner, selector, grant)

    async def _connector(self, owner: Owner, selector: Selector) -> Registration:
        if selector.connector is None:
            raise Invalid("connector_id is missing", param="connector_id")
        return await self._registry.connector(Scope.of_owner(owner), selector.connector)

    async def _granted(self, owner: Owner, registration: Registration, grant: str) -> tuple[StoredGrant, Grant]:
        """The grant that a namespace belongs to. Raises `Unknown`, `Invalid` for one that has none."""
        found = await self._central.grant(grant)
        if found is None or (found.owner.id, found.connector) != (owner.id, registration.key):
            raise Unknown("no such grant for this connector")
        bounds = grants.decode(found.document)
        if bounds.access_mode == "single_use":
            raise Invalid("a single_use grant is collected for once: there is no state to keep", param="grant_id")
        return found, bounds

    async def _open(
        self, owner: Owner, registration: Registration, selector: Selector, grant: str, streams: Collection[str]
    ) -> Instance:
        """The instance whose state may be written under the grant."""
        found, bounds = await self._granted(owner, registration, grant)
        instance = await self._granted_instance(owner, registration, selector, bounds)
        for stream in streams:
            granted = bounds.streams.get(stream)
            if granted is None or instance.id not in granted.instances:
                raise Invalid("the grant does not name all of these streams; nothing was stored", param="state")
        if grants.status(found, times.now()) != "active":
            raise Conflict("the grant has ended")
        return instance

    async def _granted_instance(
        self, owner: Owner, registration: Registration, selector: Selector, bounds: Grant
    ) -> Instance:
        """The one that is named; else the only one that the grant names."""
        named = frozenset[str]().union(*(stream.instances for stream in bounds.streams.values()))
        wanted = selector.instance or (next(iter(named)) if len(named) == 1 else None)
        instance = await self._registry.existing(owner, registration.key, wanted)
        if instance is None or instance.id not in named:
            raise Unknown("no such instance of this grant")
        return instance
