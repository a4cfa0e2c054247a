"""How a server comes to its end: announced first where somebody must notice in time, then it leaves."""

import asyncio
import os
import threading
import time
from contextlib import suppress

from server import logs

ENDING = 15.0
"""Seconds that a server gets to close its store, when its requests are done or cut off."""


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

    def end_within(self, seconds: float) -> None:
        """The process ends `ENDING` seconds after these, whatever hangs in it: a database, S3, a thread.

        It ends as by a crash: what was acknowledged is durable, and what is left behind is found by who comes next.
        """

        def end() -> None:
            time.sleep(seconds + ENDING)
            logs.log.error("the store could not be closed in %g seconds: ended all the same", ENDING)
            os._exit(1)

        threading.Thread(target=end, name="end", daemon=True).start()
