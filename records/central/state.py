"""Sync state of connectors."""

from collections.abc import Mapping
from typing import Protocol


class State(Protocol):
    """Sync state, in a namespace for each grant beside the global one."""

    async def state(
        self, owner: str, connector: str, instance: str, grant: str | None = None
    ) -> tuple[dict[str, bytes], str | None]:
        """JSON text by stream, to the letter, and when it last changed; nothing and None where none was set.

        Each grant has a namespace of its own beside the global one (None).
        """
        ...

    async def merge_state(
        self,
        owner: str,
        connector: str,
        instance: str,
        state: Mapping[str, bytes],
        now: str,
        event: bytes,
        grant: str | None = None,
    ) -> None:
        """Set the named streams' values; others stay. No streams: no change.

        Raises `Unknown` when the connector has no such instance or the owner no such grant for it, `Conflict` when the
        instance was erased or the grant revoked: a namespace that was dropped never comes back.
        """
        ...

    async def drop_state(self, owner: str, connector: str, instance: str | None, stream: str | None) -> None:
        """Forget the state, in every namespace, of a connector, one instance, one stream, or both of these."""
        ...
