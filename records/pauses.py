"""Connectors that take no writes for a while, in any process, while somebody makes sure that nothing more comes.

A lock stands for the connector: the pause ends with its holder, however that ends. A write looks after it has what an
erasure would take away from it (its epoch, its lease) and before it looks whether its connector lives. So whoever
pauses a connector, and then fences off what began before, knows that nothing comes until the pause ends; and if the
connector is marked erased by then, nothing ever does.

Where other machines have the store open, too, a write may go by an answer that is `AGE` seconds old, so that it costs
no query of its own. Whoever pauses waits for longer than that before it fences: a write that has not seen the pause
then had its epoch before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from blobstore.digest import derive
from blobstore.errors import StorageUnavailable
from records.central import Owner
from records.errors import Conflict
from records.locks import PAUSE, Locks, taken

LOOKING = 3.0
"""Seconds after which who has the lock is taken for another one that pauses, and not for one that looks."""

AGE = 0.5

_CONTEXT = "blobstore 2026-11 paused connector"

Unpaused = Callable[[Owner, str], Awaitable[None]]
"""What a write asks of its connector (`Pauses.require_none`)."""


class Pauses:
    """Knows which connectors are paused."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks

    @asynccontextmanager
    async def pausing(self, owner: Owner, connector: str) -> AsyncIterator[None]:
        """The connector takes no writes that begin in the length of the block.

        Raises `Conflict` where it is paused, `StorageUnavailable` where the pause is lost.
        """
        deadline = time.monotonic() + LOOKING
        while True:
            async with taken(self._locks, _name(owner, connector)) as held:
                if held is not None:
                    if self._locks.shared:
                        await asyncio.sleep(1.5 * AGE)
                    yield
                    return
            if time.monotonic() >= deadline:
                raise Conflict("the connector is being detached already")
            await asyncio.sleep(0.02)

    async def require_none(self, owner: Owner, connector: str) -> None:
        """Raise `StorageUnavailable` while the connector is paused."""
        if await self._locks.is_held(_name(owner, connector), AGE):
            raise StorageUnavailable("the connector is being detached: try again later")


def _name(owner: Owner, connector: str) -> str:
    return f"{PAUSE}{owner.id}_{derive(_CONTEXT, connector.encode(), 16).hex()}"
