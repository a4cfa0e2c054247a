"""The port to what is the owner's and not one connector's: who may act, connectors, instances, sync state, spine.

It is central in every topology. Each method is one atomic, durable step; any number of processes may call at once.
A method that takes an `event` chains that body to the owner's spine in the same step, where it changes anything.
Owners are named by an internal id (`owner`, made here, safe in a path); the subject's own name is only looked up.
Times are UTC, RFC 3339 with microseconds and `Z`. Raises `StorageUnavailable` when the database does not answer. For
an owner that was not made here whatever writes raises `Unknown`, and whatever reads finds nothing.
"""

from typing import Protocol

from records.central.access import Access, Owner, Token
from records.central.chain import About, Chain, Checkpoint, SpineEvent
from records.central.erasures import ErasureJob, Erasures, Seen
from records.central.grants import Grants, StoredGrant
from records.central.registry import Connector, Instance, Registry
from records.central.shards import Homes
from records.central.state import State

__all__ = [
    "About",
    "Central",
    "Checkpoint",
    "Connector",
    "ErasureJob",
    "Instance",
    "Owner",
    "Seen",
    "SpineEvent",
    "StoredGrant",
    "Token",
]


class Central(Access, Grants, Registry, Homes, State, Erasures, Chain, Protocol):
    """The central store of one server."""

    async def bind(self, name: str) -> str:
        """As `Engine.bind`: the name of the store that this belongs to."""
        ...

    async def sanitize(self, timeout: float) -> bool:
        """As `Engine.sanitize`, for the central files."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with its files; empty when they are sound."""
        ...

    async def close(self) -> None:
        """Harmless when called twice."""
        ...
