"""Connectors and their instances."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Connector:
    """A registered connector; `manifest` is its JSON text as registered. Erased ones are kept but take no writes."""

    id: str
    manifest: bytes
    registered_at: str
    erased_at: str | None


@dataclass(frozen=True, slots=True)
class Instance:
    """One account of a connector. An erased instance is never written to again."""

    id: str
    connector: str
    is_default: bool
    created_at: str
    erased_at: str | None


class Registry(Protocol):
    """Connectors and instances."""

    async def register(self, owner: str, connector: str, manifest: bytes, now: str, event: bytes) -> bool:
        """Add or replace the manifest; True when the connector was not there, or was erased.

        An erased one lives again; its erased instances stay erased. Replacing keeps `registered_at`. Raises `Conflict`
        when the owner was erased.
        """
        ...

    async def connector(self, owner: str, connector: str) -> Connector | None:
        """One connector, erased or not."""
        ...

    async def connectors(self, owner: str) -> list[Connector]:
        """The owner's connectors in the order of their ids, erased ones included."""
        ...

    async def ensure_default_instance(self, owner: str, connector: str, fresh_id: str, now: str) -> Instance:
        """The connector's living default instance; made with `fresh_id` when there is none.

        Raises `Unknown` when the connector is not registered, `Conflict` when it was erased.
        """
        ...

    async def add_instance(self, owner: str, instance: Instance) -> Instance:
        """Add a named instance; gives back the one that is there already (living or erased) instead.

        Ids are unique per owner: the one there may belong to another connector. Raises `Unknown` when the connector
        is not registered, `Conflict` when it was erased, or has another living default and this is to be one.
        """
        ...

    async def instance(self, owner: str, instance: str) -> Instance | None:
        """One instance, erased or not."""
        ...

    async def instances(self, owner: str, connector: str | None = None) -> list[Instance]:
        """Living instances in the order (connector, id)."""
        ...
