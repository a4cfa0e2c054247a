"""Slots: how many requests that take much (a body, its buffers, a lease) are served at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.errors import Busy


class Slots:
    """At most `most` at once; memory is bounded by that number, whatever the number of clients.

    Who finds none free waits for at most `wait` seconds; the body is not read meanwhile: it costs a connection only.
    """

    def __init__(self, most: int, what: str, wait: float) -> None:
        self._free = asyncio.Semaphore(most)
        self.most = most
        self.what = what
        self.taken_now = 0
        self.refused = 0
        self._wait = wait

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Have a slot for the length of the block. Raises `Busy` where none becomes free in time."""
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            self.refused += 1
            raise Busy(f"as many {self.what} are under way as this server takes at once; send it again") from None
        self.taken_now += 1
        try:
            yield
        finally:
            self.taken_now -= 1
            self._free.release()
