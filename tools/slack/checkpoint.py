"""Saves the ledger now and then, never before the store has what it speaks of."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from tools.sink import Sink
from tools.slack.ledger import Ledger

EVERY = 2.0
"""Seconds between two savings at least."""

_SHARE = 20
"""A saving that took a second is followed by so many without one: a large ledger costs 5 % of the time at most."""


@dataclass(slots=True)
class Checkpoint:
    """The one place that saves the state: savings never overlap."""

    ledger: Ledger
    sink: Sink
    _next: float = field(default_factory=lambda: monotonic() + EVERY)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def maybe(self) -> None:
        """Save if it is time again."""
        if monotonic() >= self._next and not self._lock.locked():
            await self.save()

    async def save(self) -> None:
        """Save what changed since the last time."""
        async with self._lock:
            started = monotonic()
            changes = self.ledger.changes()
            if changes:
                await self.sink.save_state(changes)
            ended = monotonic()
            self._next = ended + max(EVERY, _SHARE * (ended - started))
