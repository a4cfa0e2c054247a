"""Where records live."""

from typing import Protocol

from records.shards import Home, Left, Shards


class Homes(Protocol):
    """The homes of connectors."""

    async def shards(self, owner: str) -> Shards:
        """Where the owner's records live, as it is at one moment."""
        ...

    async def shards_revision(self, owner: str) -> int:
        """The revision of `shards`: 0 before the first change."""
        ...

    async def set_topology(self, owner: str, source: str | None, to: str) -> bool:
        """The owner's records are in the topology `to` from now on; False, and nothing done, where it is not `source`.

        None is the topology of an owner that has none yet.
        """
        ...

    async def topologies(self) -> dict[str, str]:
        """Of each owner who has one of their own, by `set_topology`."""
        ...

    async def place(self, owner: str, connector: str, shard: str) -> Home:
        """The connector's home: the one that it has, else this shard, awake under number 1."""
        ...

    async def move(self, owner: str, connector: str, source: str | None, to: str | None) -> bool:
        """The connector lives in `to`, awake under number 1; False, and nothing done, where it does not in `source`.

        None is having no home.
        """
        ...

    async def wake(self, owner: str, connector: str, shard: str) -> int | None:
        """Somebody is about to write to the shard: it is awake, under a higher number than ever, which is given back.

        None, and nothing done, where the connector does not live there.
        """
        ...

    async def rest(self, owner: str, connector: str, shard: str, number: int, left: Left) -> bool:
        """Nobody writes to the shard but who wakes it again; False, and nothing done, where it has another number.

        So it is, too, where the connector does not live there. One that rests already may be said to again. What it
        `holds` is forgotten when it is woken or the connector moves (no file shows it after the next `sanitize`), and
        of an owner who was erased not kept.
        """
        ...
