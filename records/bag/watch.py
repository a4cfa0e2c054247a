"""Whether something of an export was erased since it was planned: its scratch files would still show it."""

import time
from collections.abc import Collection
from typing import Self

from records import jsontext
from records.central import Central, Owner
from records.errors import NotExported

SECONDS = 1.0
"""After which it is asked again."""

PAGE = 500


class Watch:
    """Reads an owner's spine as it grows: every erasure is on it before it takes its first row."""

    def __init__(self, central: Central, owner: Owner, connectors: Collection[str], seen: int) -> None:
        self._central = central
        self._owner = owner
        self._connectors = frozenset(connectors)
        self._seen = seen
        self.erased = False
        """Whether something of these connectors was erased, as far as was asked."""
        self._asked_at = time.monotonic()

    @classmethod
    async def begin(cls, central: Central, owner: Owner, connectors: Collection[str]) -> Self:
        """From now on. To be called before the first record is read.

        Raises `NotExported` while an erasure of the owner's is under way: it began before, and may take more.
        """
        if any(job.owner == owner.id for job in await central.unfinished_erasures()):
            raise NotExported("an erasure is under way; export when it is done")
        head = await central.spine_head(owner.id)
        return cls(central, owner, connectors, 0 if head is None else head.seq)

    async def require_unerased(self) -> None:
        """Raise `NotExported` where something of these connectors is erased, `SECONDS` after it began."""
        if self.erased or time.monotonic() - self._asked_at >= SECONDS:
            await self.ask()

    async def ask(self) -> None:
        """The same, at once."""
        while not self.erased and (events := await self._central.spine(self._owner.id, self._seen, PAGE)):
            self.erased = any(b'"kind":"erasure.begin"' in event.body and self._is_ours(event.body) for event in events)
            self._seen = events[-1].seq
        if self.erased:
            raise NotExported("some of it was erased while it was exported; export again")
        self._asked_at = time.monotonic()

    def _is_ours(self, body: bytes) -> bool:
        connector = jsontext.decode(body).get("connector")
        return connector is None or connector in self._connectors
