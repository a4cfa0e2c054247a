"""Where an owner's connectors live, as a process remembers it; the central store has the truth."""

from collections.abc import Mapping

from records.central import Central
from records.shards import Home, Shards


class Homes:
    """Of one owner. What is remembered of a connector may be out of date: its shard tells whoever comes there."""

    def __init__(self, owner: str, central: Central) -> None:
        self._owner = owner
        self._central = central
        self.known: Shards | None = None

    async def now(self) -> Mapping[str, Home]:
        """All of them as they are now."""
        if self.known is None or self.known.revision != await self._central.shards_revision(self._owner):
            self.known = await self._central.shards(self._owner)
        return self.known.homes

    async def of(self, connector: str) -> Home | None:
        """One, as it was when it was last asked for; None only where it has none now."""
        known = None if self.known is None else self.known.homes.get(connector)
        return known or (await self.now()).get(connector)
