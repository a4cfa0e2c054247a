"""How a server comes to its end: announced first where somebody must notice in time, then it leaves."""

import asyncio
from contextlib import suppress


class Stopping:
    """Set from the outside, looked at by whoever answers. Everything may be said twice.

    Announced: it takes requests as before, says that it is not ready, and that each answer is the last on its
    connection, so that load balancers turn to others. Left: it listens no more.
    """

    def __init__(self) -> None:
        self.announced = False
        self._told = asyncio.Event()
        self._leaving = asyncio.Event()

    def announce(self) -> None:
        """The service is to end."""
        self.announced = True
        self._told.set()

    def leave(self) -> None:
        """To end now: another one is here in this one's place, or nobody waits for it any more."""
        self._told.set()
        self._leaving.set()

    async def wait(self, delay: float) -> None:
        """Until it is time to listen no more: at once when told to leave, `delay` seconds after it was announced."""
        await self._told.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._leaving.wait()
